"""Customers who buy as regularly as each of them does: what is said of them, how that is fitted, when it is shipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.choosing import Tried, best_of, choose
from training.dataset import Snapshot
from training.fitting import fit_repeat_buying
from training.heads import kind_of
from training.members import BESIDE, LINEAR, REPEAT_BUYING, TREES, Customers, Members, repeat_model_of
from training.next_purchase import fit_head
from training.recipes import AS_IT_IS, EVERY_MEMBER, RECIPES, Recipe
from training.regular_gaps import SHAPES, RegularGaps, fit_regular_gaps, minus_log_likelihood
from training.repeat_buying import REGULAR_GAPS, History, history_of
from training.split import gate_cutoff

Floats = NDArray[np.float64]

INPUTS = ("n_order_days", "days_since_last_order", "days_since_first_order", "sd_gap_days")
FITTED = RegularGaps(r=1.2, alpha=5.0, a=0.6, b=3.0, shares=(0.4, 0.2, 0.2, 0.1, 0.1))
MONTHLY = RegularGaps(r=2.0, alpha=8.0, a=0.6, b=6.0, shares=(0.2, 0.2, 0.2, 0.2, 0.2))


def some_customers(n: int) -> History:
    rng = np.random.default_rng(3)
    x, age = rng.poisson(3, n).astype(np.float64), np.ceil(rng.uniform(5, 400, n))
    last = np.where(x > 0, np.floor(age * rng.uniform(0.1, 0.9, n)), 0.0)
    return History(x, last / 7, age / 7, np.where(x > 1, rng.uniform(0, 1.5, n), np.nan))


def buying(k: int, *, n: int) -> History:
    """Customers of one regularity whose rates and chances to drop out are Gamma(1.5, 6) and Beta(.6, 4)."""
    rng, found = np.random.default_rng(11), []
    for _ in range(n):
        rate, leaving, cut = rng.gamma(1.5, 1 / 6), rng.beta(0.6, 4), rng.uniform(20, 60)
        times = [0.0]
        while times[-1] < cut and rng.random() >= leaving:
            times.append(times[-1] + rng.gamma(k, 1 / (k * rate)))
        known = np.array([time for time in times if time < cut])
        gaps = np.diff(known)
        spread = float(gaps.std(ddof=1) / gaps.mean()) if len(gaps) > 1 else np.nan
        found.append((len(gaps), known[-1], cut, spread))
    return History(*np.array(found).T)


@pytest.mark.parametrize("k", [1, 4])
def test_the_regularity_that_customers_have_is_found(k: int) -> None:
    fitted = fit_regular_gaps(buying(k, n=1_200))
    assert SHAPES[int(np.argmax(fitted.shares))] == k
    assert fitted.r / fitted.alpha == pytest.approx(1.5 / 6, rel=0.2)
    assert sum(fitted.shares) == pytest.approx(1.0, abs=1e-4)


def test_gaps_without_memory_are_mbg_nbd_in_closed_form() -> None:
    fitted, h = replace(FITTED, shares=(1.0, 0.0, 0.0, 0.0, 0.0)), some_customers(50)
    r, alpha, a, b = fitted.r, fitted.alpha, fitted.a, fitted.b
    alive = 1 / (1 + a / (b + h.x) * ((alpha + h.T) / (alpha + h.t_x)) ** (r + h.x))
    some = 1 - ((alpha + h.T) / (alpha + h.T + 4)) ** (r + h.x)
    assert fitted.p_alive(h) == pytest.approx(alive, abs=1e-9)
    assert fitted.p_any(h, weeks=4.0) == pytest.approx(alive * some, abs=1e-9)


def test_regular_gaps_say_what_summing_over_every_rate_says() -> None:
    """Of one shape, with the integral over the rate done by brute force."""
    from scipy.stats import gamma

    fitted, h = replace(FITTED, shares=(0.0, 0.0, 1.0, 0.0, 0.0)), some_customers(20)
    rates = np.geomspace(1e-6, 40, 40_000)  # of a stage, a week; in equal steps of its logarithm
    for x, t_x, T in zip(h.x, h.t_x, h.T, strict=True):
        prior = gamma.pdf(rates, fitted.r, scale=4 / fitted.alpha) * rates ** (4 * x + 1) * np.exp(-rates * t_x)
        still, later = (prior * gamma.sf(silence, 4, scale=1 / rates) for silence in (T - t_x, T - t_x + 3))
        alive, dead = (fitted.b + x) * still.sum(), fitted.a * prior.sum()
        one = History(np.array([x]), np.array([t_x]), np.array([T]), np.array([0.5]))
        assert fitted.p_alive(one)[0] == pytest.approx(alive / (alive + dead), abs=1e-4)
        said = alive / (alive + dead) * (1 - later.sum() / still.sum())
        assert fitted.p_any(one, weeks=3.0)[0] == pytest.approx(said, abs=1e-4)


def test_the_slope_of_the_likelihood_is_its_slope() -> None:
    at, h, step = np.array([0.1, 1.2, -0.4, 0.9, 0.1, -0.3, 0.2, 0.5, -0.1]), some_customers(200), 1e-6
    _, slope = minus_log_likelihood(at, h)
    ways = step * np.eye(len(at))
    by_steps = [(minus_log_likelihood(at + w, h)[0] - minus_log_likelihood(at - w, h)[0]) / (2 * step) for w in ways]
    assert slope == pytest.approx(by_steps, abs=1e-6)


def test_who_comes_monthly_is_due_after_a_month_and_gone_after_four() -> None:
    """Nine orders 28 to 32 days apart; the last one so many days ago."""
    ago = np.array([3.0, 28.0, 120.0])
    said = MONTHLY.p_any(history_of(np.full(3, 9.0), ago, 240.0 + ago, np.full(3, 2.0)), weeks=1.0)
    assert said[1] > 0.5 > 0.1 > max(said[0], said[2])
    uneven = MONTHLY.p_any(history_of(np.full(3, 9.0), ago, 240.0 + ago, np.full(3, 35.0)), weeks=1.0)
    assert uneven[0] > said[0]
    assert uneven[1] < said[1]


def test_one_customer_gets_the_bits_that_a_batch_gives() -> None:
    h, weeks = some_customers(200), np.array([[1.0], [4.0], [13.0]])
    together, alive = FITTED.p_any(h, weeks=weeks), FITTED.p_alive(h)
    alone = [FITTED.p_any(h.of(slice(at, at + 1)), weeks=weeks)[:, 0] for at in range(200)]
    assert (together == np.array(alone).T).all()
    assert [FITTED.p_alive(h.of(slice(at, at + 1)))[0] for at in range(200)] == alive.tolist()
    assert (FITTED.p_any(h, weeks=4.0) == together[1]).all()
    assert (np.diff(together, axis=0) >= 0).all()
    assert (together <= alive).all()


def test_read_from_json_it_says_the_same_and_is_silent_about_those_who_never_bought() -> None:
    members = Members(28, {REPEAT_BUYING: 0.25}, -2.0, repeat_buying=FITTED)
    again = Members.from_dict(json.loads(json.dumps(members.as_dict())), horizon_days=28)
    assert again.repeat_buying == FITTED == repeat_model_of(json.loads(json.dumps(asdict(FITTED))))
    customers = Customers(np.array([(5, 10, 100, 4.0), (1, 40, 40, np.nan), (0, np.nan, np.nan, np.nan)]), INPUTS)
    said = again.scores(customers, None)
    assert np.isfinite(said).all()
    assert said[2] == -2.0
    assert said.tolist() == members.scores(customers, None).tolist()


class Regular:
    """A world of customers who come every five weeks, give or take five days; one visit in ten is the last."""

    def __init__(self, world: Any, *, knows_spread: bool = True) -> None:
        self._world, rng = world, np.random.default_rng(8)
        self.inputs = (*world.inputs, "sd_gap_days") if knows_spread else world.inputs
        for place in range(len(world.orders)):
            own, visits = rng.uniform(25, 45), rng.geometric(0.1)
            days = rng.uniform(0, 250) + np.cumsum(np.maximum(rng.normal(own, 5, visits), 3.0))
            world.orders[place] = days[days < 400]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world, name)

    def snapshot(self, as_of: datetime) -> Snapshot:
        found = self._world.snapshot(as_of)
        if "sd_gap_days" not in self.inputs:
            return found  # type: ignore[no-any-return]
        day, spread = (as_of - self._world.first).days, []
        for orders in self._world.orders:
            gaps = np.diff(np.floor(orders[orders < day]))
            spread.append(gaps.std(ddof=1) if len(gaps) > 1 else np.nan)
        X = np.column_stack([found.X, np.array(spread, dtype=np.float32)])
        return Snapshot(as_of, found.customer_keys, X)


def test_where_customers_come_regularly_that_is_what_is_shipped(tiny_world: Callable[..., Any]) -> None:
    world = Regular(tiny_world(n_customers=900))
    choice = choose(world, horizon_days=14, used_at=world.known_until, seed=0)
    assert choice.recipe.repeat_buying == REGULAR_GAPS
    head = fit_head(world, horizon_days=14, used_at=world.known_until, recipe=choice.recipe)
    assert kind_of(head.members.repeat_buying) == REGULAR_GAPS  # type: ignore[arg-type]
    assert REGULAR_GAPS in head.shipped


def test_nothing_known_later_moves_it(tiny_world: Callable[..., Any]) -> None:
    world = Regular(tiny_world(n_customers=120))
    as_of = gate_cutoff(world.known_until, horizon_days=14)
    before = fit_repeat_buying(world, as_of, kind=REGULAR_GAPS)
    day = (as_of - world.first).days
    world._world.orders = [np.append(orders, day + 1.5) for orders in world._world.orders]
    assert fit_repeat_buying(world, as_of, kind=REGULAR_GAPS) == before is not None


def test_without_the_spread_of_gaps_nothing_is_said_of_regularity(tiny_world: Callable[..., Any]) -> None:
    world = Regular(tiny_world(n_customers=120), knows_spread=False)
    assert fit_repeat_buying(world, world.known_until, kind=REGULAR_GAPS) is None
    with pytest.raises(ValueError, match="lack the spread"):
        FITTED.p_any(History(np.ones(2), np.ones(2), np.full(2, 9.0)), weeks=1.0)


def tried(members: tuple[str, ...], losses: Floats, **more: Any) -> Tried:
    return Tried(replace(RECIPES[0], members=members, **more), "+".join(members), losses)


def shipped(every: Floats, other: Tried) -> Recipe:
    return best_of([tried(EVERY_MEMBER, every), other])[0].recipe


@pytest.mark.parametrize(
    ("member", "more"), [(REPEAT_BUYING, {"calibration": AS_IT_IS}), (TREES, {"weighs": False}), (LINEAR, {})]
)
def test_a_member_alone_is_shipped_beyond_noise_and_not_by_luck(member: str, more: dict[str, Any]) -> None:
    """By 0.02 nats in the mean, whose standard error is 0.03 of 100 customers and 0.003 of 10,000."""
    rng = np.random.default_rng(2)
    for n, expected in ((100, EVERY_MEMBER), (10_000, (member,))):
        every = rng.uniform(0.2, 0.6, n)
        gain = rng.normal(0, 0.3, n)
        gain += 0.02 - gain.mean()
        alone = tried((member,), every - gain, **more)
        assert shipped(every, alone).members == expected
        fewer = tried((TREES, LINEAR), every - gain)
        assert shipped(every, fewer).members == (TREES, LINEAR)
    assert BESIDE in EVERY_MEMBER
