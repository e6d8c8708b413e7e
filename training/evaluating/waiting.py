"""How well it is said when the next order comes: the curve at several days, an 80% interval, who still buys here.

Ours goes through its calibrated probability of the horizon asked; BG/NBD and Pareto/NBD beside it are as they say
themselves. What comes after the horizon is one outcome, "later", for the interval and for what the curve says of it.
Days beyond the horizon are judged too, as far as orders are known, up to a year: that is what the curve was carried to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from training.evaluating.figures import finite, probability_figures
from training.evaluating.task import Floats, Task
from training.evaluation import auc
from training.expectations.curve import curve_of, still_buying
from training.served.curve import LONGEST_DAYS, SHARES, Curve, coverage, said_coverage
from training.served.repeat_buying import Rhythm

OURS = "ours"


def waiting(
    task: Task, probability: Floats | None, waits: Floats, *, known_days: int, year: Sequence[float] = ()
) -> dict[str, Any]:
    """Figures beside the table's; empty where no model of repeat buying can be fitted.

    Args:
        task: whose buyers.
        probability: ours, of an order within the horizon, shape `(n,)`; None where there is none.
        waits: days from the cutoff to each buyer's next order, 1 for the day of the cutoff; infinite where unknown.
        known_days: from the cutoff to the last order that is known, both included.
        year: how the year goes on behind the horizon, as ours has it.
    """
    curves = _curves(task, probability, year)
    if not curves:
        return {}
    return {
        "curve": [_at(curves, days, waits) for days in _days(task.horizon_days, known_days)],
        "next_order": {
            "interval": round(SHARES[1] - SHARES[0], 6),
            "models": [_interval(name, curve, task, waits) for name, curve in curves.items()],
        },
        "alive": _alive(task, curves.get(OURS), waits, known_days=known_days),
    }


def _alive(task: Task, ours: Curve | None, waits: Floats, *, known_days: int) -> dict[str, Any]:
    """P(still buying) beside what there is to see of it: who ordered again at all, as far as is known."""
    alive = None if ours is None else still_buying(task.shop, ours)
    ordered, again = (waits <= task.horizon_days).astype(np.uint8), np.isfinite(waits).astype(np.uint8)
    told: dict[str, Any] = {"known_days": known_days, "ordered_again": finite(float(again.mean()))}
    if ours is None or alive is None:
        return told | dict.fromkeys(("mean", "auc", "auc_again", "said_again"))
    return told | {
        "mean": finite(float(alive.mean())),
        "auc": finite(auc(ordered, alive)),
        "auc_again": finite(auc(again, alive)),
        "said_again": finite(float(ours.p_any(known_days).mean())),
    }


def _curves(task: Task, probability: Floats | None, year: Sequence[float]) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    if probability is not None:
        ours = curve_of(task.shop, {task.horizon_days: probability}, year=year)
        curves |= {} if ours is None else {OURS: ours}
    for name, fit in task.shop.fits(task.day).items():
        shape = Rhythm((fit,), task.buyers.history()).p_any
        curves[name] = Curve(shape, {task.horizon_days: shape(task.horizon_days)})
    return curves


def _days(horizon_days: int, known_days: int) -> list[int]:
    """A quarter, a half, three quarters and the whole of the horizon; then twice, three and four times, where known."""
    within = {max(1, round(horizon_days * quarter / 4)) for quarter in (1, 2, 3, 4)}
    beyond = {times * horizon_days for times in (2, 3, 4)}
    return sorted(within | {days for days in beyond if days <= min(known_days, LONGEST_DAYS)})


def _at(curves: Mapping[str, Curve], days: int, waits: Floats) -> dict[str, Any]:
    y = (waits <= days).astype(np.uint8)
    models = [{"name": name, **probability_figures(y, curve.p_any(days))} for name, curve in curves.items()]
    return {"days": days, "base_rate": finite(float(y.mean())), "models": models}


def _interval(name: str, curve: Curve, task: Task, waits: Floats) -> dict[str, Any]:
    laid_out = curve.laid_out(longest_days=max(LONGEST_DAYS, task.horizon_days))
    low, high = laid_out.days_until(SHARES)
    return {
        "name": name,
        "coverage": finite(coverage(low, high, waits, horizon_days=task.horizon_days)),
        "said": finite(said_coverage(laid_out, low, high, horizon_days=task.horizon_days)),
    }
