"""What a booster leans on, by SHAP values: how far each input moves customers' scores, and which way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 2_000
SHOWN = 20
CLEAR = 0.3  # of a rank correlation: below it neither way is said


@dataclass(frozen=True, slots=True)
class Leaning:
    """How much a booster leans on one input.

    Attributes:
        mean_size: mean absolute SHAP value, in the unit of the score.
        direction: `more`, `less`, or `it depends`: what a higher value does to the score, by ranks.
        values: of a sample of customers, shape `(n,)`; `contributions` likewise.
    """

    name: str
    mean_size: float
    direction: str
    values: NDArray[np.float64]
    contributions: NDArray[np.float64]


def leanings_of(
    booster: lightgbm.Booster, X: NDArray[np.float32], *, inputs: Sequence[str], most: int = SHOWN
) -> list[Leaning]:
    """The inputs that move scores most, the most first; those that move none are left out.

    Args:
        booster: of one score.
        X: rows to ask about, shape `(n, len(inputs))`; at most 2,000, evenly spread, are.
        inputs: names of the columns.
        most: how many.

    References:
        Lundberg, Erion and Lee (2018), Consistent individualized feature attribution for tree ensembles.
    """
    chosen = np.unique(np.linspace(0, len(X) - 1, min(len(X), MOST_ROWS)).round().astype(np.intp))
    rows = X[chosen].astype(np.float64)
    said = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1), dtype=np.float64)[:, :-1]
    sizes = np.abs(said).mean(axis=0)
    order = sorted(range(len(inputs)), key=lambda place: (-round(float(sizes[place]), 9), inputs[place]))
    return [
        Leaning(inputs[i], round(float(sizes[i]), 6), _direction(rows[:, i], said[:, i]), rows[:, i], said[:, i])
        for i in order[:most]
        if sizes[i] > 0.0
    ]


def _direction(values: NDArray[np.float64], contributions: NDArray[np.float64]) -> str:
    known = np.isfinite(values)
    if known.sum() < 3 or np.ptp(values[known]) == 0.0 or np.ptp(contributions[known]) == 0.0:
        return "it depends"
    ranks = [_ranks(values[known]), _ranks(contributions[known])]
    correlation = float(np.asarray(np.corrcoef(ranks))[0, 1])
    return "more" if correlation > CLEAR else "less" if correlation < -CLEAR else "it depends"


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 on, ties shared."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(count) - (count + 1) / 2.0)[place], dtype=np.float64)
