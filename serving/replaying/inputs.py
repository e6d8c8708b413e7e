"""What one decision was made from, as the ledger keeps it beside the record, and back.

The record says what came out, with every value, draw and counter; this says what went in: the customer's row as it was
read, and what was asked. It is personal: erasure deletes it with its row, and where a purpose is withdrawn it is
emptied, so that a replay says `withdrawn`. What the caller told for this decision only is never in it: of traits in the
context their names are, of what the customer wrote (`inbound_text`) that there was something. An intent is kept where
the brand knows it or it looks like a name; else it may be the customer's words, and only that there was one is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np

from experiments.intents import looks_like_a_name
from features.packing import EPOCH, CustomerState, Missing
from serving.replaying.used_rates import Used
from serving.schemas import DecisionRequest
from serving.scoring import Customer

INBOUND_TEXT, INTENT = "inbound_text", "intent"
WITHHELD = "(withheld)"
"""Stands for an intent that is not kept: no brand knows it, as it knew not what it stands for."""
_PLACES = {"placement", "channel", "channels", "limit", "placements"}
_NOT_CONTEXT = {"inbound_text", "traits"}
_NOT_INPUTS = {"customer_id", "anonymous_id", "decision_id", "explain", "format", "dry_run", "context", *_PLACES}


class _State(msgspec.Struct, omit_defaults=True):
    vector: bytes
    instants: bytes
    as_of_us: int
    log_seq: int
    declared: dict[str, Any] = {}
    consents: tuple[str, ...] = ()
    categories: dict[str, Any] = {}
    locale: str | None = None
    time_zone: str | None = None
    joined: tuple[int, ...] = ()


class _Written(msgspec.Struct, omit_defaults=True):
    state: _State | None = None
    missing: str = ""  # why there is no state
    told: tuple[str, ...] = ()
    context: dict[str, Any] = {}
    request: dict[str, Any] = {}
    had_text: bool = False
    new: dict[str, int] = {}
    questions: dict[str, Any] = {}
    rates: list[Used] = []


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Written)


@dataclass(frozen=True, slots=True)
class RecordedInputs:
    """What a decision was made from.

    Attributes:
        customer: as they were read, without what the caller told.
        told: the names of the traits that the caller told.
        context: what else the caller knew, without what the customer wrote.
        request: what was asked beside the place.
        had_text: whether the caller also sent what the customer wrote, which is never kept.
        new: the exposures until then of actions that had not had those that exploration gives them.
        questions: what was thought of the answers to what could be asked, as `Asking.as_dict` told it; else empty.
        rates: that were looked up beside those of the record's candidates; of questions.
    """

    customer: Customer
    told: tuple[str, ...]
    context: Mapping[str, Any]
    request: Mapping[str, Any]
    had_text: bool
    new: Mapping[str, int]
    questions: Mapping[str, Any]
    rates: tuple[Used, ...]

    @property
    def withheld(self) -> tuple[str, ...]:
        """The names of what was used for the decision and is not kept."""
        text = (INBOUND_TEXT,) if self.had_text else ()
        intent = (INTENT,) if self.context.get(INTENT) == WITHHELD else ()
        return (*self.told, *text, *intent)

    def asking(self, *, placement: str, channels: Collection[str], limit: int) -> DecisionRequest:
        """The request as far as one of its places goes."""
        asked = {"customer_id": "replayed", "placement": placement, "channels": list(channels), "limit": limit}
        return DecisionRequest.model_validate({**self.request, **asked, "context": dict(self.context)})


def written_inputs(
    request: DecisionRequest,
    customer: Customer,
    *,
    new: Mapping[str, int] | None = None,
    questions: Mapping[str, Any] | None = None,
    rates: Sequence[Used] = (),
    intents: Collection[str] = (),
) -> str:
    """What the ledger keeps, as JSON.

    Args:
        request: that was decided on.
        customer: as it was read.
        new: the exposures so far of actions that are explored.
        questions: what is thought of the answers to what may be asked.
        rates: that were looked up for them.
        intents: that the brand knows.
    """
    state, context = customer.state, request.context
    told = context.model_fields_set - _NOT_CONTEXT
    said = {name: getattr(context, name) for name in sorted(told)} if told else {}
    if (intent := context.intent) is not None and intent not in intents and not looks_like_a_name(intent):
        said[INTENT] = WITHHELD
    asked = request.model_fields_set - _NOT_INPUTS
    written = _Written(
        None if isinstance(state, Missing) else _state_of(state),
        state.reason if isinstance(state, Missing) else "",
        tuple(customer.told),
        said,
        {name: getattr(request, name) for name in sorted(asked)} if asked else {},
        context.inbound_text is not None,
        dict(new) if new else {},
        dict(questions) if questions else {},
        list(rates) if rates else [],
    )
    return _ENCODER.encode(written).decode()


def _state_of(state: CustomerState) -> _State:
    return _State(
        state.vector.tobytes(),
        state.instants.tobytes(),
        state.as_of_us,
        state.log_seq,
        state.declared,
        state.consents,
        state.categories,
        state.locale,
        state.time_zone,
        state.joined,
    )


def read_inputs(text: str, *, customer_key: int) -> RecordedInputs:
    """What `written_inputs` wrote.

    Args:
        text: from the ledger.
        customer_key: of the decision's row.

    Raises:
        ValueError: it was written by another Rapport, or is not whole.
    """
    written = _DECODER.decode(text)
    return RecordedInputs(
        customer=Customer(customer_key, _state(written)),
        told=written.told,
        context=written.context,
        request=written.request,
        had_text=written.had_text,
        new=written.new,
        questions=written.questions,
        rates=tuple(written.rates),
    )


def _state(written: _Written) -> CustomerState | Missing:
    state = written.state
    if state is None:
        return Missing(written.missing)
    return CustomerState(
        vector=np.frombuffer(state.vector, dtype="<f4"),
        instants=np.frombuffer(state.instants, dtype="<i8"),
        declared=state.declared,
        consents=state.consents,
        locale=state.locale,
        time_zone=state.time_zone,
        as_of=EPOCH + timedelta(microseconds=state.as_of_us),
        log_seq=state.log_seq,
        categories=state.categories,
        joined=state.joined,
    )
