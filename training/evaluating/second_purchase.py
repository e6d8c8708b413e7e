"""Who comes back a second time: what every model says of customers with exactly one order-day before the cutoff.

Ours is calibrated on such customers alone where that was better on a held-back window, beyond noise. The calibration is
fitted to the newest closed window, to scores by fits that did not see the customer; whether it helps is asked one
window earlier, of a calibration fitted to the window before that. The window that judges has no part in either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.calibration import Calibration, fit_calibration, log_odds
from training.dataset import rows_of
from training.evaluating.figures import OF_PROBABILITY, finite, probability_figures
from training.evaluating.task import Once, Task
from training.evaluation import log_losses, quality
from training.expectations.shop import aligned
from training.heads import FEWEST_POSITIVES, Head, finisher, lesson_of
from training.members import Customers
from training.own_level import halfway
from training.recipes import Recipe
from training.repeat_buying import PARETO_NBD
from training.short_history import LEAST_GAIN, ShortHead
from training.split import TooLittleData, gate_cutoff

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

KINDS = ("shift", "platt")  # the steps of an isotonic fit want more customers than order once
SLOPE = "calibration_slope"
WITH_EVERYBODY = ", calibrated with everybody"
OWN = "calibrated on its own"
NOT_OWN = "reported, not calibrated on its own"


@dataclass(frozen=True, slots=True)
class Window:
    """A fit, and what it says of the one-order customers of the window that calibrates it, none of whom it saw.

    Attributes:
        head: fitted as of the window's end.
        score: log-odds before the season, calibrated with everybody; shape `(n,)`.
        y: whether they ordered within it, shape `(n,)`.
    """

    head: Head
    score: Floats
    y: Labels

    def own(self, kind: str) -> Calibration:
        """On top of everybody's calibration, from these customers alone."""
        return fit_calibration(self.score, self.y, kind=kind)


def second_purchase(
    task: Task, *, probabilities: Mapping[str, Floats | None], once: Once | None, ordered: Labels
) -> dict[str, Any]:
    """The figures of customers with one order-day, for JSON.

    Args:
        task: whose buyers.
        probabilities: of an order within the horizon by model, ours first; each of shape `(n,)`.
        once: ours of customers with one order-day; None where ours could not be fitted.
        ordered: 1 where there was an order within the horizon, shape `(n,)`.
    """
    asked = task.buyers.n_days == 1
    y = ordered[asked]
    rows = dict(probabilities)
    if once is not None and once.probability is not None:
        ours, *others = rows
        rows = {ours: once.probability, ours + WITH_EVERYBODY: rows[ours]} | {name: rows[name] for name in others}
    return {
        "n": int(asked.sum()),
        "base_rate": finite(float(y.mean())) if len(y) else None,
        "calibrated_on_its_own": once is not None and once.probability is not None,
        "because": "ours could not be fitted" if once is None else once.because,
        "models": [
            {"name": name, "metrics": _figures(y, None if said is None else said[asked])} for name, said in rows.items()
        ],
    }


def calibrated_on_its_own(task: Task, head: Head | ShortHead) -> Once:
    """What ours says of customers with one order-day, calibrated on such customers where that was better.

    Args:
        task: what was known before the cutoff.
        head: of everybody, fitted to it.
    """
    if isinstance(head, ShortHead):
        return Once(None, f"{NOT_OWN}: no window of {task.horizon_days} days is closed that could teach it")
    try:
        tried = _tried(task, head.recipe)
    except TooLittleData as reason:
        return Once(None, f"{NOT_OWN}: {reason}")
    everybody = tried.pop(None)
    kind = min(tried, key=lambda one: float(tried[one].mean()))
    said = f"log-loss {tried[kind].mean():.4f} with it, {everybody.mean():.4f} without"
    held_back = f"{said}, on {len(everybody)} such customers of the held-back window"
    if not _is_better(tried[kind], everybody):
        return Once(None, f"{NOT_OWN}: {held_back}")
    try:
        own = _window(task, head.recipe, task.day).own(str(kind))
    except TooLittleData as reason:
        return Once(None, f"{NOT_OWN}: {reason}")
    snapshot = task.source.snapshot(task.cutoff)
    probability = _said(head, own, snapshot.X)
    return Once(aligned(task.buyers.keys, snapshot.customer_keys, probability), f"{OWN} ({kind}): {held_back}")


