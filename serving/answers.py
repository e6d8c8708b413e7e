"""What the caller is told: the decision, its message, and what it rests on, as JSON types."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from experiments.intents import looks_like_a_name
from features.brand import Brand
from features.catalogue import NOTHING
from features.refresher import NOT_RECOMPUTED
from features.rendering import RenderedMessage, gives_out_codes
from serving.compose import Decided
from serving.decide import (
    FALLBACK_POLICY,
    NOTHING_ELIGIBLE,
    OFF_SCRIPT_POLICY,
    UNKNOWN_INTENT,
    Decision,
    Slot,
)
from serving.explaining.amounts import told_amount, with_told_amounts
from serving.explaining.worth import money_of, why_taken
from serving.formats import Format, format_on, formatted
from serving.models import ServedModels
from serving.schemas import DecisionRequest
from serving.scoring import FEATURES_STALE, NO_MODEL, UNKNOWN_CUSTOMER
from serving.values import EstimatedRate, Valuation

FALLBACKS_IN_WORDS = {
    UNKNOWN_CUSTOMER: "The online store holds no features of this customer (new, or imported and not yet "
    "materialised), so no model could say how they are likely to act.",
    "schema_changed": "What we hold of this customer is of another feature schema, so no model was asked.",
    NOT_RECOMPUTED: "There are newer events of this customer than what we hold takes in, and it could not be made anew "
    "(the server's log says why), so no model was asked.",
    FEATURES_STALE: "What we hold of this customer is older than the brand allows, so no model was asked.",
    NO_MODEL: "A model is missing: the values rest on counts and on the catalogue's expected rates.",
    UNKNOWN_INTENT: "The brand does not know what the customer wants, so the placement's off-script action answers.",
    NOTHING_ELIGIBLE: "No action may be offered here and now, so the placement's fallback or baseline answers.",
}


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
    explained: Callable[[Decided], dict[str, Any]],
    is_brief: bool = False,
) -> dict[str, Any]:
    """The body of the answer: a decision, or where several places were asked for the list of theirs.

    Args:
        decided: the decisions, as they are written in the ledger.
        request: that they answer.
        brand: that decided, as whose people amounts are written.
        models: whose names the segments have.
        stamped: puts the token of its decision into each message.
        explained: says what a decision's values rest on, where that is asked for.
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
            its["explanation"] = with_told_amounts(its["explanation"] | explained(one))
    return told[0] if request.placements is None else {"decisions": told}


def _refuse_no_numbers(decision: Decision) -> None:
    """NaN and infinity are no JSON; one of them in a sum makes it one of them.

    Raises:
        ValueError: an amount or a probability of the decision is none.
    """
    scores = decision.scores
    amounts = sum([one.value for _, one in decision.candidates]) + (scores.segment_probability or 0.0)
    probabilities = sum(decision.distribution.probabilities) + sum(
        [probability for _, probability in scores.propensities]
    )
    if not math.isfinite(amounts + probabilities):
        raise ValueError(f"The decision '{decision.situation.decision_id}' rests on a number that is none.")


