"""A feature that knows the future is named; features that are merely good are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.dataset import Snapshot
from training.leakage import LeakFound, _differing, find_leaks, refuse_leaks
from training.next_purchase import train_next_purchase

INPUTS = ("n_orders", "recency", "trait_skin", "suspect")


def a_world(n: int = 4000, *, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Customers of whom the keen order more: recency ranks well (AUC about 0.85), nothing knows the future."""
    rng = np.random.default_rng(seed)
    keen = rng.normal(size=n)
    y = (rng.random(n) < 1 / (1 + np.exp(-2.5 * keen + 1))).astype(np.uint8)
    X = np.column_stack([rng.poisson(2, n) + 1, keen, rng.integers(0, 4, n), rng.normal(size=n)]).astype(np.float32)
    return X, y


def names(X: np.ndarray, y: np.ndarray, **given_: object) -> list[str]:
    return [leak.feature for leak in find_leaks(X, y, inputs=INPUTS, categories={"trait_skin"}, **given_)]  # type: ignore[arg-type]


def test_good_features_are_no_leaks() -> None:
    assert names(*a_world()) == []


def test_a_feature_that_alone_separates_is_named() -> None:
    X, y = a_world()
    X[:, 3] = y + np.random.default_rng(0).normal(0, 0.2, len(y))
    assert names(X, y) == ["suspect"]


def test_it_is_named_whichever_way_it_points_and_whatever_its_shape() -> None:
    X, y = a_world()
    rng = np.random.default_rng(0)
    X[:, 3] = np.where(y == 1, rng.normal(0, 0.1, len(y)), rng.choice([-3, 3], len(y)) + rng.normal(0, 0.1, len(y)))
    assert names(X, y) == ["suspect"]
    X[:, 3] = -(y + rng.normal(0, 0.2, len(y)))
    assert names(X, y) == ["suspect"]


def test_a_category_that_is_the_answer_in_other_words_is_named() -> None:
    X, y = a_world()
    X[:, 2] = np.where(y == 1, 3, np.where(X[:, 2] == 3, 0, X[:, 2]))
    assert names(X, y) == ["trait_skin"]


@pytest.mark.parametrize("otherwise", [np.nan, 0.0])
def test_a_feature_that_only_some_positives_have_is_named_though_it_hardly_ranks(otherwise: float) -> None:
    X, y = a_world()
    some = (y == 1) & (np.random.default_rng(0).random(len(y)) < 0.15)
    X[:, 3] = np.where(some, 5.0, otherwise)
    (leak,) = find_leaks(X, y, inputs=INPUTS, categories={"trait_skin"})
    assert (leak.feature, leak.sign, leak.n_present) == ("suspect", "only_for_positives", int(some.sum()))
    assert leak.auc < 0.7


def test_a_rare_feature_that_luck_explains_is_none() -> None:
    X, y = a_world()
    X[:, 3] = np.nan
    X[np.flatnonzero(y == 1)[:19], 3] = 1.0  # too few to say
    assert names(X, y) == []


def test_telling_buyers_from_mere_addresses_is_no_leak() -> None:
    """1,000 buyers among 100,000 addresses: n_orders ranks with AUC over 0.98, and among buyers it knows nothing."""
    rng = np.random.default_rng(2)
    n = 101_000
    buyer = np.arange(n) < 1000
    y = (buyer & (rng.random(n) < 0.4)).astype(np.uint8)
    X = np.column_stack([buyer * (1 + rng.poisson(1, n)), rng.normal(size=n), np.zeros(n), rng.normal(size=n)])
    assert names(X.astype(np.float32), y) == []
    X[:, 3] = y + rng.normal(0, 0.1, n)
    assert names(X.astype(np.float32), y) == ["suspect"]


def test_what_was_looked_into_is_trusted() -> None:
    X, y = a_world()
    X[:, 3] = y
    assert names(X, y, trusted=("suspect",)) == []


def test_training_stops_with_the_name_and_what_to_do() -> None:
    X, y = a_world()
    X[:, 3] = y
    with pytest.raises(LeakFound, match=r"'visit' of campaign 'spring'.*'suspect' alone.*received_at") as found:
        refuse_leaks(X, y, inputs=INPUTS, categories={"trait_skin"}, what="'visit' of campaign 'spring'")
    assert found.value.leaks[0].as_dict()["auc"] == pytest.approx(1.0)


def test_next_purchase_is_not_trained_on_a_feature_that_knows_the_future(tiny_world: Callable[..., Any]) -> None:
    world = tiny_world()
    honest = world.snapshot

    def told_too_early(as_of: datetime) -> Snapshot:
        """With the number of days until the next order for `trait_skin_need_age_days`, as a wrong import has it."""
        known: Snapshot = honest(as_of)
        day = (as_of - world.first).total_seconds() / 86_400
        until = [min((order - day for order in orders if order >= day), default=999.0) for orders in world.orders]
        known.X[:, -1] = np.array(until, dtype=np.float32)
        return known

    world.snapshot = told_too_early
    with pytest.raises(LeakFound, match=r"an order within 30 days of .*'trait_skin_need_age_days' alone"):
        train_next_purchase(world, horizons_days=(30,))


