"""How good next purchase is beside what you would pick instead, on whatever was imported.

Everything is fitted to what was known before the cutoff; what happened after it is read once, by the judge. Customers
are those with an order before the cutoff.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake
from training.evaluating.baselines import BASELINES
from training.evaluating.figures import SPEND, amount_figures, probability_figures
from training.evaluating.second_purchase import second_purchase
from training.evaluating.task import Said, Task
from training.evaluating.waiting import waiting
from training.order_days import EPOCH_ORDINAL, Happened, OrderDays, day_of, read_order_days

if TYPE_CHECKING:
    from features.workspace import Workspace

Floats = NDArray[np.float64]

TASK = "next-purchase"
LONGEST_HORIZON_DAYS = 3_650
SILENCE_OF_HORIZON = 0.1  # so much of the window may lie behind the last order, if the shop was ever silent so long


@dataclass(frozen=True, slots=True)
class Figured:
    """One model's figures, or why there are none."""

    name: str
    metrics: dict[str, float | None]
    reason: str | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON; `reason` only where it could not be fitted."""
        said: dict[str, Any] = {"name": self.name, "metrics": self.metrics}
        if self.reason is not None:
            said["reason"] = self.reason
        if self.notes:
            said["notes"] = list(self.notes)
        return said


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One horizon's table."""

    cutoff: date
    horizon_days: int
    n: int
    shipped: str
    models: tuple[Figured, ...]
    notes: tuple[str, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """In the shape that programs read."""
        return {
            "task": TASK,
            "cutoff": self.cutoff.isoformat(),
            "horizon_days": self.horizon_days,
            "n": self.n,
            "shipped": self.shipped,
            "models": [one.as_dict() for one in self.models],
            **({"notes": list(self.notes)} if self.notes else {}),
            **self.more,
        }


def evaluate_next_purchase(
    workspace: Workspace, *, cutoff: date, horizons_days: Sequence[int], seed: int = 0
) -> list[Evaluated]:
    """One table a horizon, in the order asked.

    Args:
        workspace: with orders imported.
        cutoff: the day before which everything is known; it begins at midnight in the brand's time zone.
        horizons_days: how far ahead, each on its own; the window `[cutoff, cutoff + horizon)` must have closed.
        seed: of whatever draws.

    Raises:
        CallersMistake: there are no orders, none before the cutoff, or a window that has not closed.
    """
    from features.brand import load_brand
    from features.owners import persons
    from training.dataset import WorkspaceSource

    if not horizons_days:
        raise CallersMistake("Asked to evaluate next purchase without a horizon. Name one, such as --horizon-days 90.")
    orders = read_order_days(workspace)
    zone = load_brand(workspace).time_zone
    day = cutoff.toordinal() - EPOCH_ORDINAL
    notes = {horizon: check_asked(orders, cutoff=cutoff, horizon_days=horizon) for horizon in horizons_days}
    instant = datetime.combine(cutoff, time(), tzinfo=ZoneInfo(zone))
    happened = Happened(orders, persons(workspace))
    known, more = _known(happened, read_order_days(workspace, known_until=instant), cutoff=cutoff, day=day)
    source = WorkspaceSource(workspace, as_of=instant, eligible=has_ordered)
    tables = []
    for horizon in horizons_days:
        task = Task(instant, day_of(instant, time_zone=zone), horizon, known, source, seed)
        tables.append(_evaluate(task, happened, workspace, cutoff=cutoff, notes=(*notes[horizon], *more)))
    return tables


def has_ordered(frame: Any) -> NDArray[np.bool_]:
    """Which customers of a snapshot have an order behind them."""
    return np.asarray(frame["n_orders"].fillna(0).to_numpy() > 0)


def check_asked(orders: OrderDays, *, cutoff: date, horizon_days: int) -> tuple[str, ...]:
    """What a reader should know of the window; nothing where its every day is known.

    Raises:
        CallersMistake: see `evaluate_next_purchase`.
    """
    asked = f"Asked how good {horizon_days} days from {cutoff} would have been said"
    if not 1 <= horizon_days <= LONGEST_HORIZON_DAYS:
        raise CallersMistake(f"{asked}, but a horizon is 1 to {LONGEST_HORIZON_DAYS} days.")
    if not len(orders.days):
        raise CallersMistake(f"{asked}, but no order has been imported. Bring a history in with 'rapport import'.")
    first, last = (date.fromordinal(int(day) + EPOCH_ORDINAL) for day in (orders.days[0], orders.days[-1]))
    if cutoff <= first:
        raise CallersMistake(
            f"{asked}, but orders begin on {first}: nobody had ordered before the cutoff. "
            f"Use a cutoff after {first} and before {last}."
        )
    closes = cutoff + timedelta(days=horizon_days)
    unknown = (closes - last).days - 1
    if unknown <= 0:
        return ()
    allowed = min(orders.longest_silence - 1, int(SILENCE_OF_HORIZON * horizon_days))
    if unknown > allowed:
        do = _what_would_do(first, last, cutoff=cutoff, horizon_days=horizon_days)
        raise CallersMistake(f"{asked}, but orders end on {last} and the window closes on {closes}. {do}")
    return (f"orders end on {last}: the last {unknown} days of the window are taken to have brought none",)


def _what_would_do(first: date, last: date, *, cutoff: date, horizon_days: int) -> str:
    """The cutoffs and horizons whose window has closed, behind an order."""
    newest, longest = last + timedelta(days=1 - horizon_days), (last - cutoff).days + 1
    could = [
        *([f"a cutoff of {newest} or earlier"] if newest > first else []),
        *([f"a horizon of {longest} days or fewer"] if longest > 0 else []),
    ]
    return f"Use {', or '.join(could)}." if could else f"They begin on {first}: bring more in with 'rapport import'."


def _known(happened: Happened, known: OrderDays, *, cutoff: date, day: int) -> tuple[OrderDays, tuple[str, ...]]:
    """The order days that were known at the cutoff, and what came to be known of them later."""
    known, notes = known.before(day), []
    late = len(happened.orders.before(day).days) - len(
        OrderDays.of(happened.persons_of(known.customer_keys), known.days, known.amounts).days
    )
    if not len(known.days):
        raise CallersMistake(
            f"Asked to evaluate next purchase from {cutoff}, but all {late} order-days before it were received later: "
            "nothing was known then. Use a later cutoff, or correct received_at in the mapping."
        )
    if late > 0:
        notes.append(f"{late} order-days before the cutoff were received after it: no model knows of them")
    buyers = known.buyers(day).keys
    joined = int((happened.persons_of(buyers) != buyers).sum())
    if joined:
        notes.append(
            f"{joined} customers turned out after the cutoff to be one person with another: each is asked by itself, "
            "and what the whole person ordered is what happened"
        )
    return known, tuple(notes)


def _evaluate(
    task: Task, happened: Happened, workspace: Workspace, *, cutoff: date, notes: tuple[str, ...]
) -> Evaluated:
    from training.evaluating.ours import ours
    from training.evaluating.products import next_products_judged

    actual, spent = happened.within(task.buyers.keys, day=task.day, horizon_days=task.horizon_days)
    waits = happened.next_day(task.buyers.keys, day=task.day) + 1.0
    with _quietly():
        told = {"ours": _ask(ours, task)} | {name: _ask(model, task) for name, model in BASELINES.items()}
        figured = [_figured(name, said, actual=actual, spent=spent) for name, said in told.items()]
        probabilities = {
            name: _told(said.probability) if isinstance(said, Said) else None for name, said in told.items()
        }
        known_days = int(happened.orders.days[-1]) - task.day + 1
        own = told["ours"] if isinstance(told["ours"], Said) else Said()
        more, silent = or_why(
            "When the next order comes",
            lambda: waiting(task, probabilities["ours"], waits, known_days=known_days, year=own.year),
        )
        ordered = (actual > 0).astype(np.uint8)
        more["second_purchase"] = second_purchase(task, probabilities=probabilities, once=own.once, ordered=ordered)
        of, unsaid = or_why(
            "What the next purchase is of",
            lambda: next_products_judged(
                workspace, cutoff=task.cutoff, day=task.day, horizon_days=task.horizon_days, seed=task.seed
            ),
        )
    notes, more = (*notes, *silent, *unsaid), more | of
    return Evaluated(cutoff, task.horizon_days, len(actual), figured[0].name, tuple(figured), notes, more)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what libraries warn of, and on one thread: on some thousand customers a second one only waits."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with warnings.catch_warnings(), np.errstate(all="ignore"), threadpool_limits(1):
        warnings.simplefilter("ignore")
        yield


def _ask(model: Callable[[Task], Said], task: Task) -> Said | str:
    """What a model says; or why it cannot be fitted to this data, and the others go on."""
    try:
        return model(task)
    except Exception as reason:  # what stops one alternative must not stop the table
        return _why(reason)


def or_why(of: str, figures: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Figures beside the table's; or none, and a note of why: what stops them must not stop the table."""
    try:
        return figures(), ()
    except Exception as reason:
        return {}, (f"{of} is not said: {_why(reason)}",)


def _figured(name: str, told: Said | str, *, actual: Floats, spent: Floats) -> Figured:
    said, why = (Said(), told) if isinstance(told, str) else (told, None)
    metrics = (
        probability_figures((actual > 0).astype(np.uint8), _told(said.probability))
        | amount_figures(actual, _told(said.orders))
        | amount_figures(spent, _told(said.spend), prefix=SPEND)
    )
    return Figured(said.name or name, metrics, why, said.notes)


def _told(values: Floats | None) -> Floats | None:
    """None for what holds a value that is no number."""
    return None if values is None or not np.isfinite(values).all() else np.asarray(values, dtype=np.float64)


def _why(reason: Exception) -> str:
    text = str(reason) or type(reason).__name__
    return text if isinstance(reason, ValueError) else f"{type(reason).__name__}: {text}"