def _told(
    one: Decided, *, request: DecisionRequest, brand: Brand, models: ServedModels, stamped: Stamped, is_brief: bool
) -> dict[str, Any]:
    """One decision with its messages."""
    decision, locale = one.decision, one.locale
    messages = [
        stamped(slot.offer.message, decision_id=decision.situation.decision_id, slot=number) if slot.offer else None
        for number, slot in enumerate(decision.slots)
    ]
    message = messages[0]
    situation, scores = decision.situation, decision.scores
    told: dict[str, Any] = {
        "decision_id": None if request.dry_run else situation.decision_id,
        "customer_id": request.customer_id,
        "anonymous_id": request.anonymous_id,
        "decided_at": situation.decided_at.isoformat(),
        "placement": situation.placement,
        "channel": decision.channel,
        "action": _action(decision.slots[0]),
        "message": _message(message) if message is not None else None,
        "locale": {"asked": locale, "used": message.locale if message is not None else None},
        "holdout": decision.is_holdout,
        "arm": decision.assignment.arm,
        "segment": _segment(decision, models, locale),
        "stage": scores.stage,
        "purchase_propensity": {f"{days}d": round(p, 6) for days, p in scores.propensities} or None,
        "fallback_reason": decision.fallback_reason,
        "features_age_seconds": one.scored.age_seconds,
    }
    if not is_brief:
        told |= {
            "reasons": reasons(decision, models, locale, brand=brand),
            "ranking": _ranking(decision),
            "suppressed": _suppressed(decision),
            "versions": dict(decision.versions),
        }
    told |= _sending(decision.slots[0], message, code=one.codes.get(0), format=request.format)
    if request.dry_run:
        told["dry_run"] = True
    if request.defer:
        told["deferred"] = True
    if len(decision.prepared.draws) > 1:
        told["slots"] = [
            _slot(slot, message, code=one.codes.get(number), format=request.format)
            for number, (slot, message) in enumerate(zip(decision.slots, messages, strict=True))
            if message is not None
        ]
    if request.explain:
        told["explanation"] = {
            key: value for key, value in decision.as_dict().items() if key not in told and key != "customer_key"
        }
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
    told = {name: getattr(message, name) for name in RenderedMessage.__slots__}
    return told | {name: list(told[name]) for name in ("suggested_replies", "replies", "items")}


def _action(slot: Slot) -> dict[str, Any]:
    told: dict[str, Any] = {"id": slot.action_id, "probability": slot.slot_probability}
    if slot.offer is None:
        return told | {"kind": NOTHING}
    action = slot.offer.action
    incentive = action.incentive.model_dump(include={"kind", "value"}) if action.incentive else None
    return told | {"kind": action.kind, "goal": action.goal, "tags": list(action.tags), "incentive": incentive}


def _ranking(decision: Decision) -> list[dict[str, Any]]:
    """Every action that could have been taken, the most valuable first."""
    distribution = decision.distribution
    probabilities = dict(zip(distribution.action_ids, distribution.probabilities, strict=True))
    ranked = sorted([(-one.value, key, one.action_id) for key, one in decision.candidates])
    told: list[dict[str, Any]] = [
        {"action_id": action_id, "probability": probabilities[key], "value": told_amount(-less)}
        for less, key, action_id in ranked
    ]
    if len(decision.situation.channels) > 1:
        for one, (_, key, _) in zip(told, ranked, strict=True):
            one["channel"] = key.partition("@")[2] or None
    return told


def _suppressed(decision: Decision) -> list[dict[str, Any]]:
    """What could not be taken, without what was said all the same: whoever asks is answered, whatever is against it."""
    said = decision.slots[0]
    return [
        one.as_dict()
        for one in decision.suppressed
        if one.action_id != said.action_id or one.channel not in ("", said.channel)
    ]


def _segment(decision: Decision, models: ServedModels, locale: str) -> dict[str, Any] | None:
    if decision.scores.segment is None or models.segments is None:
        return None
    return {
        "id": decision.scores.segment,
        "name": _segment_name(decision.scores.segment, models, locale),
        "probability": decision.scores.segment_probability,
    }


def _segment_name(segment: str, models: ServedModels, locale: str) -> str:
    names = models.segments.names.get(segment, {}) if models.segments else {}
    language = locale.split("-")[0]
    return names.get(locale) or names.get(language) or names.get("en") or next(iter(names.values()), segment)


