"""What the caller is told: the decision, its message, and what it rests on, as JSON types."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from experiments.records import HOLDOUT
from features.brand import Brand
from features.catalogue import NOTHING
from features.rendering import RenderedMessage, gives_out_codes
from serving.compose import Decided
from serving.decide import Decision, Slot
from serving.explaining.amounts import told_amount, with_told_amounts
from serving.formats import Format, format_on, formatted
from serving.lineup import Offers
from serving.models import ServedModels
from serving.reasons import reasons, segment_name
from serving.schemas import DecisionRequest


class Stamped(Protocol):
    """Puts the token of its decision into a message."""

    def __call__(self, message: RenderedMessage, *, decision_id: str, slot: int) -> RenderedMessage:
        """The stamped message."""


def answer(
    decided: Sequence[Decided],
    *,
    request: DecisionRequest,
    brand: Brand,
    models: ServedModels,
    stamped: Stamped,
    explained: Callable[[Decided, Mapping[str, Any]], dict[str, Any]],
    is_brief: bool = False,
) -> dict[str, Any]:
    """The body of the answer: a decision, or where several places were asked for the list of theirs.

    Args:
        decided: the decisions, as they are written in the ledger.
        request: that they answer.
        brand: that decided, as whose people amounts are written.
        models: whose names the segments have.
        stamped: puts the token of its decision into each message.
        explained: says what a decision with this record rests on, where that is asked for.
        is_brief: only what a sender needs, without the ranking and the reasons, where no explanation is asked for.
    """
    is_brief = is_brief and not request.explain
    for one in decided:
        _refuse_no_numbers(one.decision)
    told = [
        _told(one, request=request, brand=brand, models=models, stamped=stamped, is_brief=is_brief) for one in decided
    ]
    if request.explain:
        for one, its in zip(decided, told, strict=True):
            record = one.decision.as_dict()
            rest = {key: value for key, value in record.items() if key not in its and key != "customer_key"}
            its["explanation"] = with_told_amounts(rest) | explained(one, record)
    return told[0] if request.placements is None else {"decisions": told}


def _refuse_no_numbers(decision: Decision) -> None:
    """NaN and infinity are no JSON; one of them in a sum makes it one of them.

    Raises:
        ValueError: an amount or a probability of the decision is none.
    """
    prepared, scores = decision.prepared, decision.scores
    amounts = sum(Offers.of(prepared.offers).values)
    if not math.isfinite(amounts):  # of those that could have been taken?
        amounts = sum([value for _, _, value in decision.values])
    amounts += (scores.segment_probability or 0.0) + (prepared.nothing.value if prepared.nothing else 0.0)
    for _, probability in scores.propensities:
        amounts += probability
    if not math.isfinite(amounts + decision.distribution.whole):
        raise ValueError(f"The decision '{decision.situation.decision_id}' rests on a number that is none.")


def _told(
    one: Decided, *, request: DecisionRequest, brand: Brand, models: ServedModels, stamped: Stamped, is_brief: bool
) -> dict[str, Any]:
    """One decision with its messages."""
    decision, locale = one.decision, one.locale
    prepared, slots = decision.prepared, decision.slots
    situation, scores, assignment, first = prepared.situation, prepared.scores, prepared.assignment, slots[0]
    messages = [
        stamped(slot.offer.message, decision_id=situation.decision_id, slot=number) if slot.offer else None
        for number, slot in enumerate(slots)
    ]
    message = messages[0]
    told: dict[str, Any] = {
        "decision_id": None if request.dry_run else situation.decision_id,
        "customer_id": request.customer_id,
        "anonymous_id": request.anonymous_id,
        "decided_at": situation.decided_at.isoformat(),
        "placement": situation.placement,
        "channel": decision.channel,
        "action": _action(first),
        "message": _message(message) if message is not None else None,
        "locale": {"asked": locale, "used": message.locale if message is not None else None},
        "holdout": assignment.arm == HOLDOUT,
        "arm": assignment.arm,
        "segment": _segment(decision, models, locale),
        "stage": scores.stage,
        "purchase_propensity": {f"{days}d": round(p, 6) for days, p in scores.propensities} or None,
        "fallback_reason": decision.fallback_reason,
        "features_age_seconds": one.scored.age_seconds,
    }
    if not is_brief:
        told["reasons"] = reasons(decision, models, locale, brand=brand)
        told["ranking"] = _ranking(decision)
        told["suppressed"] = _suppressed(decision)
        told["versions"] = dict(prepared.versions)
    told |= _sending(first, message, code=one.codes.get(0), format=request.format)
    if request.dry_run:
        told["dry_run"] = True
    if request.defer:
        told["deferred"] = True
    if len(prepared.draws) > 1:
        told["slots"] = [
            _slot(slot, message, code=one.codes.get(number), format=request.format)
            for number, (slot, message) in enumerate(zip(slots, messages, strict=True))
            if message is not None
        ]
    return told


def _slot(slot: Slot, message: RenderedMessage, *, code: str | None, format: Format | None) -> dict[str, Any]:
    """One action of a ranked set."""
    return {
        "action": _action(slot),
        "message": _message(message),
        "channel": slot.channel,
        "probability": slot.slot_probability,
        "list_probability": slot.list_probability,
    } | _sending(slot, message, code=code, format=format)


def _sending(slot: Slot, message: RenderedMessage | None, *, code: str | None, format: Format | None) -> dict[str, Any]:
    """What a sender needs beside the message: when it may leave, its coupon code, and its provider's body."""
    told: dict[str, Any] = {"send_at": slot.send_at.isoformat() if slot.send_at else None}
    if slot.offer is not None and gives_out_codes(slot.offer.action):
        told["coupon_code"] = code
    if format is not None:
        told["formatted"] = None
        if message is not None and slot.offer is not None:
            told["formatted"] = formatted(message, format=format_on(slot.offer.place.channel, asked=format))
    return told


