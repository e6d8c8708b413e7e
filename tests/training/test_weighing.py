"""How much say members have: learned from customers they did not see, and settled beforehand where few rows tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.calibration import from_log_odds
from training.contributions import contributions_of
from training.members import BESIDE, LINEAR, REPEAT_BUYING, TREES, Customers, Members, mean_of
from training.next_purchase import fit_head
from training.pareto_nbd import ParetoNbd
from training.recipes import EVERY_MEMBER, RECIPES, Recipe
from training.repeat_buying import BgNbd
from training.weighing import DRAWN, LEAST_SAY, weighed

INPUTS = ("n_order_days", "days_since_last_order", "days_since_first_order")
BG, PARETO = BgNbd(r=0.8, alpha=6.0, a=0.8, b=2.5), ParetoNbd(r=0.8, alpha=6.0, s=0.7, beta=12.0)
ROWS = np.array([(5.0, 10.0, 100.0), (1.0, 40.0, 40.0), (0.0, np.nan, np.nan), (30.0, 60.0, 700.0)])


def said_and_happened(n: int) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.uint8]]:
    """The regression knows the truth, trees see it through noise, and repeat buying knows nothing."""
    rng = np.random.default_rng(3)
    truth, noise = rng.normal(0, 1.5, n), rng.normal(0, 1.5, n)
    y = (rng.random(n) < from_log_odds(truth)).astype(np.uint8)
    return {TREES: truth + noise, LINEAR: truth, REPEAT_BUYING: noise}, y


def test_whoever_knows_gets_the_say_and_whoever_knows_nothing_none() -> None:
    shares = weighed(*said_and_happened(20_000))
    assert shares[LINEAR] > 0.9
    assert REPEAT_BUYING not in shares


def test_a_few_rows_leave_the_say_that_was_settled_beforehand() -> None:
    said, y = said_and_happened(12)
    shares = weighed(said, y)
    assert [shares[name] for name in said] == pytest.approx([2 / 5, 2 / 5, 1 / 5], abs=0.1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(2, 60), names=st.sets(st.sampled_from(EVERY_MEMBER), min_size=1))
def test_shares_are_never_negative_and_sum_to_one(seed: int, n: int, names: set[str]) -> None:
    rng = np.random.default_rng(seed)
    said = {name: rng.normal(0, 3, n) for name in sorted(names)}
    said[min(said)][: n // 3] = np.nan
    shares = weighed(said, (rng.random(n) < 0.4).astype(np.uint8))
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= min(LEAST_SAY, 1.0)
    assert set(shares) <= set(said)


def test_whoever_can_say_nothing_of_a_customer_leaves_the_others_their_say() -> None:
    one, other = np.array([1.0, 1.0, np.nan]), np.array([2.0, np.nan, np.nan])
    assert mean_of([one, other], silent=-4.0, weights=[0.75, 0.25]).tolist() == [0.75 * 1 + 0.25 * 2, 1.0, -4.0]


def members(names: Sequence[str]) -> Members:
    shares = {REPEAT_BUYING: 0.7, BESIDE: 0.3}
    return Members(
        30,
        dict.fromkeys(names, 0.1),
        silent=-1.5,
        repeat_buying=BG if REPEAT_BUYING in names else None,
        beside=PARETO if BESIDE in names else None,
        weights={name: shares[name] for name in names},
    )


@pytest.mark.parametrize("names", [(REPEAT_BUYING, BESIDE), (BESIDE,)])
def test_what_is_written_says_the_same_and_is_taken_apart_exactly(names: tuple[str, ...]) -> None:
    made = members(names)
    again = Members.from_dict(made.as_dict(), horizon_days=30)
    customers = Customers(ROWS, INPUTS)
    said = made.scores(customers, None)
    assert again.scores(customers, None).tolist() == said.tolist()
    for place, row in enumerate(ROWS):
        told = contributions_of(made, Customers(row[None], INPUTS), None)
        assert told.score == pytest.approx(said[place], abs=1e-9)


@pytest.mark.parametrize("fitted", [BG, PARETO])
def test_several_horizons_at_once_say_what_each_says_alone(fitted: BgNbd | ParetoNbd) -> None:
    together = Customers(ROWS, INPUTS, horizons_days=(7, 30, 90))
    for days in (7, 30, 90, 45):
        alone = Customers(ROWS, INPUTS).repeat_buying(fitted, horizon_days=days)
        np.testing.assert_array_equal(together.repeat_buying(fitted, horizon_days=days), alone)


def test_trees_without_a_say_do_not_keep_the_others_from_being_tried(tiny_world: Callable[..., Any]) -> None:
    world = tiny_world()
    wild = Recipe("wild", num_leaves=31, rounds=200, min_data_in_leaf=1, learning_rate=1.0)
    without = fit_head(world, horizon_days=7, used_at=world.known_until, recipe=wild)
    assert TREES not in without.members.weights
    chosen = fit_head(world, horizon_days=7, used_at=world.known_until, candidates=(wild,))
    assert "held-back window" in chosen.because


def test_a_head_says_who_has_a_say_and_how_much(tiny_world: Callable[..., Any]) -> None:
    world = tiny_world()
    head = fit_head(world, horizon_days=7, used_at=world.known_until, recipe=RECIPES[0])
    assert set(head.members.weights) == set(head.members.offsets) == set(head.recipe.members) <= set(EVERY_MEMBER)
    assert len(head.members.weights) > 1
    assert sum(head.members.weights.values()) == pytest.approx(1.0)


def test_those_of_whom_repeat_buying_says_nothing_tell_who_knows_them() -> None:
    """Of a tenth every member speaks, alike; of the others trees know nothing and the regression the truth."""
    rng = np.random.default_rng(3)
    truth, bought = rng.normal(0, 1.5, 3_000), np.arange(3_000) < 300
    y = (rng.random(3_000) < from_log_odds(truth)).astype(np.uint8)
    noise = rng.normal(0, 1.5, 3_000)
    said = {TREES: np.where(bought, truth, noise), LINEAR: truth, REPEAT_BUYING: np.where(bought, truth, np.nan)}
    shares = weighed(said, y)
    assert shares[LINEAR] / (shares[LINEAR] + shares.get(TREES, 0.0)) > 0.9


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_where_every_member_speaks_it_is_a_plain_regression(seed: int) -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 1.5, 400)
    y = (rng.random(400) < from_log_odds(truth)).astype(np.uint8)
    said = {name: truth + rng.normal(0, 1, 400) for name in (TREES, LINEAR)}
    scores, before = np.column_stack(list(said.values())), np.array([0.5, 0.5])

    def loss(at: NDArray[np.float64]) -> float:
        told = at[0] + scores @ at[1:]
        return float((np.logaddexp(0, told) - y * told).sum() + DRAWN / 2 * ((at[1:] - before) ** 2).sum())

    weights = minimize(loss, np.array([0.0, 0.5, 0.5]), bounds=[(None, None), (0, None), (0, None)]).x[1:]
    shares = weighed(said, y)
    assert [shares.get(name, 0.0) for name in said] == pytest.approx(weights / weights.sum(), abs=0.03)