def reasons(decision: Decision, models: ServedModels, locale: str, *, brand: Brand) -> list[str]:
    """Why this action, in sentences that a marketer reads."""
    scores = decision.scores
    told = []
    if decision.is_holdout:
        told.append("This customer is held out of personalisation, so that what it earns can be measured.")
    if decision.fallback_reason is not None:
        told.append(_fallback(decision, decision.fallback_reason))
    if scores.segment is not None and scores.segment_probability is not None:
        name = _segment_name(scores.segment, models, locale)
        told.append(f"Segment: {name} ({scores.segment_probability:.0%} sure). Funnel stage: {scores.stage}.")
    else:
        told.append(f"Funnel stage: {scores.stage}.")
    if scores.purchase_propensity is not None:
        told.append(f"Likely to buy by themselves: {scores.purchase_propensity:.0%} over the middle horizon.")
    if not decision.is_holdout and decision.policy_name not in (FALLBACK_POLICY, OFF_SCRIPT_POLICY):
        told += _choice(decision, brand)
    return told


def _fallback(decision: Decision, reason: str) -> str:
    """Why it was decided without a model or a policy, with the names that the general sentence has not."""
    if reason == UNKNOWN_INTENT:
        return _off_script(decision)
    return _nothing_eligible(decision) if reason == NOTHING_ELIGIBLE else FALLBACKS_IN_WORDS[reason]


def _off_script(decision: Decision) -> str:
    """An intent that may be what the customer wrote is not repeated, as it is not kept."""
    intent = decision.prepared.unknown_intent
    named = f"The intent '{intent}'" if intent is not None and looks_like_a_name(intent) else "What the customer wants"
    answers = "would have answered" if decision.is_holdout else "answers"
    return f"{named} is not one of brand.yaml's intents, so the placement's off-script action {answers}."


def _nothing_eligible(decision: Decision) -> str:
    """What answers where nothing may be offered: the fallback, else the baseline; the held-out get that first."""
    placement, said = decision.prepared.placement, decision.action_id
    told = "No action may be offered here and now"
    if said == NOTHING:
        return f"{told}, nor can the placement's fallback or baseline be said: nothing is."
    if decision.is_holdout:
        return f"{told}; the placement's {'baseline' if said == placement.baseline else 'fallback'} '{said}' answers."
    if said == placement.fallback:
        return f"{told}, so the placement's fallback '{said}' answers."
    told = f"{told}, nor can the placement's fallback '{placement.fallback}' be said"
    return f"{told}, so its baseline '{said}' answers."


def _choice(decision: Decision, brand: Brand) -> list[str]:
    by_key = dict(decision.candidates)
    taken = by_key[decision.slots[0].key]
    rate = taken.rate
    evidence = f"{_counted(rate)}; expected {rate.rate:.2%}"
    if taken.reward is not None:
        evidence = _expected(taken, by_key.get(NOTHING), brand)
    if (worth := taken.worth) is not None:
        evidence = f"The answer would add {money_of(brand, worth.gain)} to each of {worth.decisions:.3g} decisions; "
        evidence += f"asking costs {money_of(brand, worth.cost)}"
    why = why_taken(taken.value, [candidate.value for candidate in by_key.values()])
    return [f"'{taken.action_id}' was taken with probability {decision.action_probability:.3f}: {why}.", evidence + "."]


def _expected(taken: Valuation, silence: Valuation | None, brand: Brand) -> str:
    """What the response model says of what was taken, beside saying nothing where that was another possibility."""
    told = f"The response model expects {money_of(brand, taken.reward or 0.0)} of this customer"
    if taken.action_id == NOTHING:
        return f"{told} if nothing is said"
    told += " with it, incentives paid"
    if silence is None or silence.reward is None:
        return told
    return f"{told}, and {money_of(brand, silence.reward)} if nothing is said"


def _counted(rate: EstimatedRate) -> str:
    """What an action's rate in its segment and stage rests on; a decision counts as far as its window has passed."""
    n_decided = max(rate.n_decided, rate.n_converted)
    if n_decided == 0:
        return "Nobody like this has had it yet"
    if n_decided < 0.5:
        return "It is too new in this segment and stage to have been counted"
    return f"{rate.n_converted} of {n_decided:.0f} so far in this segment and stage"
