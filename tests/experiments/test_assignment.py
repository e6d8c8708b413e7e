from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.assignment import assign, draw
from experiments.records import HOLDOUT, PERSONALISED
from features.brand import Arm, Experiment, Policy
from features.faults import CallersMistake

HELD_OUT_OF_AURELIA = [6, 8, 13, 21, 35, 41, 49, 50, 56, 57]
KEYS = st.integers(min_value=0, max_value=2**62)


@given(KEYS, st.text(max_size=20), st.floats(0, 1))
def test_the_same_customer_gets_the_same_arm_again(key: int, salt: str, rate: float) -> None:
    assert assign(key, salt=salt, holdout_rate=rate) == assign(key, salt=salt, holdout_rate=rate)


@given(KEYS, st.floats(0, 1), st.floats(0, 1))
def test_raising_the_rate_only_adds_customers_to_the_holdout(key: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if assign(key, salt="Aurelia", holdout_rate=low).arm == HOLDOUT:
        assert assign(key, salt="Aurelia", holdout_rate=high).arm == HOLDOUT


@given(KEYS, st.text(max_size=20))
def test_a_draw_lies_in_the_half_open_unit_interval(key: int, salt: str) -> None:
    assert 0.0 <= draw(key, salt=salt) < 1.0


def test_the_arm_comes_with_the_probability_of_that_arm() -> None:
    every = [assign(key, salt="Aurelia", holdout_rate=0.1) for key in range(200)]
    assert {one.arm_probability for one in every if one.arm == HOLDOUT} == {0.1}
    assert {one.arm_probability for one in every if one.arm == PERSONALISED} == {1 - 0.1}


def test_the_holdout_is_as_large_as_asked() -> None:
    n_held_out = sum(assign(key, salt="Aurelia", holdout_rate=0.1).arm == HOLDOUT for key in range(20_000))
    assert 2_000 - 4 * 42 < n_held_out < 2_000 + 4 * 42  # sd = sqrt(20,000 * 0.1 * 0.9) = 42


def test_another_salt_is_another_draw() -> None:
    both = sum(
        assign(key, salt="a", holdout_rate=0.5).arm == assign(key, salt="b", holdout_rate=0.5).arm
        for key in range(4_000)
    )
    assert 2_000 - 4 * 32 < both < 2_000 + 4 * 32


def test_the_arm_of_a_customer_never_changes_between_versions() -> None:
    held_out = [key for key in range(60) if assign(key, salt="Aurelia", holdout_rate=0.1).arm == HOLDOUT]
    assert held_out == HELD_OUT_OF_AURELIA


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_a_rate_that_is_no_share_is_refused(rate: float) -> None:
    with pytest.raises(CallersMistake, match="lies between 0 and 1"):
        assign(1, salt="Aurelia", holdout_rate=rate)


def an_experiment(name: str = "bold", **shares: float) -> Experiment:
    arms = {arm: Arm(share=share, policy=Policy()) for arm, share in (shares or {"calm": 0.75, "brave": 0.25}).items()}
    return Experiment(name=name, arms=arms)


@given(KEYS, st.floats(0, 1))
def test_an_experiment_moves_nobody_into_or_out_of_the_holdout(key: int, rate: float) -> None:
    without = assign(key, salt="Aurelia", holdout_rate=rate)
    within = assign(key, salt="Aurelia", holdout_rate=rate, experiment=an_experiment())
    assert (without.arm == HOLDOUT) == (within.arm == HOLDOUT)


@given(KEYS)
def test_an_arm_comes_with_its_share_of_those_who_are_not_held_out(key: int) -> None:
    one = assign(key, salt="Aurelia", holdout_rate=0.2, experiment=an_experiment())
    expected = {HOLDOUT: 0.2, "calm": 0.8 * 0.75, "brave": 0.8 * 0.25}
    assert one.arm_probability == pytest.approx(expected[one.arm])
    assert one.holdout_rate == 0.2
    assert one.experiment == (None if one.arm == HOLDOUT else "bold")


def test_the_arms_are_as_large_as_their_shares() -> None:
    arms = [assign(key, salt="Aurelia", holdout_rate=0.1, experiment=an_experiment()).arm for key in range(20_000)]
    assert abs(arms.count("brave") - 20_000 * 0.9 * 0.25) < 4 * 59  # sd = sqrt(20,000 * 0.225 * 0.775) = 59


def test_the_same_customer_is_in_the_same_arm_again_and_a_new_name_draws_anew() -> None:
    def arms(name: str) -> list[str]:
        experiment = an_experiment(name, one=0.5, two=0.5)
        return [assign(key, salt="Aurelia", holdout_rate=0.0, experiment=experiment).arm for key in range(2_000)]

    assert arms("first") == arms("first")
    same = sum(a == b for a, b in zip(arms("first"), arms("second"), strict=True))
    assert abs(same - 1_000) < 4 * 23  # sd = sqrt(2,000 * 0.5 * 0.5) = 22.4


def test_an_experiment_that_is_named_like_the_brand_does_not_repeat_its_draw() -> None:
    experiment = an_experiment("aurelia", low=0.5, high=0.5)
    arms = [assign(key, salt="aurelia", holdout_rate=0.5, experiment=experiment).arm for key in range(2_000)]
    assert arms.count("low") > 400  # of the 1,000 with a draw over the rate, all would be 'high'
