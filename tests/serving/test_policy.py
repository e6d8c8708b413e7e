from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.brand import Arm, Experiment, Exploration, Policy
from features.catalogue import NOTHING
from serving.policy import Distribution, distribution_over, policy_for
from tests.serving.tiny_world import a_brand

N_DRAWS = 6_000
POLICIES = [
    Policy(name="greedy"),
    Policy(name="epsilon_greedy", epsilon=0.0),
    Policy(name="epsilon_greedy", epsilon=0.1),
    Policy(name="epsilon_greedy", epsilon=1.0),
    Policy(name="uniform"),
    Policy(name="squarecb", gamma=10.0),
    Policy(name="squarecb", gamma=1_000.0),
]
EXPLORATIONS = [Exploration(), Exploration(exposures=100, share=0.3), Exploration(exposures=100, share=1.0)]
WORLDS = [
    {"only": 1.0},
    {"a": 1.0, "b": 2.0},
    {"a": 2.0, "b": 2.0, "c": 1.0},
    {"a": 0.0, "b": 0.0, "c": 0.0},
    {"nothing": 0.0, "coupon": -3.5, "tip": 12.25, "reminder": 12.25},
    {"nothing": 0.0, "coupon": -3.5, "tip": -1.0},
]
NEW = frozenset({"a", "coupon", "retired"})


def named(policy: Policy) -> str:
    return f"{policy.name}-{policy.epsilon}-{policy.gamma:g}"


@pytest.mark.parametrize("policy", POLICIES, ids=named)
@pytest.mark.parametrize("exploration", EXPLORATIONS, ids=lambda exploration: f"explored-{exploration.share}")
@pytest.mark.parametrize("values", WORLDS, ids=lambda values: "-".join(values))
def test_the_share_of_draws_that_take_an_action_is_the_probability_that_is_reported(
    policy: Policy, exploration: Exploration, values: dict[str, float]
) -> None:
    new = NEW if exploration.exposures else frozenset()
    distribution = distribution_over(values, policy, new=new, exploration=exploration)
    taken = [distribution.take((i + 0.5) / N_DRAWS) for i in range(N_DRAWS)]
    for action_id in values:
        assert taken.count(action_id) / N_DRAWS == pytest.approx(distribution.probability(action_id), abs=1.5 / N_DRAWS)


@given(
    values=st.dictionaries(
        st.sampled_from("abcdefgh"),
        st.one_of(st.sampled_from([0.0, 0.5, 1.0, -2.0]), st.floats(-1e9, 1e9)),
        min_size=1,
    ),
    policy=st.sampled_from(POLICIES),
    exploration=st.sampled_from(EXPLORATIONS),
    scale=st.sampled_from([None, 1e-6, 1.0, 1e12]),
    draw=st.floats(0.0, 1.0, exclude_max=True),
)
def test_probabilities_sum_to_one_and_only_what_is_possible_is_taken(
    values: dict[str, float], policy: Policy, exploration: Exploration, scale: float | None, draw: float
) -> None:
    distribution = distribution_over(values, policy, reward_scale=scale, new={"a", "b"}, exploration=exploration)
    assert sum(distribution.probabilities) == pytest.approx(1.0, abs=1e-12)
    assert min(distribution.probabilities) >= 0.0
    assert distribution.probability(distribution.take(draw)) > 0.0


@given(
    values=st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-100.0, 100.0), min_size=1),
    policy=st.sampled_from(POLICIES),
)
def test_an_action_that_is_worth_more_is_never_less_likely(values: dict[str, float], policy: Policy) -> None:
    probabilities = distribution_over(values, policy).as_dict()
    ranked = sorted(values, key=lambda action_id: values[action_id])
    for less, more in pairwise(ranked):
        assert probabilities[less] <= probabilities[more] + 1e-12


def test_equal_values_share_the_probability_evenly() -> None:
    assert distribution_over({"a": 1.0, "b": 1.0, "c": 0.0}, Policy(name="greedy")).as_dict() == {
        "a": 0.5,
        "b": 0.5,
        "c": 0.0,
    }


def test_epsilon_is_spread_over_every_action_the_best_one_included() -> None:
    distribution = distribution_over({"a": 1.0, "b": 0.0}, Policy(name="epsilon_greedy", epsilon=0.1))
    assert distribution.as_dict() == pytest.approx({"a": 0.9 + 0.1 / 2, "b": 0.1 / 2})


def test_squarecb_weighs_by_the_inverse_of_the_gap_to_the_best() -> None:
    distribution = distribution_over(
        {"a": 100.0, "b": 80.0, "c": 0.0}, Policy(name="squarecb", gamma=10.0), reward_scale=200.0
    )
    b, c = 1 / (3 + 10 * 20 / 200), 1 / (3 + 10 * 100 / 200)
    assert distribution.as_dict() == pytest.approx({"a": 1 - b - c, "b": b, "c": c})


