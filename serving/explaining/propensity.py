"""Which of the things that we know of a customer make a purchase more or less likely, in words.

The numbers are exact: base and contributions sum to the model's score (log-odds before calibration), which one rising
curve turns into the probability. Words are the features' own meanings, from the feature schema.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from serving.explaining.meanings import Meanings
from training.artifact import Contributions

MOST_TOLD = 8
RHYTHM = {
    "pace": "How long they have been silent, beside their usual gap between orders",
    "gap": "Their usual gap between orders",
    "repeat_buying": "The rhythm of their orders: how often, and how long ago the last one was",
}
_STRONG, _CLEAR = 0.7, 0.2  # log-odds: odds doubled, odds a fifth up


def propensity_explained(
    contributions: Contributions,
    inputs: Sequence[float],
    *,
    meanings: Meanings,
    probability: float,
    horizon_days: int,
) -> dict[str, Any]:
    """The contributions to one purchase propensity, the largest first, as JSON types.

    Args:
        contributions: of the model, for this customer.
        inputs: `(len(schema.model_inputs),)`, NaN where unknown.
        meanings: of the inputs.
        probability: what the model said.
        horizon_days: over which.
    """
    known = meanings.known(inputs)
    strongest = sorted((-abs(part), name, part) for name, part in contributions.parts.items() if part != 0.0)
    reasons = [_reason(name, part, known.get(name), meanings) for _, name, part in strongest]
    told = [reason["in_words"] for reason in reasons[:MOST_TOLD]]
    return {
        "horizon_days": horizon_days,
        "probability": probability,
        "in_words": [f"{probability:.1%} likely to buy within {horizon_days} days.", *told],
        "base": contributions.base,
        "score": contributions.score,
        "contributions": reasons,
    }


def _reason(name: str, contribution: float, value: float | None, meanings: Meanings) -> dict[str, Any]:
    """One input's contribution; None where its value is unknown."""
    what = RHYTHM.get(name) or meanings.of(name, value)
    size = abs(contribution)
    strength = "much " if size >= _STRONG else "" if size >= _CLEAR else "a little "
    direction = "more" if contribution > 0 else "less"
    words = f"{what}: {strength}{direction} likely (odds × {math.exp(contribution):.2f})."
    return {"name": name, "value": value, "contribution": contribution, "in_words": words}
