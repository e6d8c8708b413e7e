"""Time-series cross-validation: how next purchase would have done, had it been trained at earlier instants.

Each fold stands one horizon earlier than the one before. There the whole way is gone: a recipe is chosen, members are
fitted and calibrated with what was known then, and what is said is held against the window that followed. No fold looks
past its own instant; nothing of it is used for what is served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from training.dataset import Source, rows_of
from training.evaluation import Quality, log_losses, quality
from training.next_purchase import fit_head
from training.recipes import RECIPES, Recipe
from training.split import TooLittleData, gate_cutoff

FIGURES = ("log_loss", "brier", "auc")


@dataclass(frozen=True, slots=True)
class Fold:
    """One horizon at one earlier instant.

    Attributes:
        shipped: what the model would have been made of.
        constant: log-loss of saying the rate that was known then.
    """

    horizon_days: int
    as_of: datetime
    shipped: str
    quality: Quality
    constant: float


def backtest(
    source: Source,
    *,
    horizons_days: Sequence[int],
    n_folds: int,
    seed: int = 0,
    tuned: Mapping[int, Recipe] | None = None,
) -> list[Fold]:
    """As many folds of each horizon as there is history for, the newest first, at most `n_folds`.

    Args:
        source: of snapshots and labels.
        horizons_days: of the labels.
        n_folds: windows to hold against, the gate's own being the newest.
        seed: of LightGBM.
        tuned: one more recipe to choose from, by horizon. It was found on windows that older folds are judged on:
            their figures flatter it.
    """
    folds = []
    for horizon in sorted(horizons_days):
        as_of = gate_cutoff(source.known_until, horizon_days=horizon)
        candidates = (*RECIPES, *((tuned[horizon],) if tuned and horizon in tuned else ()))
        for _ in range(n_folds):
            try:
                folds.append(_fold(source, horizon, as_of, seed=seed, candidates=candidates))
            except TooLittleData:  # nothing older will do either
                break
            as_of = gate_cutoff(as_of, horizon_days=horizon)
    return folds


def _fold(source: Source, horizon_days: int, as_of: datetime, *, seed: int, candidates: Sequence[Recipe]) -> Fold:
    head = fit_head(source, horizon_days=horizon_days, used_at=as_of, seed=seed, candidates=candidates, is_tried=True)
    rows = rows_of(source, [as_of], horizon_days=horizon_days)
    known = float(rows_of(source, [head.split.calibrate], horizon_days=horizon_days).y.mean())
    constant = float(log_losses(rows.y, np.full(len(rows.y), known)).mean())
    return Fold(horizon_days, as_of, head.shipped, quality(rows.y, head.predict(rows.X)), constant)


def lines(folds: Sequence[Fold]) -> list[str]:
    """Each fold, and the mean and standard deviation over them, for people."""
    told = []
    for horizon, of in _by_horizon(folds).items():
        means = ", ".join(f"{name} {mean:.4f} ± {spread:.4f}" for name, (mean, spread) in _summary(of).items())
        told.append(f"{horizon} days over {len(of)} windows: {means}.")
        told += [
            f"  from {one.as_of:%Y-%m-%d}: log-loss {one.quality.log_loss:.4f} (known rate {one.constant:.4f}), "
            f"AUC {one.quality.auc:.4f}, said {one.quality.mean_probability:.1%} where {one.quality.base_rate:.1%} "
            f"ordered; {one.shipped}"
            for one in of
        ]
    return told


def metrics(folds: Sequence[Fold]) -> dict[str, float]:
    """Mean and standard deviation over folds, for a run's record."""
    return {
        f"folds_{name}_{part}_{horizon}d": value
        for horizon, of in _by_horizon(folds).items()
        for name, summary in _summary(of).items()
        for part, value in zip(("mean", "sd"), summary, strict=True)
        if value == value
    }


def as_dicts(folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """For `--json`."""
    return [
        {
            "horizon_days": one.horizon_days,
            "as_of": one.as_of.isoformat(),
            "shipped": one.shipped,
            "metrics": one.quality.as_dict() | {"log_loss_of_constant": round(one.constant, 6)},
        }
        for one in folds
    ]


def _by_horizon(folds: Sequence[Fold]) -> dict[int, list[Fold]]:
    horizons = dict.fromkeys(one.horizon_days for one in folds)
    return {horizon: [one for one in folds if one.horizon_days == horizon] for horizon in horizons}


def _summary(folds: Sequence[Fold]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each figure; no deviation of a single fold."""
    figures = {name: [float(getattr(one.quality, name)) for one in folds] for name in FIGURES}
    return {
        name: (float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"))
        for name, values in figures.items()
    }
