"""Figures with the 95% interval that these customers give them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation import auc

Floats = NDArray[np.float64]

Z = 1.959964  # 97.5% of a normal distribution lie below it


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the ends of its interval; NaN where it cannot be had."""

    value: float
    low: float
    high: float
    percent: bool = False

    def __str__(self) -> str:
        if self.value != self.value:
            return "—"
        if self.percent:
            return f"{self.value:.1%} ({self.low:.1%} … {self.high:.1%})"
        return f"{self.value:.4f} ({self.low:.4f} … {self.high:.4f})"


def mean_interval(values: Floats, *, percent: bool = False) -> Interval:
    """Of a mean over customers, by the central limit; NaN ends with fewer than two."""
    if len(values) < 2:
        nan = float("nan")
        return Interval(float(values.mean()) if len(values) else nan, nan, nan, percent)
    mean, reach = float(values.mean()), Z * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return Interval(mean, mean - reach, mean + reach, percent)


def auc_interval(y: NDArray[np.uint8], score: Floats) -> Interval:
    """Of an area under the ROC curve; NaN where only one kind occurs.

    References:
        DeLong, DeLong and Clarke-Pearson (1988), eq. 5: the variance from each customer's share of pairs in order.
    """
    value = auc(y, score)
    positive, negative = score[y == 1], score[y == 0]
    if len(positive) < 2 or len(negative) < 2:
        return Interval(value, float("nan"), float("nan"))
    below = _share_below(positive, negative)
    above = 1.0 - _share_below(negative, positive)
    variance = below.var(ddof=1) / len(positive) + above.var(ddof=1) / len(negative)
    reach = Z * float(np.sqrt(variance))
    return Interval(value, max(value - reach, 0.0), min(value + reach, 1.0))


def _share_below(asked: Floats, others: Floats) -> Floats:
    """For each score, the share of the others below it, ties half."""
    others = np.sort(others)
    left, right = np.searchsorted(others, asked, side="left"), np.searchsorted(others, asked, side="right")
    return np.asarray((left + right) / 2.0 / len(others))
