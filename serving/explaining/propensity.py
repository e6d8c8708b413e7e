"""Which of the things that we know of a customer make a purchase more or less likely, in words.

The numbers are exact: base and contributions sum to the model's score (log-odds before calibration), which one rising
curve turns into the probability. Words are the features' own meanings, from the feature schema.
"""

from __future__ import annotations

import math
import re
from calendar import day_name
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.brand import Brand
from features.schema import FeatureSchema
from serving.explaining.worth import money_of
from training.artifact import Contributions

MOST_TOLD = 8
RHYTHM = {
    "pace": "How long they have been silent, beside their usual gap between orders",
    "gap": "Their usual gap between orders",
    "repeat_buying": "The rhythm of their orders: how often, and how long ago the last one was",
}
_SINCE = "Days since: "
_NOT_FOR_PEOPLE = re.compile(f"^{_SINCE}|, Monday = 1; the earlier on a tie")
_WHERE_MISSING = re.compile("; missing [^,]*")
_STRONG, _CLEAR = 0.7, 0.2  # log-odds: odds doubled, odds a fifth up


@dataclass(frozen=True, slots=True)
class Reason:
    """One input's contribution."""

    name: str
    value: float | None
    contribution: float
    in_words: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "name": self.name,
            "value": self.value,
            "contribution": self.contribution,
            "in_words": self.in_words,
        }


def propensity_explained(
    contributions: Contributions,
    inputs: Sequence[float],
    *,
    schema: FeatureSchema,
    brand: Brand,
    probability: float,
    horizon_days: int,
) -> dict[str, Any]:
    """The contributions to one purchase propensity, the largest first, as JSON types.

    Args:
        contributions: of the model, for this customer.
        inputs: `(len(schema.model_inputs),)`, NaN where unknown.
        schema: whose words.
        brand: whose money.
        probability: what the model said.
        horizon_days: over which.
    """
    known = dict(zip(schema.model_inputs, inputs, strict=True))
    reasons = [_reason(name, part, known, schema, brand) for name, part in contributions.parts.items() if part != 0.0]
    reasons.sort(key=lambda reason: (-abs(reason.contribution), reason.name))
    told = [reason.in_words for reason in reasons[:MOST_TOLD]]
    return {
        "horizon_days": horizon_days,
        "probability": probability,
        "in_words": [f"{probability:.1%} likely to buy within {horizon_days} days.", *told],
        "base": contributions.base,
        "score": contributions.score,
        "contributions": [reason.as_dict() for reason in reasons],
    }


def _reason(name: str, contribution: float, known: Mapping[str, float], schema: FeatureSchema, brand: Brand) -> Reason:
    value = known.get(name)
    is_known = value is not None and math.isfinite(value)
    what = RHYTHM.get(name) or meaning_of(name, float(value) if is_known and value is not None else None, schema, brand)
    strength = "much " if abs(contribution) >= _STRONG else "" if abs(contribution) >= _CLEAR else "a little "
    direction = "more" if contribution > 0 else "less"
    words = f"{what}: {strength}{direction} likely (odds × {math.exp(contribution):.2f})."
    return Reason(name, float(value) if is_known and value is not None else None, contribution, words)


def meaning_of(name: str, value: float | None, schema: FeatureSchema, brand: Brand) -> str:
    """What an input says of a customer who has that value, in words; None where it is unknown."""
    try:
        column = schema.column(name)
    except KeyError:
        return name.replace("_", " ").capitalize()
    meaning = _NOT_FOR_PEOPLE.sub("", column.meaning)
    if value is None:
        return f"{meaning} is unknown"
    if (choices := schema.categories.get(name)) is not None and 0 <= int(value) < len(choices):
        trait = name.removeprefix("trait_").replace("_", " ")
        return f"They told us {trait}: {choices[int(value)].replace('_', ' ')}"
    if column.meaning.startswith(_SINCE):
        return f"{meaning} {value:,.3g} days ago"
    return f"{_WHERE_MISSING.sub('', meaning)} is {_as_said(value, column.unit, brand)}"


def _as_said(value: float, unit: str, brand: Brand) -> str:
    """A value with its unit, as people say it."""
    if unit == "currency":
        return money_of(brand, value)
    if unit == "share":
        return f"{value:.0%}"
    if unit == "weekday" and 1 <= value <= len(day_name):
        return day_name[int(value) - 1]
    if unit == "0 or 1":
        return "true" if value else "false"
    return f"{value:,.3g}" + ("" if unit in ("number", "index", "ratio", "log ratio") else f" {unit}")
