"""Figures with the 95% interval that these customers give them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.metrics import wilson_interval
from training.evaluation import auc

Floats = NDArray[np.float64]

Z = 1.959964  # 97.5% of a normal distribution lie below it
FEWEST_OF_A_KIND = 5  # where none ordered, every loss is small and alike, and one order would multiply it


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
        value, low, high = (f"{end:.1%}" if self.percent else f"{end:.4f}" for end in (self.value, self.low, self.high))
        return value if self.low != self.low else f"{value} ({low} … {high})"


def share_interval(happened: Floats) -> Interval:
    """Of the share to whom something happened, by Wilson's score: of nobody among seventy it ends above zero.

    Args:
        happened: (n_customers,) of 0 and 1, at least one.
    """
    low, high = wilson_interval(int(happened.sum()), len(happened))
    return Interval(float(happened.mean()), low, high, percent=True)


def excess_interval(said: Floats, happened: Floats) -> Interval:
    """Of the mean that was said less the share to whom it happened, for customers of whom just this was said.

    The share's interval, narrower by as much as what was said tells who it happens to.
    """
    share, mean, spread = share_interval(happened), float(said.mean()), float(happened.std())
    left = min(float((said - happened).std()) / spread, 1.0) if spread > 0.0 else 1.0
    below, above = left * (share.high - share.value), left * (share.value - share.low)
    excess = mean - share.value
    return Interval(excess, excess - below, excess + above, percent=True)


def mean_interval(values: Floats) -> Interval:
    """Of a mean over customers, by the central limit; NaN ends with fewer than two."""
    if len(values) < 2:
        nan = float("nan")
        return Interval(float(values.mean()) if len(values) else nan, nan, nan)
    mean, reach = float(values.mean()), Z * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return Interval(mean, mean - reach, mean + reach)


def loss_interval(losses: Floats, happened: Floats) -> Interval:
    """Of a mean loss; NaN ends where too few of either kind are among them to say how much it varies."""
    found, n_rarer = mean_interval(losses), min(happened.sum(), len(happened) - happened.sum())
    return found if n_rarer >= FEWEST_OF_A_KIND else Interval(found.value, float("nan"), float("nan"))


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
