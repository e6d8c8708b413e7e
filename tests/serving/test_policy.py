from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.brand import Policy
from serving.policy import distribution_over

N_DRAWS = 6_000
POLICIES = [
    Policy(name="greedy"),
    Policy(name="epsilon_greedy", epsilon=0.0),
    Policy(name="epsilon_greedy", epsilon=0.1),
    Policy(name="epsilon_greedy", epsilon=1.0),
    Policy(name="uniform"),
]
WORLDS = [
    {"only": 1.0},
    {"a": 1.0, "b": 2.0},
    {"a": 2.0, "b": 2.0, "c": 1.0},
    {"a": 0.0, "b": 0.0, "c": 0.0},
    {"nothing": 0.0, "coupon": -3.5, "tip": 12.25, "reminder": 12.25},
]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: f"{policy.name}-{policy.epsilon}")
@pytest.mark.parametrize("values", WORLDS, ids=lambda values: "-".join(values))
def test_the_share_of_draws_that_take_an_action_is_the_probability_that_is_reported(
    policy: Policy, values: dict[str, float]
) -> None:
    distribution = distribution_over(values, policy)
    taken = [distribution.take((i + 0.5) / N_DRAWS) for i in range(N_DRAWS)]
    for action_id in values:
        assert taken.count(action_id) / N_DRAWS == pytest.approx(distribution.probability(action_id), abs=1.5 / N_DRAWS)


@given(
    values=st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.5, 1.0, -2.0]), min_size=1),
    policy=st.sampled_from(POLICIES),
    draw=st.floats(0.0, 1.0, exclude_max=True),
)
def test_probabilities_sum_to_one_and_only_what_is_possible_is_taken(
    values: dict[str, float], policy: Policy, draw: float
) -> None:
    distribution = distribution_over(values, policy)
    assert sum(distribution.probabilities) == pytest.approx(1.0, abs=1e-12)
    assert distribution.probability(distribution.take(draw)) > 0.0


def test_equal_values_share_the_probability_evenly() -> None:
    assert distribution_over({"a": 1.0, "b": 1.0, "c": 0.0}, Policy(name="greedy")).as_dict() == {
        "a": 0.5,
        "b": 0.5,
        "c": 0.0,
    }


def test_epsilon_is_spread_over_every_action_the_best_one_included() -> None:
    distribution = distribution_over({"a": 1.0, "b": 0.0}, Policy(name="epsilon_greedy", epsilon=0.1))
    assert distribution.as_dict() == pytest.approx({"a": 0.9 + 0.1 / 2, "b": 0.1 / 2})


def test_the_order_in_which_actions_are_given_changes_nothing() -> None:
    policy = Policy(name="epsilon_greedy", epsilon=0.3)
    assert distribution_over({"a": 1.0, "b": 2.0}, policy) == distribution_over({"b": 2.0, "a": 1.0}, policy)


def test_a_policy_needs_something_to_choose_from() -> None:
    with pytest.raises(ValueError, match="at least one"):
        distribution_over({}, Policy())
