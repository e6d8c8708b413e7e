"""A horizon that no closed window can teach: what is shipped then, which window chose it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from training.carrying import Carry
from training.dataset import Snapshot
from training.evaluation import auc
from training.heads import Head
from training.members import Customers
from training.next_purchase import train_next_purchase
from training.pareto_nbd import ParetoNbd
from training.repeat_buying import BgNbd, loses_nobody
from training.short_history import (
    MEAN,
    TOGETHER,
    TREES_CARRIED,
    ShortHead,
    Standing,
    _ranked,
    best_head,
    head_without_window,
)
from training.split import TooLittleData
from training.voices import Asked, Curves

INPUTS = ("n_order_days", "days_since_last_order", "days_since_first_order")
CURVES = (BgNbd(r=0.8, alpha=6.0, a=0.8, b=2.5), ParetoNbd(r=0.8, alpha=6.0, s=0.7, beta=12.0))
BUYERS = np.array([(5.0, 10.0, 100.0), (1.0, 40.0, 40.0), (30.0, 60.0, 700.0), (1.0, 0.2, 0.2), (0.0, np.nan, np.nan)])
KNOWN_DAYS, AHEAD_DAYS = 273, 273


def cohort(tiny_world: Callable[..., Any], *, n: int = 450, known: int = KNOWN_DAYS) -> Any:
    """A log of one row a customer-day: who began in one quarter buys at their own rate until they leave, unseen."""
    like: Any = type(tiny_world(n_customers=2, days=1))

    class Cohort(like):  # type: ignore[misc]
        inputs = (*INPUTS, "revenue")
        categories: dict[str, tuple[str, ...]] = {}

        def __init__(self) -> None:
            super().__init__(n_customers=n, days=known)
            rng = np.random.default_rng(4)
            begins, rates = rng.uniform(0, 84, n), rng.gamma(0.6, 1 / 50, n)
            ends = begins + rng.exponential(1 / rng.gamma(0.7, 1 / 100, n))
            self.orders = [
                np.unique(np.floor([begin, *rng.uniform(begin, end, rng.poisson(rate * (end - begin)))]))
                for begin, end, rate in zip(begins, np.minimum(ends, known + AHEAD_DAYS), rates, strict=True)
            ]

        def snapshot(self, as_of: datetime) -> Snapshot:
            whole = super().snapshot(as_of)
            bought = whole.X[:, like.inputs.index("n_orders")] > 0
            places = [like.inputs.index(name) for name in self.inputs]
            return Snapshot(as_of, whole.customer_keys[bought], np.ascontiguousarray(whole.X[bought][:, places]))

    return Cohort()


@pytest.fixture(scope="module")
def world(tiny_world: Callable[..., Any]) -> Any:
    return cohort(tiny_world)


@pytest.fixture(scope="module")
def head(world: Any) -> ShortHead:
    found = best_head(world, horizon_days=AHEAD_DAYS, used_at=world.known_until)
    assert isinstance(found, ShortHead)
    return found


def what_came(world: Any) -> np.ndarray:
    """Whether each customer orders in the days after those that are known."""
    keys = world.snapshot(world.known_until).customer_keys
    return np.array([(world.orders[key - 1] >= KNOWN_DAYS).any() for key in keys], dtype=np.uint8)


def test_a_horizon_as_long_as_the_history_gets_a_model_that_says_so(world: Any, head: ShortHead) -> None:
    assert head.horizon_days == AHEAD_DAYS
    assert f"no window of {AHEAD_DAYS} days is closed" in head.because
    assert "held-back 133 days" in head.because
    y, said = what_came(world), head.predict(world.snapshot(world.known_until).X)
    assert said.mean() == pytest.approx(y.mean(), abs=0.06)
    assert auc(y, said) > 0.7


def test_where_purchases_follow_the_model_of_repeat_buying_no_lesson_is_carried(head: ShortHead) -> None:
    assert isinstance(head.voice, Curves)
    assert "NBD" in head.shipped
    assert "carried" not in head.shipped


def test_what_happens_later_changes_nothing(world: Any, head: ShortHead, tiny_world: Callable[..., Any]) -> None:
    other = cohort(tiny_world)
    other.orders = [orders[orders < KNOWN_DAYS] for orders in other.orders]
    again = head_without_window(other, horizon_days=AHEAD_DAYS, used_at=other.known_until, seed=0)
    assert (again.voice, again.because) == (head.voice, head.because)


def telling(tiny_world: Callable[..., Any], *, by: str) -> Any:
    """An input says who will come again, and the rhythm does not."""
    plain = cohort(tiny_world, n=900)

    class Telling(type(plain)):  # type: ignore[misc]
        inputs = tuple(dict.fromkeys((*plain.inputs, by)))

        def snapshot(self, as_of: datetime) -> Snapshot:
            self.inputs = plain.inputs
            whole = super().snapshot(as_of)
            self.inputs = type(self).inputs
            X = np.full((len(whole.X), len(self.inputs)), np.nan, dtype=np.float32)
            X[:, : whole.X.shape[1]] = whole.X
            faithful = np.array([(self.orders[key - 1] > 200).any() for key in whole.customer_keys])
            X[:, self.inputs.index(by)] = np.where(faithful, 500.0, 20.0)
            return Snapshot(as_of, whole.customer_keys, X)

    return Telling()


@pytest.mark.parametrize(
    ("by", "shipped"),
    [("revenue", "corrected by a regression"), ("loyalty", "trees, taught on 133 days and carried by")],
)
def test_what_repeat_buying_cannot_know_is_taught_by_the_newer_half(
    tiny_world: Callable[..., Any], by: str, shipped: str
) -> None:
    """Money corrects it; of an input that the regression has no column for only trees can learn."""
    world = telling(tiny_world, by=by)
    head = head_without_window(world, horizon_days=AHEAD_DAYS, used_at=world.known_until, seed=0)
    assert shipped in head.shipped
    said = head.predict(world.snapshot(world.known_until).X)
    assert ((said > 0) & (said < 1)).all()
    assert auc(what_came(world), said) > 0.8


@pytest.mark.parametrize(("trees_lose", "first"), [(0.30, TREES_CARRIED), (0.398, TOGETHER), (0.47, TOGETHER)])
def test_trees_speak_alone_only_where_they_are_better_than_with_the_others(trees_lose: float, first: str) -> None:
    """Of 400 customers the mean loses 0.5 nats each and all together 0.4, give or take."""
    noise = np.random.default_rng(2).normal(0, 0.1, 400)
    losses = {MEAN: np.full(400, 0.5), TREES_CARRIED: trees_lose + noise, TOGETHER: np.full(400, 0.4)}
    assert _ranked(losses)[0] == first


def test_a_shop_too_small_to_choose_gets_half_of_what_its_window_shows(tiny_world: Callable[..., Any]) -> None:
    few = cohort(tiny_world, n=50)
    head = head_without_window(few, horizon_days=AHEAD_DAYS, used_at=few.known_until, seed=0)
    assert isinstance(head.voice, Curves)
    assert head.voice.believed == 0.5
    asked = Asked(few.snapshot(few.known_until).X, head.inputs)
    plain, whole = (
        replace(head.voice, **change).log_odds_of(asked) for change in ({"missed": None}, {"believed": 1.0})
    )
    assert head.voice.log_odds_of(asked) == pytest.approx((plain + whole) / 2)


def test_before_a_second_order_day_no_model_of_repeat_buying_is_named(tiny_world: Callable[..., Any]) -> None:
    new = cohort(tiny_world, n=120)
    new.orders = [orders[:1] for orders in new.orders]
    head = head_without_window(new, horizon_days=AHEAD_DAYS, used_at=new.known_until, seed=0)
    assert head.shipped.startswith("one order each")
    assert not any(model in head.shipped for model in ("BG/NBD", "Pareto/NBD"))


def test_a_fit_that_loses_nobody_is_not_shipped_alone(tiny_world: Callable[..., Any]) -> None:
    """Everybody orders on: the most likely rate of leaving is none, and the fit lies at its bound."""
    steady = cohort(tiny_world, n=120)
    rng = np.random.default_rng(1)
    steady.orders = [np.unique(np.floor(rng.uniform(0, KNOWN_DAYS, 40))) for _ in steady.orders]
    here = Standing(steady, AHEAD_DAYS, steady.known_until, 0)
    history = Customers(steady.snapshot(steady.known_until).X, steady.inputs).history()
    lost = {kind for kind, model in here.curves.items() if not loses_nobody(model, history)}
    assert lost < set(here.curves)
    assert set(here.voices) & set(here.curves) == lost


def test_serving_still_waits_for_a_window_that_judges(world: Any) -> None:
    with pytest.raises(TooLittleData, match="It needs 546 days of history"):
        train_next_purchase(world, horizons_days=(AHEAD_DAYS,))


def test_less_than_a_fortnight_or_too_few_buyers_are_refused(tiny_world: Callable[..., Any]) -> None:
    young = cohort(tiny_world, n=400, known=10)
    with pytest.raises(TooLittleData, match="needs 14 days of orders"):
        best_head(young, horizon_days=30, used_at=young.known_until)
    few = cohort(tiny_world, n=20)
    with pytest.raises(TooLittleData, match="needs 30 customers with an order"):
        best_head(few, horizon_days=AHEAD_DAYS, used_at=few.known_until)


def test_a_shorter_window_chooses_where_none_of_the_length_can(world: Any) -> None:
    head = best_head(world, horizon_days=119, used_at=world.known_until)
    assert isinstance(head, Head)
    assert "held-back window" in head.because
    assert "of 91 days since none of 119 could choose" in head.because


@pytest.mark.parametrize("curve", CURVES)
def test_the_curve_carries_its_own_probability_exactly(curve: BgNbd | ParetoNbd) -> None:
    customers = Customers(BUYERS, INPUTS)
    times = Carry(28, 91, curve).times(customers)
    short, long = (1 / (1 + np.exp(-customers.repeat_buying(curve, horizon_days=days))) for days in (28, 91))
    assert 1 - (1 - short[:4]) ** times[:4] == pytest.approx(long[:4], rel=1e-4)
    assert times[4] == 91 / 28  # never bought: by the length
    assert ((times >= 1) & (times <= 91 / 28)).all()
    assert Carry(28, 28, curve).times(customers) == pytest.approx(np.ones(5))


def test_who_is_surely_gone_has_a_finite_multiplier() -> None:
    gone = np.array([(60.0, 3_000.0, 3_060.0)])
    for curve in CURVES:
        assert 1 <= Carry(28, 91, curve).times(Customers(gone, INPUTS))[0] <= 91 / 28


def test_the_held_back_days_are_the_newer_half(world: Any, head: ShortHead) -> None:
    assert head.split.calibrate == world.known_until - timedelta(days=133)