def test_amounts_are_hunted_as_well() -> None:
    X, y = a_world()
    spend = np.where(y == 1, np.random.default_rng(0).gamma(2, 30, len(y)), 0.0)
    X[:, 3] = spend
    assert names(X, spend) == ["suspect"]


def test_two_leaks_do_not_excuse_each_other() -> None:
    X, y = a_world()
    rng = np.random.default_rng(0)
    X[:, 2] = np.where((y == 1) & (rng.random(len(y)) < 0.2), 1.0, np.nan)
    X[:, 3] = np.where((y == 1) & (rng.random(len(y)) < 0.3), 1.0, np.nan)
    assert names(X, y) == ["suspect", "trait_skin"]


def test_a_feature_of_customers_who_were_bound_to_buy_is_no_leak() -> None:
    """Groceries: who ordered this week orders again within the season, all 300 of them; recency says as much."""
    rng = np.random.default_rng(5)
    n = 4000
    weekly = np.arange(n) < 2000
    y = np.where(weekly, rng.random(n) < 0.998, rng.random(n) < 0.2).astype(np.uint8)
    recency = np.where(weekly, rng.uniform(0, 7, n), rng.uniform(7, 200, n))
    today = (rng.random(n) < 0.15) & weekly & (y == 1)
    X = np.column_stack([np.ones(n), recency, rng.integers(0, 4, n), np.where(today, 1, 0)]).astype(np.float32)
    assert names(X, y) == []


def a_subscription_shop() -> tuple[np.ndarray, np.ndarray]:
    """Two in five order every month, the others left long ago: the days since the last order nearly say who orders."""
    rng = np.random.default_rng(0)
    n = 2000
    stays = rng.random(n) < 0.4
    y = (stays & (rng.random(n) < 0.985)).astype(np.uint8)
    silent = np.where(stays, rng.uniform(0, 30, n), rng.uniform(35, 600, n))
    return np.column_stack([silent, silent < 30, silent]).astype(np.float32), y


def test_what_we_count_from_events_is_known_in_time_and_a_declared_trait_is_not_excused_by_that() -> None:
    X, y = a_subscription_shop()
    inputs = ("days_since_last_order", "n_orders_30d", "trait_days_left")
    assert find_leaks(X[:, :2], y, inputs=inputs[:2]) == []
    assert [leak.feature for leak in find_leaks(X, y, inputs=inputs)] == ["trait_days_left"]


def test_whom_our_own_features_say_to_be_bound_to_buy_makes_no_trait_a_leak() -> None:
    X, y = a_subscription_shop()
    member = np.random.default_rng(1).random(len(y)) < 0.3
    X[:, 2] = np.where((X[:, 0] < 30) & (y == 1) & member, 1.0, np.nan)
    inputs = ("days_since_last_order", "n_orders_30d", "trait_member")
    assert find_leaks(X[:, 2:], y, inputs=inputs[2:])[0].feature == "trait_member"
    assert find_leaks(X, y, inputs=inputs) == []


@pytest.mark.parametrize("counts", ["n_events", "n_events_30d", "n_answers", "days_since_last_answer", "tenure_days"])
def test_that_somebody_told_a_trait_does_not_explain_it(counts: str) -> None:
    """Everything else a shop does is one event a customer: who has two has told the trait."""
    X, y = a_world()
    told = (y == 1) & (np.random.default_rng(0).random(len(y)) < 0.15)
    X[:, 3] = np.where(told, 1.0, np.nan)
    X[:, 1] = 1.0 + told
    inputs = ("n_orders", counts, "trait_skin", "trait_told")
    assert [leak.feature for leak in find_leaks(X, y, inputs=inputs)] == ["trait_told"]
    assert find_leaks(X, y, inputs=("n_orders", "n_page_views", *inputs[2:])) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000), st.integers(70, 400))
def test_noise_is_never_named(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype(np.float32)
    X[:, 2] = rng.integers(0, 40, n)
    X[rng.random((n, 4)) < 0.3] = np.nan
    assert names(X, (np.arange(n) % 2).astype(np.uint8)) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 1.0, -2.5, float("nan"), float("inf"), float("-inf")]), min_size=4, max_size=4),
        min_size=1,
        max_size=5,
    )
)
def test_a_column_tells_customers_apart_if_any_two_of_them_differ_there_and_one_of_them_is_known(
    columns: list[list[float]],
) -> None:
    X = np.array(columns, dtype=np.float32).T

    def differs(column: list[float]) -> bool:
        known = [value for value in column if np.isfinite(value)]
        return bool(known) and any(value != known[0] for value in column)

    assert _differing(X).tolist() == [differs(column) for column in columns]
