"""A shop that gained its customers at once has no season, whatever its orders of a year ago look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from training import next_purchase
from training.choosing import Choice, choose
from training.labels import EPOCH, Orders, Window
from training.next_purchase import RECIPES, fit_head, train_next_purchase
from training.recipes import AS_MANY_ORDERS, NO_SEASON
from training.repeats import Repeats
from training.season import YEAR, Ahead, is_borne_out, season_multiplier

FIRST = EPOCH + timedelta(days=19_000)
DAY, WEEK = timedelta(days=1), timedelta(days=7)
CHEAP = replace(RECIPES[0], rounds=3)


def orders_of(keys: list[int], days: list[float]) -> Orders:
    order = np.argsort(days, kind="stable")
    at_us = np.asarray([(FIRST - EPOCH + DAY * day) / timedelta(microseconds=1) for day in days], dtype=np.int64)
    return Orders(np.asarray(keys, dtype=np.int64)[order], at_us[order])


def a_cohort_shop(*, n: int = 1500, until: int = 460) -> Orders:
    """Everybody's first order lies in its first twelve weeks; then each orders at a pace of their own, until gone."""
    rng = np.random.default_rng(0)
    keys, days = [], []
    for key in range(n):
        day, pace = rng.uniform(0, 84), rng.gamma(1.0, 1 / 40)
        gone = min(day + rng.exponential(400), until)
        while day < gone:
            keys.append(key)
            days.append(day)
            day += rng.exponential(1 / pace)
    return orders_of(keys, days)


def a_seasonal_shop(*, n: int = 1500, until: int = 460) -> Orders:
    """As old as its data or older: steady buyers, who order a third as often from the fifth to the fourteenth week."""
    rng = np.random.default_rng(1)
    paces = rng.gamma(1.5, 0.02, n)
    keys, days = [], []
    for day in range(until):
        whose = np.flatnonzero(rng.random(n) < paces * (0.3 if 28 <= day % 364 < 100 else 1.0))
        keys += whose.tolist()
        days += [day + 0.5] * len(whose)
    return orders_of(keys, days)


def of_day(orders: Orders, day: int, *, horizon_days: int) -> tuple[float, bool]:
    """The season that all orders show as of a day, and whether repeat orders bear it out."""
    known = int(np.searchsorted(orders.at_us, (FIRST - EPOCH + day * DAY) / timedelta(microseconds=1)))
    past = Orders(orders.customer_keys[:known], orders.at_us[:known])
    used_at = FIRST + day * DAY
    ahead = Ahead(used_at - timedelta(days=horizon_days), used_at, horizon_days, FIRST)
    repeats = Repeats.of(past.customer_keys, past.at_us)
    return season_multiplier(past.n_within, ahead), is_borne_out(past.n_within, repeats, ahead)


@pytest.mark.parametrize(("day", "horizon_days"), [(371, 28), (385, 28), (399, 28), (399, 56), (413, 28)])
def test_the_season_of_a_shop_that_gained_its_customers_at_once_is_not_borne_out(day: int, horizon_days: int) -> None:
    multiplier, is_real = of_day(a_cohort_shop(), day, horizon_days=horizon_days)
    assert multiplier > 1.35  # that is what all orders of a year ago say
    assert not is_real


def test_the_season_of_customers_who_order_less_is_borne_out() -> None:
    multiplier, is_real = of_day(a_seasonal_shop(), 364 + 28, horizon_days=56)
    assert multiplier < 0.6
    assert is_real


def test_repeat_orders_per_customer_count_no_first_order_and_no_customer_before_it_is_known() -> None:
    repeats = Repeats.of(*_arrays(orders_of([1, 2, 1, 2, 1], [0.0, 6.0, 3.0, 10.0, 13.0])))
    fortnight = Window(FIRST, FIRST + 2 * WEEK)
    assert repeats.n(fortnight) == 3
    known_days = 13 + 7  # of the first from its second day, of the other from the seventh on
    assert repeats.per_customer(fortnight) == pytest.approx(3 / (known_days / 14))
    assert repeats.per_customer(Window(FIRST - WEEK, FIRST)) == 0.0


def _arrays(orders: Orders) -> tuple[Any, Any]:
    return orders.customer_keys, orders.at_us


def a_world(tiny_world: Callable[..., Any], *, days: int) -> Any:
    """The tiny world with a cohort's orders."""
    world = tiny_world(n_customers=600, days=days)
    orders = a_cohort_shop(n=600, until=days)
    at = (orders.at_us - (FIRST - EPOCH) / timedelta(microseconds=1)) / 86_400e6
    world.orders = [at[orders.customer_keys == key] for key in range(600)]
    world.repeats = Repeats.of(orders.customer_keys, orders.at_us - (FIRST - world.first) // timedelta(microseconds=1))
    return world


def test_a_season_that_the_held_back_window_did_not_know_is_not_taken_on_trust(tiny_world: Callable[..., Any]) -> None:
    world = a_world(tiny_world, days=399)
    choice = choose(world, horizon_days=56, used_at=world.known_until, seed=0, candidates=(CHEAP,))
    assert choice.recipe.season == NO_SEASON
    head = fit_head(world, horizon_days=56, used_at=world.known_until, recipe=CHEAP)
    assert head.season > 1.3  # what it would have been


def test_a_season_that_the_gate_has_not_judged_is_not_served(
    tiny_world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = a_world(tiny_world, days=385)
    assert CHEAP.season == AS_MANY_ORDERS
    monkeypatch.setattr(next_purchase, "choose", lambda *_, **__: Choice(CHEAP, "as the test wants"))
    trained = train_next_purchase(world, horizons_days=[28])
    assert world.known_until - timedelta(days=28) - YEAR < world.first  # where it was judged, no year was known
    assert trained.heads[0].season == 1.0
    assert trained.heads[0].recipe.season == NO_SEASON
