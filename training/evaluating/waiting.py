"""How well it is said when the next order comes: the curve at several days, an 80% interval, who still buys here.

Ours goes through its calibrated probability of the horizon asked; BG/NBD and Pareto/NBD beside it are as they say
themselves. What comes after the horizon is one outcome, "later", for the interval and for what the curve says of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from training.evaluating.figures import finite, probability_figures
from training.evaluating.task import Floats, Task
from training.evaluation import auc
from training.expectations.curve import LONGEST_DAYS, SHARES, Curve, coverage, curve_of, p_alive, said_coverage
from training.repeat_buying import DAYS_A_WEEK

OURS = "ours"


def waiting(task: Task, probability: Floats | None, waits: Floats) -> dict[str, Any]:
    """Figures beside the table's; empty where no model of repeat buying can be fitted.

    Args:
        task: whose buyers.
        probability: ours, of an order within the horizon, shape `(n,)`; None where there is none.
        waits: days from the cutoff to each buyer's next order, 1 for the day of the cutoff; infinite where unknown.
    """
    curves = _curves(task, probability)
    alive = p_alive(task.shop)
    if not curves or alive is None:
        return {}
    ordered = (waits <= task.horizon_days).astype(np.uint8)
    return {
        "curve": [_at(curves, days, waits) for days in _days(task.horizon_days)],
        "next_order": {
            "interval": round(SHARES[1] - SHARES[0], 6),
            "models": [_interval(name, curve, task, waits) for name, curve in curves.items()],
        },
        "alive": {"mean": finite(float(alive.mean())), "auc": finite(auc(ordered, alive))},
    }


def _curves(task: Task, probability: Floats | None) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    if probability is not None:
        ours = curve_of(task.shop, {task.horizon_days: probability})
        curves |= {} if ours is None else {OURS: ours}
    history = task.buyers.history()
    for name, fit in task.shop.fits(task.day).items():
        alive = fit.p_alive(history)

        def shape(days: float, fit: Any = fit, alive: Floats = alive) -> Floats:
            return np.asarray(fit.p_any(history, weeks=days / DAYS_A_WEEK, alive=alive))

        curves[name] = Curve(shape, {task.horizon_days: shape(task.horizon_days)})
    return curves


def _days(horizon_days: int) -> list[int]:
    """A quarter, a half, three quarters and the whole of the horizon."""
    return sorted({max(1, round(horizon_days * quarter / 4)) for quarter in (1, 2, 3, 4)})


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