def test_squarecb_takes_no_gap_for_larger_than_the_whole_scale() -> None:
    distribution = distribution_over({"a": 100.0, "b": -900.0}, Policy(name="squarecb", gamma=10.0), reward_scale=100.0)
    assert distribution.probability("b") == pytest.approx(1 / (2 + 10 * 1))


def test_the_best_ones_of_squarecb_share_what_the_others_leave() -> None:
    distribution = distribution_over(
        {"a": 1.0, "b": 1.0, "c": 0.0}, Policy(name="squarecb", gamma=7.0), reward_scale=1.0
    )
    c = 1 / (3 + 7)
    assert distribution.as_dict() == pytest.approx({"a": (1 - c) / 2, "b": (1 - c) / 2, "c": c})


def test_squarecb_takes_the_largest_value_for_its_scale_where_the_brand_names_none() -> None:
    values, policy = {"a": 40.0, "b": -50.0}, Policy(name="squarecb")
    named_scale = distribution_over(values, policy, reward_scale=50.0)
    assert distribution_over(values, policy) == named_scale


def test_the_scale_of_squarecb_is_not_of_what_every_value_contains_anyway() -> None:
    policy, gains = Policy(name="squarecb"), {"a": 4.0, "b": 3.0, NOTHING: 0.0}
    values = {action_id: 200.0 + gain for action_id, gain in gains.items()}
    assert distribution_over(values, policy, anyway=200.0) == distribution_over(gains, policy)
    assert distribution_over(values, policy).probability("a") < 0.6 < distribution_over(gains, policy).probability("a")


def test_what_squarecb_was_made_with_is_told() -> None:
    distribution = distribution_over({"a": 4.0, "b": 1.0}, Policy(name="squarecb", gamma=9.0), reward_scale=5.0)
    assert distribution.parameters == {"name": "squarecb", "gamma": 9.0, "reward_scale": 5.0, "n_actions": 2}


@pytest.mark.parametrize(
    ("policy", "at_least"),
    [
        (Policy(name="greedy"), 1.0),
        (Policy(name="epsilon_greedy", epsilon=0.1), 0.9),
        (Policy(name="squarecb", gamma=1_000.0), 0.95),
    ],
    ids=lambda value: value.name if isinstance(value, Policy) else "",
)
def test_nothing_has_the_greedy_mass_where_everything_else_loses_money(policy: Policy, at_least: float) -> None:
    values = {NOTHING: 0.0, "coupon": -50.0, "gift": -90.0, "letter": -20.0}
    assert distribution_over(values, policy).probability(NOTHING) >= at_least


def test_new_actions_have_their_share_beside_what_the_policy_gives_them() -> None:
    distribution = distribution_over(
        {"a": 2.0, "b": 1.0, "c": 0.0},
        Policy(name="greedy"),
        new={"b", "c"},
        exploration=Exploration(exposures=500, share=0.2),
    )
    assert distribution.as_dict() == pytest.approx({"a": 0.8, "b": 0.2 / 2, "c": 0.2 / 2})
    assert distribution.parameters == {"name": "greedy", "explored": ["b", "c"], "explored_share": 0.2}


def test_nothing_changes_where_no_candidate_is_new() -> None:
    values, exploration = {"a": 2.0, "b": 1.0}, Exploration(exposures=500, share=0.2)
    explored = distribution_over(values, Policy(name="greedy"), new={"retired"}, exploration=exploration)
    assert explored == distribution_over(values, Policy(name="greedy"))


def test_the_order_in_which_actions_are_given_changes_nothing() -> None:
    policy = Policy(name="epsilon_greedy", epsilon=0.3)
    assert distribution_over({"a": 1.0, "b": 2.0}, policy) == distribution_over({"b": 2.0, "a": 1.0}, policy)


def test_a_policy_needs_something_to_choose_from() -> None:
    with pytest.raises(ValueError, match="at least one"):
        distribution_over({}, Policy())


def test_the_least_draw_and_the_greatest_both_take_something() -> None:
    distribution = Distribution(("a", "b", "c"), (0.0, 0.3, 0.7 - 1e-16))
    assert distribution.take(0.0) == "b"
    assert distribution.take(1.0 - 2**-53) == "c"


OWN = Policy(name="uniform")
BRAVE = Policy(name="squarecb", gamma=5.0)


@pytest.mark.parametrize(
    ("arm", "own", "expected"),
    [
        ("brave", None, BRAVE),
        ("personalised", None, Policy(name="greedy")),
        ("holdout", None, Policy(name="greedy")),
        ("brave", OWN, OWN),
    ],
)
def test_a_placement_goes_before_the_arm_and_the_arm_before_the_brand(
    arm: str, own: Policy | None, expected: Policy
) -> None:
    experiment = Experiment(
        name="bold", arms={"brave": Arm(share=0.5, policy=BRAVE), "calm": Arm(share=0.5, policy=OWN)}
    )
    brand = a_brand(experiment=experiment)
    placement = brand.placements["reply"].model_copy(update={"policy": own})
    assert policy_for(placement, brand=brand, arm=arm) == expected
