"""How much scores lean on an input is what came of its drift, not how much the model needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from numpy.typing import NDArray

from training.artifact import Matrix
from training.drift.as_it_was import as_it_was
from training.drift.moves import Move, effect_of, moves_of
from training.drift.reference import Reference, reference_of
from training.drift.report import reasons_of
from training.drift.said import Said
from training.drift.spread import Spread, psi

N = 4_000


def two_kinds(X: Matrix) -> Mapping[str, Said]:
    """Who ordered within 60 days will again; how much longer ago it was plays no part."""
    return {"s": Said(np.where(X[:, 0] < 60.0, 0.8, 0.1))}


def customers(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).exponential(60.0, (N, 1)).astype(np.float32)


def reference() -> Reference:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return reference_of(customers(0), as_of=at, inputs=("recency",), categories={}, saying=two_kinds)


def moved(X: NDArray[np.float32]) -> Move:
    return moves_of(reference(), X, inputs=("recency",), saying=two_kinds, days=10.0)[0]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_nothing_drifted_nothing_comes_of_it_however_much_the_model_needs_the_input(seed: int) -> None:
    X = np.random.default_rng(seed).permutation(customers(seed))[:2_000]
    assert effect_of(reference(), "recency", X, place=0, saying=two_kinds, rng=np.random.default_rng(1)).size < 0.1


def test_an_input_that_moved_where_no_score_changes_is_no_reason() -> None:
    X = customers(0)
    X[X > 60] = 61 + X[X > 60] % 10
    found = moved(X)
    assert found.verdict == "moved"
    assert found.effect is not None
    assert found.effect < 0.05
    assert not found.is_a_reason


def test_a_shift_by_which_scores_are_others_is_a_reason() -> None:
    found = moved(customers(0) + 60)
    assert found.effect is not None
    assert found.effect > 1.0
    assert found.is_a_reason


def test_of_a_number_deviations_are_told_and_of_a_category_the_customers_who_would_get_another() -> None:
    def kinds(X: Matrix) -> Mapping[str, Said]:
        return {"segment": Said((X[:, 0] > 60.0).astype(np.float64), ("a", "b"))}

    for saying, on, unit, words in (
        (two_kinds, "s", "deviations", r"scores would be others by \d\.\d\d deviations"),
        (kinds, "segment", "customers", r"\d\d% of customers would have another segment"),
    ):
        at = datetime(2026, 3, 1, tzinfo=UTC)
        then = reference_of(customers(0), as_of=at, inputs=("recency",), categories={}, saying=saying)
        found = moves_of(then, customers(0) + 60, inputs=("recency",), saying=saying, days=10.0)
        assert (found[0].effect_on, found[0].effect_unit) == (on, unit)
        assert re.search(f"with it as it was, {words}$", reasons_of(found, [])[-1].told)


def test_a_number_keeps_its_rank_and_of_equal_ones_only_the_surplus_moves() -> None:
    rng = np.random.default_rng(0)
    then = Spread.of(rng.choice(3, 1_000, p=[0.6, 0.3, 0.1]).astype(np.float32))
    now = rng.choice(3, 1_000, p=[0.4, 0.4, 0.2]).astype(np.float32)
    before = as_it_was(then, now, rng=rng)
    assert psi(then, then.counted(before)) == pytest.approx(0.0, abs=1e-6)
    assert (before <= now).all()
    assert 0.2 < (before != now).mean() < 0.4  # a fifth of them from 1 to 0, a tenth from 2 to 1


def test_of_a_category_and_of_the_unknown_only_the_surplus_moves() -> None:
    then = Spread.of(np.repeat([0.0, 1.0, np.nan], [500, 300, 200]), n_categories=2)
    now = np.repeat(np.array([0.0, 1.0, np.nan], dtype=np.float32), [300, 400, 300])
    before = as_it_was(then, now, rng=np.random.default_rng(0))
    counted = then.counted(before)
    assert counted.n_unknown == then.n_unknown
    assert np.abs(np.array(counted.counts) - then.counts).max() <= 1  # rounding, of who stays and of who is new
    assert np.isnan(now[np.isnan(before)]).all()
    again = as_it_was(then, now, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(before, again)
    assert (before[:300] == 0.0).all()  # of whom there are too few, nobody moves
    fewer = as_it_was(then.counted(now), np.repeat(now[[0, 300]], [500, 500]), rng=np.random.default_rng(0))
    assert int(np.isnan(fewer).sum()) == 300


numbers = of_numpy.arrays(
    np.float32, st.integers(1, 60), elements=st.one_of(st.just(np.float32("nan")), st.floats(-1e3, 1e3, width=32))
)


@settings(max_examples=60, deadline=None)
@given(numbers, numbers, st.booleans())
def test_whatever_it_was_it_is_spread_so_again(
    then: NDArray[np.float32], now: NDArray[np.float32], is_category: bool
) -> None:
    if is_category:
        then, now = (np.abs(of) // 250 for of in (then, now))
    spread = Spread.of(then, n_categories=4 if is_category else None)
    before = spread.counted(as_it_was(spread, now, rng=np.random.default_rng(0)))
    n_unknown = round(spread.unknown_rate * len(now))
    assert before.n_unknown == n_unknown
    n_known = len(now) - n_unknown
    gap = np.array(before.counts) - np.array(spread.counts) * (n_known / max(spread.n_known, 1))
    assert np.abs(gap).max() <= 2.0 or spread.counts[-1] > 0  # rounding, once of who stays and once of who is new
