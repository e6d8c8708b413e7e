"""What a next-purchase version says beyond its horizons: any horizon, the next order's day, who still buys."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.artifact import NEXT_PURCHASE, NextPurchaseModel, load_model, write_artifact
from training.cards.beyond import beyond
from training.coming import cutoffs_of_curve, line_of, waits_of, with_coming
from training.next_purchase import Trained
from training.score_columns import columns_of_coming
from training.second_purchase import judged_once


@pytest.fixture(scope="module")
def world(a_tiny_world: Any) -> Any:
    return a_tiny_world


@pytest.fixture(scope="module")
def trained(with_its_curve: Trained) -> Trained:
    return with_its_curve


@pytest.fixture(scope="module")
def model(trained: Trained, world: Any, tmp_path_factory: pytest.TempPathFactory) -> NextPurchaseModel:
    return written(trained, world, tmp_path_factory.mktemp("artifacts"))


def written(trained: Trained, world: Any, folder: Path) -> NextPurchaseModel:
    version = write_artifact(folder, trained.description, trained.boosters)
    schema = SimpleNamespace(model_inputs=world.inputs, categories=world.categories, version="tiny")
    model = load_model(folder, NEXT_PURCHASE, version, schema=schema)
    assert isinstance(model, NextPurchaseModel)
    return model


def never_ordered(world: Any) -> np.ndarray:
    X = world.snapshot(world.known_until).X[:1].copy()
    X[:, [world.inputs.index(name) for name in ("days_since_last_order", "days_since_first_order")]] = np.nan
    X[:, [world.inputs.index(name) for name in ("n_orders", "n_orders_90d", "n_order_days", "revenue")]] = 0.0
    return np.asarray(X)


@settings(max_examples=15, deadline=None)
@given(days=st.lists(st.integers(1, 365), min_size=2, max_size=5))
def test_one_version_answers_any_horizon_and_a_longer_one_is_never_less_probable(
    model: NextPurchaseModel, world: Any, days: list[int]
) -> None:
    X = world.snapshot(world.known_until).X
    coming = model.coming(X)
    assert coming is not None
    said = np.stack([coming.p_any(day) for day in sorted(days)])
    assert ((said >= 0) & (said <= 1)).all()
    assert (np.diff(said, axis=0) >= -1e-12).all()


def test_at_a_served_horizon_the_curve_says_what_the_model_says(model: NextPurchaseModel, world: Any) -> None:
    X = world.snapshot(world.known_until).X
    coming = model.coming(X)
    assert coming is not None
    for place, horizon in enumerate(model.horizons_days):
        assert coming.p_any(horizon) == pytest.approx(model.predict(X)[:, place], abs=1e-5)


def test_the_curve_holds_between_and_beyond_the_horizons(model: NextPurchaseModel, world: Any) -> None:
    coming = model.coming(world.snapshot(world.known_until).X)
    assert coming is not None
    seldom = ~world.keen
    assert coming.p_any(15)[world.keen].mean() == pytest.approx(chance(world, 15)[world.keen].mean(), abs=0.1)
    assert coming.p_any(15)[seldom].mean() == pytest.approx(chance(world, 15)[seldom].mean(), abs=0.06)
    assert coming.p_any(90)[seldom].mean() == pytest.approx(chance(world, 90)[seldom].mean(), abs=0.1)
    with pytest.raises(ValueError, match="from 1 to 365"):
        coming.p_any(366)


def test_the_next_order_of_the_keen_comes_within_days_and_nobody_has_left(model: NextPurchaseModel, world: Any) -> None:
    coming = model.coming(world.snapshot(world.known_until).X)
    assert coming is not None
    order = coming.next_order()
    assert ((order.low <= order.middle) & (order.middle <= order.high)).all()
    assert np.median(order.middle[world.keen]) == pytest.approx(8 * np.log(2), abs=2)
    assert np.median(order.high[world.keen]) == pytest.approx(8 * np.log(10), abs=6)
    still = coming.still_buying()
    bought = coming.rhythm.bought
    assert (still[bought] >= coming.p_any(365)[bought] - 1e-12).all()
    assert still[world.keen].mean() > 0.95


def test_of_whoever_never_ordered_the_curve_is_steady_and_nobody_says_that_they_left(
    model: NextPurchaseModel, world: Any
) -> None:
    coming = model.coming(never_ordered(world))
    assert coming is not None
    said = [float(coming.p_any(day)[0]) for day in (30, 60)]
    assert said[1] == pytest.approx(1 - (1 - said[0]) ** 2, rel=1e-3)
    assert np.isnan(coming.still_buying()[0])


def test_a_row_alone_gets_what_it_gets_among_others(model: NextPurchaseModel, world: Any) -> None:
    X = world.snapshot(world.known_until).X
    together, alone = model.coming(X), model.coming(X[3:4])
    assert together is not None
    assert alone is not None
    assert alone.p_any(45)[0] == together.p_any(45)[3]
    assert alone.next_order().middle[0] == together.next_order().middle[3]


def chance(world: Any, days: float) -> np.ndarray:
    """Every customer's true probability of an order within so many days."""
    return np.asarray(1 - np.exp(-days * np.where(world.keen, 1 / 8, 1 / 90)))


