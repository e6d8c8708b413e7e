"""A decision's record: canonical JSON, the same bytes for the same decision.

Its fields are declared in the order of the alphabet, so that nothing has to be sorted to write them, and what many
decisions tell alike (what competes, a distribution, what is kept away) is encoded once. Invariant: the bytes are those
of `Decision.as_dict` encoded with its keys sorted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from serving.candidates import recorded_offers, with_nothing
from serving.lineup import Offers
from serving.offers import Offer

if TYPE_CHECKING:
    from serving.decision import Decision, Slot

_CANONICAL = msgspec.json.Encoder(order="sorted")
_AS_DECLARED = msgspec.json.Encoder()


class _RecordedSlot(msgspec.Struct):
    """A slot as the record has it: its fields stand in the order of the alphabet, so that nothing has to be sorted."""

    action_id: str
    channel: str
    cost: float
    distribution: msgspec.Raw
    draw: float
    key: str
    list_probability: float
    policy_parameters: msgspec.Raw
    send_at: str | None
    slot_probability: float
    suppressed: list[msgspec.Raw]


class _Record(msgspec.Struct):
    """A decision as its record has it, in the order of the alphabet; the names are those of `Decision.as_dict`."""

    action_id: str
    action_probability: float
    answers: list[str]
    arm: str
    arm_probability: float
    candidates: msgspec.Raw
    channel: str
    channels: tuple[str, ...]
    counters: msgspec.Raw
    customer_key: int
    decided_at: str
    decision_id: str
    distribution: msgspec.Raw
    draw: float
    drawn_elsewhere: list[str]
    draws: tuple[float, ...]
    experiment: str | None
    fallback_reason: str | None
    holdout_rate: float | None
    initiated_by: str
    locale_asked: str | None
    new_actions: msgspec.Raw
    placement: str
    policy: str
    policy_parameters: msgspec.Raw
    propensities: msgspec.Raw
    purchase_propensity: float | None
    said_elsewhere: list[str]
    segment: str | None
    segment_probability: float | None
    slots: list[_RecordedSlot]
    stage: str
    suppressed: list[msgspec.Raw]
    versions: msgspec.Raw
    would_be: list[_RecordedSlot]
    would_be_action_id: str | None


_EMPTY = msgspec.Raw(b"{}")


def recorded(decision: Decision) -> str:
    """The record of a decision."""
    prepared, slots, would_be = decision.prepared, decision.slots, decision.would_be
    situation, scores, assignment = prepared.situation, prepared.scores, prepared.assignment
    drawn = would_be[0] if would_be else slots[0]
    distribution = drawn.distribution
    record = _Record(
        slots[0].action_id,
        slots[0].slot_probability,
        [offer.key for offer in prepared.answers],
        assignment.arm,
        assignment.arm_probability,
        msgspec.Raw(with_nothing(_recorded_offers(prepared.offers), prepared.nothing)),
        decision.channel,
        situation.channels,
        _raw(decision.counters),
        situation.customer_key,
        situation.decided_at.isoformat(),
        situation.decision_id,
        distribution.recorded,
        drawn.draw,
        sorted(decision.drawn_elsewhere) if decision.drawn_elsewhere else [],
        prepared.draws,
        assignment.experiment,
        decision.fallback_reason,
        assignment.holdout_rate,
        situation.initiated_by,
        situation.locale_asked,
        _new_actions(prepared.new),
        situation.placement,
        decision.policy_name,
        distribution.recorded_parameters,
        _raw({str(days): probability for days, probability in scores.propensities}),
        scores.purchase_propensity,
        sorted(decision.said_elsewhere) if decision.said_elsewhere else [],
        scores.segment,
        scores.segment_probability,
        [_recorded_slot(slot) for slot in slots],
        scores.stage,
        [one.recorded for one in (*prepared.suppressed, *drawn.suppressed)],
        _versions(prepared.versions),
        [_recorded_slot(slot) for slot in would_be] if would_be else [],
        would_be[0].action_id if would_be else None,
    )
    return _AS_DECLARED.encode(record).decode()


def _recorded_slot(slot: Slot) -> _RecordedSlot:
    return _RecordedSlot(
        slot.action_id,
        slot.channel,
        slot.offer.cost if slot.offer else 0.0,
        slot.distribution.recorded,
        slot.draw,
        slot.key,
        slot.list_probability,
        slot.distribution.recorded_parameters,
        slot.send_at.isoformat() if slot.send_at else None,
        slot.slot_probability,
        [suppressed.recorded for suppressed in slot.suppressed],
    )


def _recorded_offers(offers: Sequence[Offer]) -> bytes:
    return offers.lineup.recorded(offers.values) if isinstance(offers, Offers) else recorded_offers(offers)


def _raw(told: Mapping[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(_CANONICAL.encode(told)) if told else _EMPTY


class _Alike:
    """Tells of what one decision after the other has in common, and nobody writes to; encoded once."""

    def __init__(self) -> None:
        self._kept: tuple[Mapping[str, Any], msgspec.Raw] = ({}, _EMPTY)

    def __call__(self, told: Mapping[str, Any]) -> msgspec.Raw:
        kept = self._kept  # swapped whole: threads may share it
        if kept[0] is not told:
            kept = self._kept = (told, _raw(told))
        return kept[1]


_new_actions, _versions = _Alike(), _Alike()
