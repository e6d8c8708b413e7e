"""How good probabilities are: ranking, honesty, and what they are worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from training.calibration import SMALLEST_PROBABILITY, FloatArray, log_odds, logistic_line

Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Quality:
    """The figures of one set of probabilities on one window.

    Attributes:
        auc: P(a customer who ordered is ranked above one who did not); NaN where only one kind occurs.
        calibration_slope: of what happened on the log-odds said; 1 is honest, below 1 is overconfident.
        mean_probability: beside `base_rate`: is the level right?
    """

    n: int
    base_rate: float
    mean_probability: float
    auc: float
    log_loss: float
    brier: float
    calibration_slope: float

    def as_dict(self) -> dict[str, float]:
        """Rounded, so that it reads well."""
        return {name: round(value, 6) for name, value in asdict(self).items() if value == value}


def quality(y: Labels, probability: FloatArray) -> Quality:
    """Every figure of these probabilities against what happened."""
    both = 0 < int(y.sum()) < len(y) and float(np.ptp(probability)) > 1e-9  # all told the same: none
    slope = logistic_line(log_odds(probability), y)[1] if both else float("nan")
    return Quality(
        n=len(y),
        base_rate=float(y.mean()),
        mean_probability=float(probability.mean()),
        auc=auc(y, probability),
        log_loss=float(log_losses(y, probability).mean()),
        brier=float(np.mean((probability - y) ** 2)),
        calibration_slope=slope,
    )


def auc(y: Labels, score: FloatArray) -> float:
    """The area under the ROC curve by ranks, ties counted half; NaN where only one class occurs."""
    n_positive = int(y.sum())
    n_negative = len(y) - n_positive
    if not n_positive or not n_negative:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2.0
    return float((rank[place][y == 1].sum() - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative))


def log_losses(y: Labels, probability: FloatArray) -> FloatArray:
    """Each row's -ln(the probability given to what happened)."""
    p = np.clip(probability, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def calibration_curve(y: Labels, probability: FloatArray, *, n_bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean probability, share that happened, and rows of each bin, by rising probability and equally full."""
    order = np.argsort(probability, kind="stable")
    bins = np.array_split(order, min(n_bins, len(order)))
    return [(float(probability[b].mean()), float(y[b].mean()), len(b)) for b in bins if len(b)]


def gain_curve(y: Labels, probability: FloatArray, *, n_points: int = 20) -> list[tuple[float, float]]:
    """Of those who ordered, the share among the best-ranked share of customers; from (0, 0) to (1, 1)."""
    happened = y[np.argsort(-probability, kind="stable")].astype(np.float64)
    total = max(float(happened.sum()), 1.0)
    reached = np.concatenate([[0.0], np.cumsum(happened)]) / total
    shares = np.linspace(0.0, 1.0, n_points + 1)
    return [(float(share), float(reached[round(share * len(y))])) for share in shares]