def test_the_judging_window_shows_what_the_intervals_hold(trained: Trained, world: Any) -> None:
    judged = trained.description["coming"]["judged"]
    assert judged["as_of"] == trained.judged[-1].as_of.isoformat()
    assert judged["through_days"] == [7, 30]
    assert judged["next_order"]["coverage"] == pytest.approx(judged["next_order"]["said"], abs=0.07)
    assert judged["next_order"]["coverage"] > 0.75
    for one in judged["curve"]:
        truth = chance(world, one["days"])
        by_luck = 3 * float(np.sqrt((truth * (1 - truth)).mean() / judged["n"]))  # of 398 customers .05 at 30 days
        assert one["mean_probability"] == pytest.approx(truth.mean(), abs=by_luck)  # a level learned before
        assert one["base_rate"] == pytest.approx(truth.mean(), abs=by_luck)
        assert one["log_loss"] < 0.55
    assert "80% interval held" in line_of(judged)


def test_waits_are_those_of_the_orders(world: Any) -> None:
    as_of = world.first + timedelta(days=100)
    keys = np.arange(1, len(world.orders) + 1)
    waits = waits_of(world, keys, as_of, days=20)
    after = [orders[orders >= 100] for orders in world.orders]
    expected = [np.floor(of[0] - 100) + 1 if len(of) and of[0] < 120 else np.inf for of in after]
    assert waits.tolist() == expected


def test_the_same_seed_and_data_give_the_same_curve(trained: Trained, world: Any) -> None:
    assert with_coming(trained, world).description == trained.description


def test_a_version_without_a_curve_still_serves_and_says_nothing_more(
    trained: Trained, world: Any, tmp_path: Path
) -> None:
    bare = {name: value for name, value in trained.description.items() if name != "coming"}
    model = written(replace(trained, description=bare), world, tmp_path)
    X = world.snapshot(world.known_until).X
    assert model.predict(X).shape == (len(X), 2)
    assert model.coming(X) is None
    assert columns_of_coming(None, world.snapshot(world.known_until), horizons_days=(7,))[
        "still_buying"
    ].null_count == len(X)


def test_dates_of_scores_are_counted_from_where_they_stand(model: NextPurchaseModel, world: Any) -> None:
    coming = model.coming(world.snapshot(world.known_until).X)
    assert coming is not None
    told = columns_of_coming(coming, world.snapshot(world.known_until), horizons_days=(7, 30))["next_order_from"][
        0
    ].as_py()
    first = coming.next_order().low[0]
    assert told == date.fromordinal(world.known_until.date().toordinal() + int(first) - 1)


def test_what_judging_looks_at_is_made_beforehand(world: Any) -> None:
    judged_at = world.known_until - timedelta(days=35)
    assert max(cutoffs_of_curve(world, horizons_days=(7, 30))) == judged_at - timedelta(days=7)


def test_what_ranks_items_stands_beside_the_heads_and_changes_nothing_that_they_say(
    trained: Trained, model: NextPurchaseModel, world: Any, tmp_path: Path
) -> None:
    ranker = trained.boosters[0]
    described = {"kind": "product", "booster": len(trained.boosters)}
    more = replace(trained, description=trained.description | {"products": described}, other_boosters=(ranker,))
    told, X = written(more, world, tmp_path), world.snapshot(world.known_until).X
    assert np.array_equal(told.predict(X), model.predict(X))
    assert told.products_booster == ranker
    assert (model.products, model.products_booster) == (None, None)


def test_the_card_tells_what_was_judged_beyond_the_horizons_and_nothing_that_was_not(trained: Trained) -> None:
    once = {"n": 90, "base_rate": 0.4, "mean_probability": 0.35, "auc": 0.7, "log_loss": 0.6, "calibration_slope": 1.1}
    heads = [trained.description["heads"][0] | {"judged_once": once}, trained.description["heads"][1]]
    titles = [section.heading for section in beyond(trained.description | {"heads": heads})]
    assert titles == ["When the next order comes", "Second purchase"]
    bare = {"heads": trained.description["heads"]}
    assert beyond(bare) == []


def test_a_second_purchase_is_judged_on_customers_with_one_order_day(trained: Trained, world: Any) -> None:
    one = trained.judged[-1]
    X = world.snapshot(one.as_of).X.copy()
    X[:, world.inputs.index("n_order_days")] = np.where(np.arange(len(X)) % 2, 1.0, 3.0)
    source = SimpleNamespace(inputs=world.inputs, snapshot=lambda _: SimpleNamespace(X=X))
    found = judged_once(one, source)
    assert found is not None
    assert found["n"] == len(X) // 2
    assert found["base_rate"] == pytest.approx(one.y[1::2].mean(), abs=1e-6)
    X[:] = 2.0
    assert judged_once(one, source) is None
