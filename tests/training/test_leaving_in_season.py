"""A busy season makes customers order more often, and brings back nobody who has left for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.test_coming import written
from tests.training.test_expected import order_days
from training.artifact import NextPurchaseModel
from training.calibration import busier, busier_if_there
from training.coming import with_coming
from training.expected import with_expected
from training.heads import Head
from training.members import Customers, in_season
from training.next_purchase import Trained, train_next_purchase
from training.repeat_buying import BgNbd

CHANCE = st.floats(0.0, 1.0)
BUSY, DAYS = (102, 160), 466  # it begins now, as it did a year ago
LEFT_AFTER = 250
INPUTS = ("n_order_days", "days_since_last_order", "days_since_first_order")


def one(probability: float, multiplier: float, there: float) -> float:
    return float(busier_if_there(np.array([probability]), multiplier, np.array([there]))[0])


@given(probability=CHANCE, there=CHANCE, times=st.lists(st.floats(1.0, 4.0), min_size=2, max_size=2))
def test_a_busier_season_is_never_less_probable_nor_more_than_being_there(
    probability: float, there: float, times: list[float]
) -> None:
    low, high = sorted(times)
    said = one(probability, low, there)
    assert probability <= said <= one(probability, high, there) + 1e-12
    assert one(probability, high, there) <= max(there, probability, 1e-6) + 1e-12
    assert said <= max(float(busier(np.array([probability]), low)[0]), probability) + 1e-9  # than if nobody ever left


@given(there=CHANCE, chances=st.lists(CHANCE, min_size=2, max_size=2), times=st.floats(1.0, 4.0))
def test_whoever_was_more_probable_stays_so(there: float, chances: list[float], times: float) -> None:
    low, high = sorted(chances)
    assert one(low, times, there) <= one(high, times, there) + 1e-9


@given(probability=CHANCE, there=CHANCE)
def test_as_busy_as_before_is_as_before(probability: float, there: float) -> None:
    assert one(probability, 1.0, there) == pytest.approx(probability, abs=1e-6)


def test_of_whom_nothing_says_whether_they_left_is_busier_as_everybody_was() -> None:
    for there in (np.nan, 1.0):
        assert one(0.4, 2.0, there) == pytest.approx(1 - 0.6**2)
    assert one(0.4, 2.0, 0.5) == pytest.approx(0.5 * (1 - 0.2**2))


def test_a_calm_season_is_calm_for_everybody() -> None:
    customers = Customers(np.array([[9.0, 200.0, 260.0], [9.0, 2.0, 260.0]]), INPUTS)
    fitted, calm = BgNbd(r=0.8, alpha=6.0, a=0.8, b=2.5), np.array([0.3, 0.6])
    for times in (0.5, 1.0):
        assert (in_season(calm, times, customers=customers, leaving=fitted) == busier(calm, times)).all()
    told = in_season(calm, 2.0, customers=customers, leaving=fitted)
    assert told[0] == pytest.approx(0.3, abs=0.02)  # a firm that bought weekly and has been silent for half a year
    assert told[1] == pytest.approx(1 - 0.4**2, abs=0.04)
    assert (in_season(calm, 2.0, customers=customers, leaving=None) == busier(calm, 2.0)).all()


def left_in_season(tiny_world: Callable[..., Any], *, seed: int) -> Any:
    """Two and a half times as many orders in some weeks of each year; a third of the customers leave."""
    shop, rng = tiny_world(days=DAYS, seed=seed), np.random.default_rng(seed - 3)
    for place, orders in enumerate(shop.orders):
        is_busy = (orders % 364 >= BUSY[0]) & (orders % 364 < BUSY[1])
        kept = orders[is_busy | (rng.random(len(orders)) < 0.4)]
        shop.orders[place] = kept[kept < LEFT_AFTER] if place % 3 == 0 else kept
    return shop


@pytest.fixture(scope="module")
def world(tiny_world: Callable[..., Any]) -> Any:
    return left_in_season(tiny_world, seed=5)


@pytest.fixture(scope="module")
def trained(world: Any) -> Trained:
    bare = with_coming(train_next_purchase(world, horizons_days=(7, 30)), world)
    return with_expected(bare, world, order_days(world))


@pytest.fixture(scope="module")
def model(trained: Trained, world: Any, tmp_path_factory: pytest.TempPathFactory) -> NextPurchaseModel:
    return written(trained, world, tmp_path_factory.mktemp("artifacts"))


def test_what_is_served_is_what_was_trained(trained: Trained, model: NextPurchaseModel, world: Any) -> None:
    X = world.snapshot(world.known_until).X
    heads = trained.heads
    assert any(head.season > 1.2 and head.leaving is not None for head in heads)
    assert [head.leaving is not None for head in heads] == ["leaving" in one for one in trained.description["heads"]]
    said = np.maximum.accumulate([head.predict(X) for head in heads], axis=0).T
    served = model.predict(X)
    assert served == pytest.approx(said, abs=1e-9)
    assert (np.diff(served, axis=1) >= 0).all()
    assert (model.predict(X[:1]) == served[:1]).all()


@dataclass(frozen=True)
class Busier:
    """What a season adds to each customer's probability: as it is said, and as if nobody had ever left."""

    said: np.ndarray
    if_all_stayed: np.ndarray


