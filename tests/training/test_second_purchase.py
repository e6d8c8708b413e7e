"""Second purchase in `rapport evaluate next-purchase`: customers with one order-day, and ours calibrated on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from training.evaluating.figures import probability_figures
from training.evaluating.next_purchase import Evaluated, Figured
from training.evaluating.next_purchase_cli import as_markdown
from training.evaluating.second_purchase import calibrated_on_its_own, second_purchase
from training.evaluating.task import Once, Task
from training.evaluation import log_losses
from training.heads import Head
from training.members import REPEAT_BUYING, TREES
from training.next_purchase import fit_head
from training.order_days import EPOCH_ORDINAL, OrderDays
from training.recipes import NO_SEASON, RECIPES
from training.short_history import best_head

CUT, HORIZON, DAYS = 200, 40, 240
ONCE_AND_GONE = 0.5


def a_shop(tiny_world: Callable[..., Any], *, n_customers: int = 900) -> Any:
    """Customers who come all the time; half of them order once and never again, the others every two months or so."""
    world = tiny_world(n_customers=n_customers, days=DAYS)
    rng = np.random.default_rng(3)
    world.orders = []
    for _ in range(n_customers):
        first, gone = rng.uniform(0, DAYS), rng.random() < ONCE_AND_GONE
        later = first + np.cumsum(rng.exponential(60.0, 20))
        world.orders.append(np.concatenate([[first], [] if gone else later[later < DAYS]]))
    return world


def order_days(world: Any) -> OrderDays:
    keys = np.repeat(np.arange(1, len(world.orders) + 1), [len(of) for of in world.orders])
    days = np.floor(np.concatenate(world.orders)).astype(np.int64) + world.first.date().toordinal() - EPOCH_ORDINAL
    return OrderDays.of(keys, days, np.full(len(keys), 10.0))


def a_task(world: Any, *, horizon_days: int = HORIZON) -> tuple[Task, np.ndarray[Any, Any]]:
    """What was known at the cutoff, and whether each buyer ordered after it; the world forgets what came after."""
    orders = order_days(world)
    cutoff = world.first + timedelta(days=CUT)
    day = cutoff.date().toordinal() - EPOCH_ORDINAL
    world.known_until = cutoff
    world.orders = [of[of < CUT] for of in world.orders]  # whatever looked later would find nothing
    task = Task(cutoff, day, horizon_days, orders.before(day), world)
    ordered, _ = orders.within(task.buyers.keys, day=day, horizon_days=horizon_days)
    return task, (ordered > 0).astype(np.uint8)


def a_head(task: Task, *members: str) -> Head:
    recipe = replace(RECIPES[0], members=members, calibration="shift", season=NO_SEASON)
    return fit_head(task.source, horizon_days=task.horizon_days, used_at=task.cutoff, recipe=recipe)


def said_of(task: Task, head: Head) -> np.ndarray[Any, Any]:
    snapshot = task.source.snapshot(task.cutoff)
    return np.asarray(head.predict(snapshot.X)[np.isin(snapshot.customer_keys, task.buyers.keys)])


def test_where_a_model_is_wrong_about_those_who_ordered_once_they_get_a_calibration_of_their_own(
    tiny_world: Callable[..., Any],
) -> None:
    task, ordered = a_task(a_shop(tiny_world))
    head = a_head(task, REPEAT_BUYING)  # BG/NBD takes everybody for alive who has ordered once
    once = calibrated_on_its_own(task, head)
    assert once.because.startswith("calibrated on its own (")
    assert once.probability is not None
    asked = task.buyers.n_days == 1
    everybody, own, y = said_of(task, head)[asked], once.probability[asked], ordered[asked]
    assert log_losses(y, own).mean() < log_losses(y, everybody).mean() - 0.01
    assert abs(own.mean() - y.mean()) < abs(everybody.mean() - y.mean())


def test_what_came_after_the_cutoff_has_no_part_in_it(tiny_world: Callable[..., Any]) -> None:
    world = a_shop(tiny_world)
    other = a_shop(tiny_world)
    other.orders = [of[of < CUT] for of in other.orders]  # nobody ever comes back
    (task, _), (silent, _) = a_task(world), a_task(other)
    of_either = [calibrated_on_its_own(one, a_head(one, REPEAT_BUYING)).because for one in (task, silent)]
    assert of_either[0] == of_either[1]


def test_where_it_would_not_be_better_there_is_none_and_the_reader_is_told_why(tiny_world: Callable[..., Any]) -> None:
    task, _ = a_task(a_shop(tiny_world))
    once = calibrated_on_its_own(task, a_head(task, TREES))  # which tell who ordered once from the others
    assert once.probability is None
    assert once.because.startswith("reported, not calibrated on its own: log-loss ")
    assert "such customers of the held-back window" in once.because


@pytest.mark.parametrize(
    ("n_customers", "horizon_days", "says"),
    [(900, 150, "no window of 150 days is closed"), (200, HORIZON, "it needs 30 who did and 30 who did not")],
)
def test_where_too_little_is_known_it_is_reported_and_not_calibrated(
    tiny_world: Callable[..., Any], n_customers: int, horizon_days: int, says: str
) -> None:
    task, _ = a_task(a_shop(tiny_world, n_customers=n_customers), horizon_days=horizon_days)
    head = best_head(task.source, horizon_days=horizon_days, used_at=task.cutoff)
    once = calibrated_on_its_own(task, head)
    assert once.probability is None
    assert once.because.startswith("reported, not calibrated on its own: ")
    assert says in once.because


def test_the_figures_are_of_those_who_ordered_on_exactly_one_day(tiny_world: Callable[..., Any]) -> None:
    world = a_shop(tiny_world, n_customers=200)
    task, ordered = a_task(world)
    n = len(task.buyers.keys)
    ours, own = np.linspace(0.01, 0.9, n), np.linspace(0.3, 0.4, n)
    probabilities = {"ours": ours, "constant": np.full(n, 0.2), "silent": None}
    found = second_purchase(task, probabilities=probabilities, once=Once(own, "why"), ordered=ordered)
    asked = np.array([len(np.unique(np.floor(of))) == 1 for of in world.orders if len(of)])
    assert found["n"] == asked.sum() < n
    assert found["base_rate"] == pytest.approx(ordered[asked].mean(), abs=1e-6)
    assert (found["calibrated_on_its_own"], found["because"]) == (True, "why")
    rows = {one["name"]: one["metrics"] for one in found["models"]}
    assert list(rows) == ["ours", "ours, calibrated with everybody", "constant", "silent"]
    for name, said in {"ours": own, "ours, calibrated with everybody": ours}.items():
        assert rows[name].items() >= probability_figures(ordered[asked], said[asked]).items()
        assert rows[name]["calibration_slope"] is not None
    assert rows["constant"]["calibration_slope"] is None  # a line through one point
    assert set(rows["silent"].values()) == {None}


def test_where_nobody_ordered_just_once_there_are_no_figures(tiny_world: Callable[..., Any]) -> None:
    world = a_shop(tiny_world, n_customers=60)
    world.orders = [np.array([5.0, 50.0, 220.0]) for _ in world.orders]
    task, ordered = a_task(world)
    found = second_purchase(task, probabilities={"ours": np.full(60, 0.5)}, once=None, ordered=ordered)
    assert (found["n"], found["base_rate"]) == (0, None)
    assert set(found["models"][0]["metrics"].values()) == {None}


def test_the_text_says_it_too_where_no_curve_could_be_drawn(tiny_world: Callable[..., Any]) -> None:
    world = a_shop(tiny_world, n_customers=200)
    task, ordered = a_task(world)
    probabilities = {"ours": np.linspace(0.1, 0.2, len(ordered))}
    found = second_purchase(task, probabilities=probabilities, once=Once(None, "why"), ordered=ordered)
    models = (Figured("ours", {"sum_actual": 3.0, "spend_sum_actual": 30.0}),)
    table = Evaluated(task.cutoff.date(), HORIZON, len(ordered), "ours", models, more={"second_purchase": found})
    text = as_markdown(table)
    assert f"Second purchase: {found['n']:,} customers had ordered on exactly one day; {found['base_rate']:.3f}" in text
    assert f"| ours | {found['models'][0]['metrics']['auc']:.3f} |" in text
    assert "Ours: why." in text
