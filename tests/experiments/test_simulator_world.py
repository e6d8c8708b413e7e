from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from experiments.simulator import kinds as k
from experiments.simulator.export import simulate_history
from experiments.simulator.playing import Exposure, Week
from experiments.simulator.tables import EXPORT_SCHEMA
from experiments.simulator.world import World
from features.faults import CallersMistake

END = dt.date(2026, 10, 25)
WEEK = dt.timedelta(days=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    simulate_history(folder, customers=1_500, days=400, seed=3, end=END)
    return folder


@pytest.fixture
def world(folder: Path) -> World:
    return World.load(folder)


def ids_of(world: World) -> list[str]:
    return [str(customer_id) for customer_id in world.customer_ids.to_pylist()]


def buyers(week: Week) -> set[str]:
    converted = week.outcomes.filter(pc.equal(week.outcomes["outcome"], "converted"))
    return set(converted["customer_id"].to_pylist())


def play_weeks(world: World, actions: list[str], *, n_weeks: int = 1, seed: int = 1) -> set[str]:
    """Everyone gets an action each week, in turn from the list; gives those who ordered."""
    ordered: set[str] = set()
    for week in range(n_weeks):
        exposures = [
            Exposure(customer_id, actions[(number + week) % len(actions)], world.now)
            for number, customer_id in enumerate(ids_of(world))
        ]
        ordered |= buyers(world.simulate_week(world.now, exposures, seed))
    return ordered


def standard_errors(realised: float, probability: np.ndarray) -> float:
    return float((realised - probability.sum()) / np.sqrt((probability * (1 - probability)).sum()))


@pytest.mark.parametrize("action", ["nothing", "curated_set", "replenish_reminder", "festival_offer"])
def test_responses_come_as_often_as_the_true_probability_says(world: World, action: str) -> None:
    customers = ids_of(world) * 20
    at = world.now + dt.timedelta(hours=9, minutes=20)
    outcomes = world.respond(customers, action, at, np.random.default_rng(1))
    converted = outcomes.filter(pc.equal(outcomes["outcome"], "converted"))
    probability = world.order_probability(customers, action, at)
    assert abs(standard_errors(converted.num_rows, probability)) < 4
    assert pc.min(converted["at"]).as_py() >= at
    assert pc.max(converted["at"]).as_py() < at + WEEK


def test_played_weeks_come_out_as_often_as_the_truth_says(folder: Path) -> None:
    world = World.load(folder)
    probability = world.order_probability(ids_of(world), "bestsellers", world.now)
    realised = [len(play_weeks(World.load(folder), ["bestsellers"], seed=seed)) for seed in range(12)]
    assert abs(standard_errors(sum(realised), np.tile(probability, 12))) < 4


def test_four_played_weeks_come_out_as_often_as_the_true_uplift_says(folder: Path) -> None:
    actions = ["curated_set", "festival_offer", "nothing", "replenish_reminder"]
    realised, truth, without = [], None, None
    for seed in range(10):
        world = World.load(folder)
        realised.append(len(play_weeks(world, actions, n_weeks=4, seed=seed)))
        truth = world.true_uplift()
        held_out = World.load(folder)
        without = len(play_weeks(held_out, ["nothing"], n_weeks=4, seed=seed)) if seed == 0 else without
    assert truth is not None
    assert without is not None
    n = truth.n_customers
    assert n == 1_500
    error = np.sqrt(truth.order_rate * (1 - truth.order_rate) / (n * len(realised)))
    assert abs(np.mean(realised) / n - truth.order_rate) < 4 * error
    assert abs(without / n - truth.baseline_order_rate) < 4 * np.sqrt(0.25 / n)
    assert truth.absolute_uplift == pytest.approx(truth.order_rate - truth.baseline_order_rate)
    assert truth.absolute_uplift > 0.01


def test_nothing_against_nothing_has_no_uplift(world: World) -> None:
    play_weeks(world, ["nothing"])
    truth = world.true_uplift()
    assert truth.absolute_uplift == 0.0
    assert truth.relative_uplift == 0.0


def test_the_truth_of_one_week_is_the_probability_asked_before_it(folder: Path) -> None:
    world = World.load(folder)
    given = world.order_probability(ids_of(world), "curated_set", world.now, window_days=7)
    without = world.order_probability(ids_of(world), "nothing", world.now, window_days=7)
    play_weeks(world, ["curated_set"])
    truth = world.true_uplift(window_days=7)
    assert truth.order_rate == pytest.approx(given.mean())
    assert truth.baseline_order_rate == pytest.approx(without.mean())


def test_an_exposure_in_the_middle_of_a_day_starts_its_own_window(folder: Path) -> None:
    world = World.load(folder)
    at = world.now + dt.timedelta(days=2, hours=13)
    customer_id = ids_of(world)[7]
    world.simulate_week(world.now, [Exposure(customer_id, "curated_set", at)], 1)
    truth = world.true_uplift(window_days=3)
    fresh = World.load(folder)
    assert truth.order_rate == pytest.approx(fresh.order_probability([customer_id], "curated_set", at, 3)[0], rel=0.2)


def test_held_out_customers_are_not_in_the_truth(world: World) -> None:
    ids = ids_of(world)
    exposures = [Exposure(ids[0], "curated_set", world.now)]
    exposures += [Exposure(ids[1], "nothing", world.now, is_personalised=False)]
    world.simulate_week(world.now, exposures, 1)
    assert world.true_uplift().n_customers == 1
    assert world.true_uplift([ids[1]]).absolute_uplift == 0.0


def test_there_is_something_for_personalisation_to_earn(world: World) -> None:
    probability = np.stack([world.order_probability(ids_of(world), action, world.now) for action in k.ACTIONS])
    best_for_all = probability.mean(axis=1).max()
    best_for_each = probability.max(axis=0).mean()
    assert best_for_each > best_for_all + 0.01
    best = probability.argmax(axis=0)
    assert len(np.unique(best)) >= 6
    # Do not disturb: for some of them any message is worse than none.
    disturbed = world.population.do_not_disturb
    assert (probability[1:, disturbed] <= probability[0, disturbed]).all()
    assert (best[disturbed] == 0).all()


def test_a_coupon_for_a_loyal_refiller_costs_margin_and_earns_nothing(world: World) -> None:
    refillers = [
        customer_id
        for customer_id, kind, n in zip(ids_of(world), world.population.kind, world.state.n_orders, strict=True)
        if kind == k.LOYAL_REFILLER and n >= 2
    ]
    coupon, nothing = (world.order_probability(refillers, a, world.now).mean() for a in ("winback_offer", "nothing"))
    assert coupon - nothing < 0.01
    responses = {
        action: world.respond(refillers * 20, action, world.now, np.random.default_rng(2))
        for action in ("winback_offer", "bestsellers")
    }
    value = {action: pc.mean(table["value"]).as_py() for action, table in responses.items()}
    assert value["winback_offer"] < 0.9 * value["bestsellers"]


def test_the_same_week_can_be_played_twice(folder: Path) -> None:
    def play(seed: int) -> Week:
        world = World.load(folder)
        return world.simulate_week(world.now, [Exposure(ids_of(world)[0], "skin_quiz", world.now)], seed)

    assert play(1).events.equals(play(1).events)
    assert play(1).outcomes.equals(play(1).outcomes)
    assert not play(1).events.equals(play(2).events)


def test_a_played_week_reads_like_the_export(folder: Path) -> None:
    world = World.load(folder)
    start = world.now
    exposures = [Exposure(customer_id, "skin_quiz", start, "whatsapp") for customer_id in ids_of(world)]
    week = world.simulate_week(start, exposures, 4)
    assert week.events.schema.equals(EXPORT_SCHEMA)
    assert world.now == start + WEEK
    assert pc.min(week.events["time"]).as_py() >= start
    assert pc.max(week.events["time"]).as_py() < world.now
    kinds = set(week.events["event"].to_pylist())
    assert {"Order Completed", "Product Viewed", "Question Answered", "Message Sent", "Message Replied"} <= kinds
    assert set(week.outcomes["outcome"].to_pylist()) == {"clicked", "replied", "refused", "converted"}
    assert pc.min(week.outcomes["at"]).as_py() >= start
    assert pc.max(week.outcomes["at"]).as_py() < world.now
    ordered = week.events.filter(pc.equal(week.events["event"], "Order Completed"))
    assert len(buyers(week)) == len(set(ordered["customer_id"].to_pylist()))


def test_no_order_after_an_exposure_is_lost(folder: Path) -> None:
    world = World.load(folder)
    for seed in range(2):
        at = world.now + dt.timedelta(hours=20)
        week = world.simulate_week(world.now, [Exposure(i, "bestsellers", at) for i in ids_of(world)], seed)
    ordered = week.events.filter(pc.equal(week.events["event"], "Order Completed"))
    before = ordered.filter(pc.less(ordered["time"], at))
    assert week.late_orders.num_rows == len(set(before["order_id"].to_pylist())) > 0
    n_converted = pc.sum(pc.equal(week.outcomes["outcome"], "converted")).as_py()
    assert n_converted + week.late_orders.num_rows == len(set(ordered["order_id"].to_pylist()))


def test_what_came_before_is_refused(world: World) -> None:
    with pytest.raises(CallersMistake, match="already stands at 2026-10-25"):
        world.order_probability(ids_of(world)[:1], "nothing", world.now - WEEK)
    with pytest.raises(CallersMistake, match="played one after the other"):
        world.simulate_week(world.now + WEEK, [], 1)
    with pytest.raises(CallersMistake, match="no time zone"):
        world.order_probability(ids_of(world)[:1], "nothing", dt.datetime(2026, 12, 1))  # noqa: DTZ001


def test_unknown_names_are_refused_with_the_closest(world: World) -> None:
    with pytest.raises(CallersMistake, match=r"Closest: 'curated_set'"):
        world.order_probability(ids_of(world)[:1], "curated_sets", world.now)
    with pytest.raises(CallersMistake, match="customer 'stranger'"):
        world.order_probability(["stranger"], "nothing", world.now)
    with pytest.raises(CallersMistake, match="channel 'emial'"):
        world.simulate_week(world.now, [Exposure(ids_of(world)[0], "nothing", world.now, "emial")], 1)
    with pytest.raises(CallersMistake, match="needs exposures"):
        world.true_uplift()


def test_a_folder_without_truth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallersMistake, match=r"no truth/plan\.json"):
        World.load(tmp_path)


def test_a_played_world_is_not_saved(world: World, tmp_path: Path) -> None:
    world.simulate_week(world.now, [], 1)
    with pytest.raises(CallersMistake, match="Save before simulate_week"):
        world.save(tmp_path)