def _is_better(own: Floats, everybody: Floats) -> bool:
    """By as much as any other choice of the trainer asks for, and beyond noise."""
    gain = everybody - own
    return bool(gain.mean() > max(LEAST_GAIN, float(gain.std()) / np.sqrt(len(gain))))


def _tried(task: Task, recipe: Recipe) -> dict[str | None, Floats]:
    """Log-losses of the held-back window's one-order customers by calibration of their own; None for everybody's."""
    held_back = gate_cutoff(task.cutoff, horizon_days=task.horizon_days)
    day = task.day - (task.cutoff - held_back).days
    window = _window(task, recipe, day)
    rows = rows_of(task.source, [held_back], horizon_days=task.horizon_days)
    asked = _ordered_once(task, day, rows.customer_keys)
    y, X = rows.y[asked], rows.X[asked]
    _require_both(y, task.horizon_days)
    calibrations = {kind: window.own(kind) for kind in KINDS}
    losses: dict[str | None, Floats] = {
        kind: log_losses(y, _said(window.head, own, X)) for kind, own in calibrations.items()
    }
    return {None: log_losses(y, window.head.predict(X)), **losses}


def _window(task: Task, recipe: Recipe, day: int) -> Window:
    """The newest window that is closed by a day, with a fit to it by this recipe.

    Raises:
        TooLittleData: too little is known by then, or too few ordered once.
    """
    used_at = task.cutoff - timedelta(days=task.day - day)
    lesson = lesson_of(task.source, horizon_days=task.horizon_days, used_at=used_at)
    finish, fitted = finisher(lesson, recipe, seed=task.seed), lesson.fit(recipe, seed=task.seed)
    head = finish(recipe)
    _, scores = fitted.members(recipe.members, repeat_buying=recipe.repeat_buying, weigh=recipe.weighs)
    calibrated = finish(replace(recipe, halves=False)).calibration.calibrated(scores)
    by_itself = fitted.repeat_of_kind(PARETO_NBD)[1] if recipe.halves else None
    calibrated = calibrated if by_itself is None else halfway(calibrated, by_itself)
    start = day - (used_at - head.split.calibrate).days
    asked = _ordered_once(task, start, lesson.scored_keys)
    _require_both(fitted.y[asked], task.horizon_days)
    return Window(head, calibrated[asked], fitted.y[asked])


def _said(head: Head, own: Calibration, X: NDArray[np.float32]) -> Floats:
    """What a head says once its probabilities before the season went through a calibration of their own."""
    calm = replace(head, season=1.0).predict(X)
    return head.in_season(own.apply(log_odds(calm)), Customers(X, head.inputs))


def _ordered_once(task: Task, day: int, customer_keys: NDArray[np.int64]) -> Mask:
    """Which of these had exactly one order-day before a day."""
    buyers = task.shop.buyers(day)
    return np.isin(customer_keys, buyers.keys[buyers.n_days == 1])


def _require_both(y: Labels, horizon_days: int) -> None:
    n_positive = int(y.sum())
    if min(n_positive, len(y) - n_positive) < FEWEST_POSITIVES:
        raise TooLittleData(
            f"of {len(y)} customers with one order-day {n_positive} ordered within a closed window of {horizon_days} "
            f"days; it needs {FEWEST_POSITIVES} who did and {FEWEST_POSITIVES} who did not"
        )


def _figures(y: Labels, said: Floats | None) -> dict[str, float | None]:
    """As of everybody, and the slope: 1 is honest, below 1 is overconfident; None where all are told the same."""
    if said is None or not len(y):
        return dict.fromkeys((*OF_PROBABILITY, SLOPE))
    return probability_figures(y, said) | {SLOPE: finite(quality(y, said).calibration_slope)}
