"""Differences between two models on the same customers, with the noise of having seen these customers and no others.

The bootstrap is paired (both models' losses of a customer are drawn together) and by customer (one who stands in
several windows is drawn in all of them or in none).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 2_000
FEW_DRAWS = 200  # a standard error within 5%
MOST_UNITS = 4_000  # beyond it customers are dealt into so many lots, which are drawn instead: the same spread, bounded


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean of paired differences, and its distribution over resamples of the customers.

    Attributes:
        n: customers.
        mean: in the unit of the differences.
        standard_error: of the mean.
        low: where the middle 95% of the resampled means begin; `high` where they end.
        share_above_zero: of the resampled means.
    """

    n: int
    mean: float
    standard_error: float
    low: float
    high: float
    share_above_zero: float

    def as_dict(self) -> dict[str, float]:
        """Rounded, for a file."""
        return {
            "n": self.n,
            "mean": round(self.mean, 6),
            "standard_error": round(self.standard_error, 6),
            "low": round(self.low, 6),
            "high": round(self.high, 6),
            "share_above_zero": round(self.share_above_zero, 4),
        }


def paired_difference(differences: Floats, *, seed: int = 0, draws: int = DRAWS) -> Difference:
    """The mean of one difference a customer, shape `(n,)`."""
    keys = np.arange(len(differences), dtype=np.int64)
    return mean_over_windows([(keys, differences)], seed=seed, draws=draws)


def mean_over_windows(
    windows: list[tuple[NDArray[np.int64], Floats]], *, seed: int = 0, draws: int = DRAWS
) -> Difference:
    """The mean over windows of each window's mean difference.

    Args:
        windows: customer keys and differences of each, both of shape `(n,)`, at least one; a key occurs once a window.
        seed: of the resampling.
        draws: how many resamples; where only the standard error is asked for, `FEW_DRAWS` do.

    References:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, ch. 13 (percentile interval). Drawing lots of
        customers dealt at random is the bootstrap over clusters.
    """
    if not windows or not all(len(keys) for keys, _ in windows):
        raise ValueError("A mean difference needs at least one window, and a customer in each.")
    rng = np.random.default_rng(seed)
    everyone = np.unique(np.concatenate([keys for keys, _ in windows]))
    n_units = min(len(everyone), MOST_UNITS)
    lot = rng.permutation(len(everyone)) % n_units
    sums, counts = np.zeros((len(windows), n_units)), np.zeros((len(windows), n_units))
    for place, (keys, differences) in enumerate(windows):
        units = lot[np.searchsorted(everyone, keys)]
        sums[place] = np.bincount(units, weights=differences, minlength=n_units)
        counts[place] = np.bincount(units, minlength=n_units)
    means = _resampled(sums, counts, rng, draws)
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(
        n=len(everyone),
        mean=float((sums.sum(axis=1) / counts.sum(axis=1)).mean()),
        standard_error=float(means.std(ddof=1)),
        low=float(low),
        high=float(high),
        share_above_zero=float((means > 0.0).mean()),
    )


def _resampled(sums: Floats, counts: Floats, rng: np.random.Generator, draws: int) -> Floats:
    """The mean over windows in each resample, shape `(draws,)`; a window that a resample left empty is not counted."""
    n_units, means = sums.shape[1], []
    for _ in range(draws):
        weights = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units).astype(np.float64)
        drawn = counts @ weights
        with np.errstate(invalid="ignore"):
            means.append(np.nanmean(sums @ weights / np.where(drawn > 0, drawn, np.nan)) if drawn.any() else 0.0)
    return np.array(means)
