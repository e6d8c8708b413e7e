"""What a data scientist would pick instead, each fitted to what was known before the cutoff, in the same run.

BG/NBD and Pareto/NBD are fitted to everyone's whole history and multiplied with gamma-gamma for spend. Regression and
boosting learn from recency, frequency and money, one horizon before the cutoff. Where the history is too short for a
closed window of that length with as much history behind it, they learn from the longest that there is, and say so. What
that says is carried to the horizon at a steady pace, as anyone would: amounts by the ratio of the lengths, P(an order)
as if one came at the same rate throughout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.evaluating.task import Said, Task
from training.gamma_gamma import fit_gamma_gamma
from training.order_days import rfm
from training.repeat_buying import DAYS_A_WEEK, History, fit_bgnbd

Floats = NDArray[np.float64]

FEWEST_BUYERS = 30  # for the four parameters of a model of repeat buying
FEWEST_EITHER = 10  # customers who ordered, and who did not, to teach a classifier


class CannotFitError(ValueError):
    """This model cannot be fitted to this data; the message says why."""


class RepeatBuying(Protocol):
    """BG/NBD or Pareto/NBD, fitted."""

    def p_any(self, history: History, *, weeks: float) -> Floats:
        """P(at least one purchase within so many weeks)."""

    def expected(self, history: History, *, weeks: float) -> Floats:
        """Expected purchases within so many weeks."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the classifiers learn from: recency, frequency and money, then what followed within the window."""

    X: Floats
    y: NDArray[np.uint8]
    orders: Floats
    spend: Floats
    window_days: int
    notes: tuple[str, ...]
    times: float = 1.0  # the horizon, in windows

    def carried(self, probability: Floats, orders: Floats, spend: Floats | None) -> Said:
        """What was learned of the window, said of the horizon; each of shape `(n,)`."""
        within = 1.0 - (1.0 - np.asarray(probability)) ** self.times
        return Said(within, orders * self.times, None if spend is None else spend * self.times, self.notes)


def bg_nbd(task: Task) -> Said:
    """BG/NBD (Fader, Hardie, Lee 2005), spend by gamma-gamma."""
    return _repeat_buying(task, fit_bgnbd)


def pareto_nbd(task: Task) -> Said:
    """Pareto/NBD (Schmittlein, Morrison, Colombo 1987), spend by gamma-gamma."""
    from training.pareto_nbd import fit_pareto_nbd

    return _repeat_buying(task, fit_pareto_nbd)


def logistic_rfm(task: Task) -> Said:
    """Logistic regression on RFM; order-days and spend by Poisson regressions on the same columns."""
    from sklearn.linear_model import LogisticRegression, PoissonRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def standardised(model: Any) -> Any:
        return make_pipeline(StandardScaler(), model)

    return _taught(
        task,
        classifier=standardised(LogisticRegression(max_iter=500)),
        regressor=lambda: standardised(PoissonRegressor(alpha=1e-3, max_iter=500)),
    )


def histogram_boosting(task: Task) -> Said:
    """Histogram boosting of sklearn on RFM; order-days and spend by its Poisson loss."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return _taught(
        task,
        classifier=HistGradientBoostingClassifier(random_state=task.seed),
        regressor=lambda: HistGradientBoostingRegressor(loss="poisson", random_state=task.seed),
    )


def base_rate(task: Task) -> Said:
    """What held on average in the last closed window, said of everybody."""
    lesson, n = lesson_of(task), len(task.buyers.keys)
    rate, orders, spend = (np.full(n, float(values.mean())) for values in (lesson.y, lesson.orders, lesson.spend))
    return lesson.carried(rate, orders, spend)


BASELINES: dict[str, Callable[[Task], Said]] = {
    "BG/NBD": bg_nbd,
    "Pareto/NBD": pareto_nbd,
    "logistic RFM": logistic_rfm,
    "sklearn HistGradientBoosting RFM": histogram_boosting,
    "base rate": base_rate,
}


def lesson_of(task: Task) -> Lesson:
    """The newest closed window of the horizon's length, or the longest with as much history behind it.

    Raises:
        CannotFitError: nobody had ordered before any window that has closed.
    """
    history_days = task.day - task.first_day
    window = min(task.horizon_days, history_days // 2)
    start = task.day - window
    notes: tuple[str, ...] = ()
    if window < task.horizon_days:
        notes = (
            f"taught on a window of {window} days: the {history_days} days before the cutoff hold no longer one; "
            f"carried to {task.horizon_days} days at a steady pace",
        )
    buyers = task.known.buyers(start) if window else None
    if buyers is None or not len(buyers.keys):
        raise CannotFitError("nobody had ordered before any window that has closed")
    orders, spend = task.known.within(buyers.keys, day=start, horizon_days=window)
    times = task.horizon_days / window
    return Lesson(rfm(buyers), (orders > 0).astype(np.uint8), orders, spend, window, notes, times)


def expected_spend(task: Task, orders: Floats) -> tuple[Floats | None, str]:
    """Order-days times what gamma-gamma expects of each, and a note; None where there is no money to learn from."""
    buyers = task.buyers
    value = buyers.mean_value()
    try:
        fitted = fit_gamma_gamma(buyers.n_valued, value)
    except ValueError as reason:
        return None, f"no spend: {reason}"
    return orders * fitted.expected(buyers.n_valued, value), "spend: order-days × gamma-gamma"


def _repeat_buying(task: Task, fit: Callable[[History], RepeatBuying]) -> Said:
    history = task.buyers.history()
    if len(history.x) < FEWEST_BUYERS:
        raise CannotFitError(f"{len(history.x)} customers have ordered; its parameters need at least {FEWEST_BUYERS}")
    if not (history.x > 0).any():
        raise CannotFitError("nobody has ordered on a second day, so nothing shows how often people come back")
    weeks = task.horizon_days / DAYS_A_WEEK
    fitted = fit(history)
    orders = fitted.expected(history, weeks=weeks)
    spend, note = expected_spend(task, orders)
    return Said(fitted.p_any(history, weeks=weeks), orders, spend, (note,))


def _taught(task: Task, *, classifier: Any, regressor: Callable[[], Any]) -> Said:
    lesson = lesson_of(task)
    n_ordered = int(lesson.y.sum())
    fewest = min(n_ordered, len(lesson.y) - n_ordered)
    if fewest < FEWEST_EITHER:
        which = "ordered" if fewest == n_ordered else "did not order"
        raise CannotFitError(
            f"only {fewest} of {len(lesson.y)} customers {which} within the {lesson.window_days} days that teach it; "
            f"it needs {FEWEST_EITHER} of either kind"
        )
    X = rfm(task.buyers)
    probability = classifier.fit(lesson.X, lesson.y).predict_proba(X)[:, 1]
    orders = regressor().fit(lesson.X, lesson.orders).predict(X)
    spend = regressor().fit(lesson.X, lesson.spend).predict(X) if lesson.spend.any() else None
    return lesson.carried(probability, orders, spend)
