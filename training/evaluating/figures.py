"""The figures of a task: of probabilities, numbers of orders and spend, each None where it does not exist."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from training.evaluation import auc, log_losses

Floats = NDArray[np.float64]
Figures = dict[str, float | None]

OF_PROBABILITY = ("auc", "log_loss", "brier", "mean_probability")
OF_AMOUNT = ("mae", "rmse", "corr", "sum_predicted", "sum_actual")
SPEND = "spend_"
DIGITS = 6


def probability_figures(y: NDArray[np.uint8], probability: Floats | None) -> Figures:
    """Of P(an order within the horizon) beside what happened: ranking, honesty, both, and the level."""
    if probability is None:
        return dict.fromkeys(OF_PROBABILITY)
    said = np.clip(probability, 0.0, 1.0)
    return {
        "auc": finite(auc(y, said)),
        "log_loss": finite(float(log_losses(y, said).mean())),
        "brier": finite(float(np.mean((said - y) ** 2))),
        "mean_probability": finite(float(said.mean())),
    }


def amount_figures(actual: Floats, said: Floats | None, *, prefix: str = "") -> Figures:
    """Of an expected number or sum of money beside what it came to: error, correlation (Pearson's), totals."""
    figures: Figures = dict.fromkeys(prefix + name for name in OF_AMOUNT)
    figures[prefix + "sum_actual"] = finite(float(actual.sum()))
    if said is None:
        return figures
    wrong = said - actual
    return figures | {
        prefix + "mae": finite(float(np.abs(wrong).mean())),
        prefix + "rmse": finite(float(np.sqrt(np.mean(wrong**2)))),
        prefix + "corr": finite(correlation(actual, said)),
        prefix + "sum_predicted": finite(float(said.sum())),
    }


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's; NaN where one of the two does not vary."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) <= 1e-12 * max(1.0, float(np.abs(b).max())):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def finite(value: float) -> float | None:
    """Rounded, so that it reads well; None for what JSON has no number for."""
    return round(value, DIGITS) if math.isfinite(value) else None
