"""Why a decision is what it is, in the few sentences of its answer.

Amounts are written in the brand's currency, as its people write them.
"""

from __future__ import annotations

from experiments.intents import looks_like_a_name
from features.brand import Brand
from features.catalogue import NOTHING
from features.refresher import NOT_RECOMPUTED
from serving.decide import (
    FALLBACK_POLICY,
    NOTHING_ELIGIBLE,
    OFF_SCRIPT_POLICY,
    UNKNOWN_INTENT,
    Decision,
)
from serving.explaining.worth import LEAST_COUNTED, money_of, why_taken
from serving.models import ServedModels
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


def segment_name(segment: str, models: ServedModels, locale: str) -> str:
    """What a segment is called in a locale, else in its language, else in English."""
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
        name = segment_name(scores.segment, models, locale)
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
    offer, silence = decision.slots[0].offer, decision.prepared.nothing
    taken = offer.valuation if offer is not None else silence
    if taken is None:  # nothing can be taken where it does not compete
        return []
    rate = taken.rate
    evidence = f"{_counted(rate, taken.action_id)}; expected {rate.rate:.2%}"
    evidence += " without any message" if taken.action_id == NOTHING else ""
    if taken.reward is not None:
        evidence = _expected(taken, silence, brand)
    if (worth := taken.worth) is not None:
        evidence = f"The answer would add {money_of(brand, worth.gain)} to each of {worth.decisions:.3g} decisions; "
        evidence += f"asking costs {money_of(brand, worth.cost)}"
    why = why_taken(taken.value, [value for _, _, value in decision.values])
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


def _counted(rate: EstimatedRate, action_id: str) -> str:
    """What an action's rate in its segment and stage rests on; a decision counts as far as its window has passed."""
    n_decided = max(rate.n_decided, rate.n_converted)
    if n_decided == 0:
        return "Nobody like this was left alone yet" if action_id == NOTHING else "Nobody like this has had it yet"
    if n_decided < LEAST_COUNTED:
        return "It is too new in this segment and stage to have been counted"
    return f"{rate.n_converted} of {n_decided:.0f} so far in this segment and stage"
