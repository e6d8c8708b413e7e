"""A decision explained: what each candidate is worth and why, what was kept away and until when, who is likely to buy.

It reads the decision's record, so that the answer of today and the page of last year say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.brand import Brand
from features.catalogue import NOTHING, Action
from features.schema import FeatureSchema
from serving.compose import Decided
from serving.explaining.propensity import propensity_explained
from serving.explaining.response import response_of
from serving.explaining.suppressed import counter_in_words, why_suppressed
from serving.explaining.worth import worth_of
from serving.models import ServedModels
from serving.scoring import ScoredCustomer, middle_horizon
from serving.stock import Stock


def explained(record: Mapping[str, Any], *, brand: Brand, actions: Mapping[str, Action]) -> dict[str, Any]:
    """Values and suppressions of a record in words, as JSON types.

    Args:
        record: as a decision's `as_dict` has it.
        brand: that decided.
        actions: of the catalogue that decided, by id.
    """
    return {
        "values": [_valued(one, record, brand, actions) for one in _by_value(record)],
        "kept_away": [
            {
                "action_id": one["action_id"],
                "channel": one.get("channel") or None,
                "rule": one["rule"],
                "in_words": why_suppressed(one, time_zone=brand.time_zone),
                "counter": one.get("counter"),
                "counter_in_words": counter_in_words(one.get("counter")),
                "eligible_at": one.get("eligible_at"),
            }
            for one in record["suppressed"]
        ],
    }


def explained_now(one: Decided, *, stock: Stock, models: ServedModels) -> dict[str, Any]:
    """What a decision that was just made rests on, for its answer."""
    actions = {action.id: action for action in stock.catalogue.actions}
    record = one.decision.as_dict()
    told = explained(record, brand=stock.brand, actions=actions)
    schema, brand = stock.schema, stock.brand
    return told | {
        "propensity": propensity_of(one.scored, models=models, schema=schema, brand=brand),
        "response": response_of(record, one.scored, models=models, schema=schema, brand=brand, actions=actions),
    }


def propensity_of(
    scored: ScoredCustomer, *, models: ServedModels, schema: FeatureSchema, brand: Brand
) -> dict[str, Any] | None:
    """Why a customer is as likely to buy as the model says; None where no model said so."""
    if models.next_purchase is None or scored.scores.purchase_propensity is None:
        return None
    horizon = middle_horizon(brand.horizons_days)
    contributions = models.next_purchase.contributions(scored.inputs[None, :], horizon_days=horizon)
    return propensity_explained(
        contributions,
        scored.inputs.tolist(),
        schema=schema,
        brand=brand,
        probability=scored.scores.purchase_propensity,
        horizon_days=horizon,
    )


def age_in_words(seconds: float | None) -> str:
    """How old something is, as people say it."""
    if seconds is None:
        return "unknown"
    for unit, length in (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0)):
        if seconds >= length:
            n = round(seconds / length)
            return f"{n} {unit}{'' if n == 1 else 's'}"
    return f"{seconds:.0f} seconds"


def _by_value(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What could have been first: the record's candidates hold also what the rules that look at counters kept away."""
    could_be = [one for one in record["candidates"] if one["key"] in record["distribution"]]
    return sorted(could_be, key=lambda one: (-one["value"], one["key"]))


def _valued(
    one: Mapping[str, Any], record: Mapping[str, Any], brand: Brand, actions: Mapping[str, Action]
) -> dict[str, Any]:
    parts = worth_of(
        one,
        actions.get(one["action_id"]),
        brand=brand,
        channel=one["key"].partition("@")[2] or next(iter(record["channels"])),
        purchase_propensity=record["purchase_propensity"],
        silence=next((each.get("reward") for each in record["candidates"] if each["action_id"] == NOTHING), None),
    )
    return {
        "key": one["key"],
        "action_id": one["action_id"],
        "value": one["value"],
        "probability": record["distribution"][one["key"]],
        "parts": [part.as_dict() for part in parts],
    }