def _message(message: RenderedMessage) -> dict[str, Any]:
    """As `message.as_dict()`, without the deep copies that it makes: this runs in every decision."""
    return {
        "locale": message.locale,
        "hook": message.hook,
        "body": message.body,
        "media": message.media,
        "link": message.link,
        "suggested_replies": list(message.suggested_replies),
        "template": message.template,
        "replies": list(message.replies),
        "items": list(message.items),
        "subject": message.subject,
        "open_url": message.open_url,
        "unsubscribe_url": message.unsubscribe_url,
    }


def _action(slot: Slot) -> dict[str, Any]:
    if slot.offer is None:
        return {"id": slot.action_id, "probability": slot.slot_probability, "kind": NOTHING}
    action = slot.offer.action
    return {
        "id": slot.action_id,
        "probability": slot.slot_probability,
        "kind": action.kind,
        "goal": action.goal,
        "tags": list(action.tags),
        "incentive": {"kind": one.kind, "value": one.value} if (one := action.incentive) else None,
    }


def _ranking(decision: Decision) -> list[dict[str, Any]]:
    """Every action that could have been taken, the most valuable first."""
    probabilities = decision.distribution.as_dict()
    offers, nothing = Offers.of(decision.prepared.offers), decision.prepared.nothing
    lineup, values = offers.lineup, offers.values
    rows = zip([-value for value in values], lineup.keys, lineup.action_ids, lineup.told(values), strict=True)
    ranked = [row for row in rows if row[1] in probabilities]
    if nothing is not None and NOTHING in probabilities:
        ranked.append((-nothing.value, NOTHING, NOTHING, told_amount(nothing.value)))
    ranked.sort()
    told: list[dict[str, Any]] = [
        {"action_id": action_id, "probability": probabilities[key], "value": value}
        for _, key, action_id, value in ranked
    ]
    if len(decision.situation.channels) > 1:
        for one, (_, key, _, _) in zip(told, ranked, strict=True):
            one["channel"] = key.partition("@")[2] or None
    return told


def _suppressed(decision: Decision) -> list[dict[str, Any]]:
    """What could not be taken, without what was said all the same: whoever asks is answered, whatever is against it."""
    said = decision.slots[0]
    return [
        one.as_dict()
        for one in (*decision.prepared.suppressed, *decision.kept_away)
        if one.action_id != said.action_id or one.channel not in ("", said.channel)
    ]


def _segment(decision: Decision, models: ServedModels, locale: str) -> dict[str, Any] | None:
    if decision.scores.segment is None or models.segments is None:
        return None
    return {
        "id": decision.scores.segment,
        "name": segment_name(decision.scores.segment, models, locale),
        "probability": decision.scores.segment_probability,
    }