def added_by_season(head: Head, world: Any) -> Busier:
    X = world.snapshot(world.known_until).X
    calm, season = replace(head, season=1.0, leaving=None).predict(X), head.predict(X)
    everybody = replace(head, leaving=None).predict(X)
    assert (season >= calm - 1e-12).all()
    assert (season <= everybody + 1e-9).all()
    return Busier(season - calm, everybody - calm)


def test_whoever_left_is_hardly_busier_and_the_others_are(
    trained: Trained, world: Any, tiny_world: Callable[..., Any]
) -> None:
    """In three worlds together: to whoever left 0.1% is added or 0.2%, and its share of little is luck in one world."""
    others = [left_in_season(tiny_world, seed=seed) for seed in (6, 7)]
    heads = [trained.heads[-1], *(train_next_purchase(one, horizons_days=(30,)).heads[-1] for one in others)]
    added = [added_by_season(head, one) for head, one in zip(heads, (world, *others), strict=True)]
    left = np.arange(len(world.keen)) % 3 == 0
    gone = left & world.keen  # whose silence is loud
    assert sum(one.said[gone].sum() for one in added) < 0.2 * sum(one.if_all_stayed[gone].sum() for one in added)
    keen = world.keen & ~left
    for one in added:
        assert one.said[keen].mean() > 0.5 * one.if_all_stayed[keen].mean()


def test_expected_orders_are_never_fewer_than_their_probability(model: NextPurchaseModel, world: Any) -> None:
    coming = model.coming(world.snapshot(world.known_until).X)
    assert coming is not None
    said = np.stack([coming.p_any(days) for days in (3, 7, 20, 30, 90)])
    orders = np.array([coming.orders(days) for days in (3, 7, 20, 30, 90)], dtype=np.float64)
    assert (orders >= said - 1e-12).all()
    assert (np.diff(said, axis=0) >= -1e-12).all()


def test_a_version_trained_before_seasons_knew_of_leaving_says_what_it_said(
    trained: Trained, world: Any, tmp_path: Path
) -> None:
    X = world.snapshot(world.known_until).X
    heads = [{key: value for key, value in one.items() if key != "leaving"} for one in trained.description["heads"]]
    old = written(replace(trained, description=trained.description | {"heads": heads}), world, tmp_path)
    said = [replace(head, leaving=None).predict(X) for head in trained.heads]
    assert old.predict(X) == pytest.approx(np.maximum.accumulate(said, axis=0).T, abs=1e-9)


def test_what_knows_who_left_is_the_recipes_model_of_repeat_buying(trained: Trained) -> None:
    for head in trained.heads:
        if head.leaving is not None and head.members.repeat_buying is not None:
            assert head.leaving == head.members.repeat_buying
