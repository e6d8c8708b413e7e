"""Expected order-days and spend: members, level, and what a short or a seasonal history does to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from features.occasions import OccasionDays
from training.dataset import Snapshot
from training.expectations.choosing import (
    BETWEEN,
    OWN,
    SEASON,
    TAUGHT,
    Recipe,
    _season,
    combined,
    error,
    expect,
    factor,
    made_of,
)
from training.expectations.corrected import corrected_orders
from training.expectations.members import BOOSTING, CORRECTED, REGRESSION, Of, Pieces, actual, pieces
from training.expectations.shop import BG_NBD, EPOCH, PARETO_NBD, REPEAT, Shop, aligned
from training.order_days import OrderDays
from training.served.expectations import Seen

FIRST_DAY = 19_000


class OneColumn:
    """A source whose customers are known by one number that says nothing."""

    inputs: tuple[str, ...] = ("something",)
    categories: Mapping[str, Sequence[str]] = {}

    def __init__(self, keys: np.ndarray) -> None:
        self.keys = keys

    def snapshot(self, as_of: datetime) -> Snapshot:
        return Snapshot(as_of, self.keys, np.zeros((len(self.keys), 1), dtype=np.float32))


def a_shop(*, n: int = 250, days: int, busy: tuple[int, int] | None = None, to_the_end: bool = False) -> Shop:
    """Steady buyers, three times as many orders on the busy days of every year; asked on the last day."""
    rng = np.random.default_rng(2)
    paces = rng.gamma(1.5, 0.02, n)
    keys, at = [], []
    for day in range(days + 60):
        times = 3.0 if busy and busy[0] <= day % 364 < busy[1] else 1.0
        whose = np.flatnonzero(rng.random(n) < paces * times) + 1
        keys.append(whose)
        at.append(np.full(len(whose), day + FIRST_DAY))
    every = OrderDays.of(np.concatenate(keys), np.concatenate(at), np.full(sum(map(len, keys)), 20.0))
    day = FIRST_DAY + days
    known = every if to_the_end else every.before(day)
    return Shop(known, EPOCH + timedelta(days=day), day, OneColumn(np.arange(1, n + 1)))  # type: ignore[arg-type]


def test_a_level_moves_the_mean_of_the_members_and_nothing_else() -> None:
    said = {BG_NBD: np.array([1.0, 3.0]), PARETO_NBD: np.array([3.0, 5.0])}
    told = Pieces(said, own={BG_NBD: 3.0, PARETO_NBD: 3.0}, window_days=28)
    assert list(combined(told, REPEAT, level=TAUGHT, season=2.0)) == [(1 + 3) / 2, (3 + 5) / 2]
    assert list(combined(told, REPEAT, level=SEASON, season=2.0)) == [2.0 * 2, 2.0 * 4]
    assert combined(told, REPEAT, level=OWN, season=2.0).sum() == pytest.approx((3.0 + 3.0) / 2)
    assert combined(told, REPEAT, level=BETWEEN, season=2.0).sum() == pytest.approx(np.sqrt(6.0 * 3.0))


def test_a_per_cent_of_either_error_counts_the_same() -> None:
    happened = np.array([0.0, 2.0])
    assert error(np.array([1.0, 1.0]), happened) == 1.0
    assert error(np.array([0.0, 1.0]), happened) == pytest.approx(np.sqrt(0.5 * np.sqrt(0.5)))


def test_without_a_closed_window_of_the_horizon_repeat_buying_speaks_at_its_own_level() -> None:
    shop = a_shop(days=100)
    expected = expect(shop, horizon_days=100, of=Of.ORDERS)
    assert expected is not None
    assert set(expected.recipe.members) <= set(REPEAT)
    assert expected.recipe.level == OWN
    own = pieces(shop, shop.day, horizon_days=100, of=Of.ORDERS, seed=0).own
    assert min(own.values()) <= expected.values.sum() * 1.000001
    assert expected.values.sum() <= max(own.values()) * 1.000001


def test_a_season_that_came_a_year_ago_is_expected_again() -> None:
    busy = (90, 150)
    shop = a_shop(days=364 + 90, busy=busy)  # on the eve of the second busy season
    expected = expect(shop, horizon_days=56, of=Of.ORDERS)
    assert expected is not None
    assert expected.recipe.level == SEASON
    later = a_shop(days=364 + 90, busy=busy, to_the_end=True)
    truth = later.orders.within(shop.buyers(shop.day).keys, day=shop.day, horizon_days=56)[0].sum()
    alone = pieces(shop, shop.day, horizon_days=56, of=Of.ORDERS, seed=0).own[BG_NBD]
    assert expected.values.sum() == pytest.approx(truth, rel=0.2)
    assert alone < 0.7 * truth  # nothing in it knows of seasons


def test_a_season_that_no_window_has_tried_picks_the_nearest_of_the_levels_that_were() -> None:
    shop = a_shop(n=400, days=420, busy=(60, 100))  # on the eve of its second busy season: none lay behind a window yet
    now = pieces(shop, shop.day, horizon_days=56, of=Of.ORDERS, seed=0)
    assert _season(shop, shop.day, horizon_days=56, window_days=56) > 2.0
    levels = {level: factor(now, REPEAT, level=level, season=1.0) for level in (TAUGHT, BETWEEN, OWN)}
    busiest, calmest = max(levels, key=levels.__getitem__), min(levels, key=levels.__getitem__)
    found = made_of(shop, Recipe(REPEAT, calmest, 56), horizon_days=56, of=Of.ORDERS)
    assert found is not None
    made, served = found
    assert served.level == busiest
    assert made.factor == pytest.approx(levels[busiest], rel=1e-6)
    assert not made.is_seasonal


def test_a_level_that_was_judged_with_the_season_is_served_as_it_was_judged() -> None:
    shop = a_shop(n=400, days=420, busy=(60, 100))
    for level in (SEASON, TAUGHT):
        then = a_shop(n=400, days=364 + 90, busy=(60, 100)) if level == TAUGHT else shop
        found = made_of(then, Recipe(REPEAT, level, 56), horizon_days=56, of=Of.ORDERS)
        assert found is not None
        assert found[1].level == level
        assert found[0].is_seasonal == (level == SEASON)


def test_nobody_is_expected_to_do_more_than_anybody_did() -> None:
    shop = a_shop(days=150)
    now = pieces(shop, shop.day, horizon_days=42, of=Of.ORDERS, seed=0)
    assert now.learned is not None
    eager = np.full((3, 2), 50.0)  # of repeat buying, far beyond anybody who taught
    seen = Seen(dict.fromkeys(REPEAT, eager[:, 0]), np.zeros((3, 0)), np.zeros((3, 1)))
    told = now.learned.said(seen)
    most = actual(shop, shop.day - 42, horizon_days=42, of=Of.ORDERS).max()
    assert max(told[REGRESSION].max(), told[BOOSTING].max()) <= most < 50.0


def test_the_same_seed_and_data_say_the_same() -> None:
    first, second = (expect(a_shop(days=150), horizon_days=42, of=Of.SPEND) for _ in range(2))
    assert first is not None
    assert second is not None
    assert np.array_equal(first.values, second.values)
    assert first.recipe == second.recipe


def test_nobody_who_ordered_twice_leaves_nothing_to_expect() -> None:
    shop = a_shop(days=100)
    once = OrderDays.of(np.arange(1, 51), np.arange(50) + FIRST_DAY, np.ones(50))
    assert expect(Shop(once, shop.cutoff, shop.day, shop.source), horizon_days=30, of=Of.ORDERS) is None


def test_a_window_is_counted_for_those_who_had_ordered_before_it() -> None:
    shop = a_shop(days=100)
    start = shop.day - 30
    n = actual(shop, start, horizon_days=30, of=Of.ORDERS)
    assert len(n) == len(shop.buyers(start).keys)
    assert n.sum() <= shop.orders.n_within(day=start, horizon_days=30)


def test_customers_without_a_row_are_unknown_rather_than_somebody_elses() -> None:
    rows = aligned(np.array([1, 3, 9]), np.array([1, 2, 3]), np.array([[10.0], [20.0], [30.0]]))
    assert np.array_equal(rows[:, 0], [10.0, 30.0, np.nan], equal_nan=True)


def test_an_occasion_that_moved_is_expected_where_it_falls() -> None:
    day = 364 + 160
    shop, blind = (a_shop(days=day, busy=(150, 164)) for _ in range(2))  # its second fortnight is nearly over
    calendar = date(1970, 1, 1) + timedelta(days=FIRST_DAY + 150)
    moved = (calendar, calendar + timedelta(days=364 + 14))
    shop.source.occasions = (OccasionDays("sale", moved, days_before=0, days_after=13),)  # type: ignore[attr-defined]
    knows, does_not = (_season(of, of.day, horizon_days=28, window_days=28) for of in (shop, blind))
    assert knows > 1.1 * does_not


class Telling(OneColumn):
    """Its one number says who stays."""

    inputs = ("revenue",)

    def snapshot(self, as_of: datetime) -> Snapshot:
        said = np.where(self.keys % 2 == 0, 500.0, 20.0).reshape(-1, 1)
        return Snapshot(as_of, self.keys, said.astype(np.float32))


def a_shop_that_half_its_customers_leave(*, n: int = 300, days: int = 160) -> tuple[Shop, np.ndarray]:
    """Everybody begins on the first day; the even ones stay, the odd ones leave one after another; and what comes."""
    rng = np.random.default_rng(6)
    keys, at = [np.arange(1, n + 1)], [np.full(n, FIRST_DAY)]
    gone = np.where(np.arange(1, n + 1) % 2 == 0, np.inf, rng.uniform(10, 120, n))
    for day in range(1, 2 * days):
        whose = np.flatnonzero((rng.random(n) < 0.03) & (day < gone)) + 1
        keys.append(whose)
        at.append(np.full(len(whose), day + FIRST_DAY))
    every = OrderDays.of(np.concatenate(keys), np.concatenate(at), np.full(sum(map(len, keys)), 20.0))
    day = FIRST_DAY + days
    source = Telling(np.arange(1, n + 1))
    shop = Shop(every.before(day), EPOCH + timedelta(days=day), day, source)  # type: ignore[arg-type]
    return shop, every.within(shop.buyers(day).keys, day=day, horizon_days=days)[0]


def test_what_repeat_buying_missed_corrects_its_expectation_of_a_horizon_that_nothing_has_taught() -> None:
    shop, came = a_shop_that_half_its_customers_leave()
    expected = expect(shop, horizon_days=160, of=Of.ORDERS)
    assert expected is not None
    assert expected.recipe.members == (CORRECTED,)
    alone = shop.expected(shop.day, horizon_days=160).values()
    assert error(expected.values, came) < 0.9 * min(error(said, came) for said in alone)


def test_a_correction_has_nothing_to_say_without_columns_to_learn_from() -> None:
    shop = a_shop(days=100)
    assert corrected_orders(shop, shop.day, start=shop.day - 49, window_days=49, horizon_days=100) is None
