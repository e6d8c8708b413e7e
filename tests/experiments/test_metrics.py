from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.metrics import (
    MIN_CONVERTED,
    Estimate,
    NotEstimable,
    Sample,
    difference_of_means,
    difference_of_rates,
    relative_difference_of_means,
    relative_difference_of_rates,
    sample_ratio,
    wilson_interval,
)


def a_rate(n_positive: int, n: int) -> Sample:
    return Sample.of(np.r_[np.ones(n_positive), np.zeros(n - n_positive)])


def some_spend(n_buyers: int, n: int, *, each: float = 100.0) -> Sample:
    return Sample.of(np.r_[each * np.linspace(0.5, 1.5, n_buyers), np.zeros(n - n_buyers)])


def test_newcombes_own_examples_come_out_as_he_printed_them() -> None:
    # Newcombe (1998), table II, method 10: (a) 56/70 - 48/80, (e) 5/56 - 0/29
    large = difference_of_rates(a_rate(56, 70), a_rate(48, 80))
    assert (large.value, large.low, large.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    small = difference_of_rates(a_rate(5, 56), a_rate(0, 29))
    assert (small.low, small.high) == pytest.approx((-0.0381, 0.1926), abs=5e-5)


def test_the_relative_uplift_of_rates_agrees_with_statsmodels_formula_by_hand() -> None:
    estimate = relative_difference_of_rates(a_rate(30, 100), a_rate(20, 100))
    assert isinstance(estimate, Estimate)
    error = math.sqrt((1 - 0.3) / 30 + (1 - 0.2) / 20)  # Katz, up to n against n - 1
    assert estimate.value == pytest.approx(0.3 / 0.2 - 1)
    assert estimate.high == pytest.approx(1.5 * math.exp(1.96 * error) - 1, rel=0.01)


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_difference_of_rates_stays_between_its_ends_and_within_minus_one_and_one(a: int, b: int) -> None:
    estimate = difference_of_rates(a_rate(a, 60), a_rate(b, 60))
    assert -1.0 <= estimate.low <= estimate.value <= estimate.high <= 1.0


@given(st.integers(0, 60), st.integers(0, 60))
def test_swapping_the_arms_mirrors_the_interval(a: int, b: int) -> None:
    one, other = difference_of_rates(a_rate(a, 60), a_rate(b, 60)), difference_of_rates(a_rate(b, 60), a_rate(a, 60))
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_spend_in_another_currency_gives_the_same_relative_uplift_and_a_scaled_absolute_one() -> None:
    rupees = some_spend(60, 300), some_spend(20, 150)
    baht = some_spend(60, 300, each=40.0), some_spend(20, 150, each=40.0)
    absolute, scaled = difference_of_means(*rupees), difference_of_means(*baht)
    assert isinstance(absolute, Estimate)
    assert isinstance(scaled, Estimate)
    assert (scaled.low, scaled.high) == pytest.approx((absolute.low * 0.4, absolute.high * 0.4))
    assert absolute.times(0.4).high == pytest.approx(scaled.high)
    assert relative_difference_of_means(*rupees) == relative_difference_of_means(*baht)


def test_with_many_orders_the_interval_of_a_mean_is_nearly_welchs() -> None:
    treatment, control = some_spend(3_000, 10_000), some_spend(2_000, 8_000)
    estimate = difference_of_means(treatment, control)
    assert isinstance(estimate, Estimate)
    half = 1.96 * math.sqrt(treatment.variance / treatment.n + control.variance / control.n)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=0.01)


@pytest.mark.parametrize(
    ("metric", "code", "counted"),
    [
        (relative_difference_of_rates, "too_few_converted", "reached the goal within"),
        (difference_of_means, "too_few_with_value", "reached the goal with a value within"),
        (relative_difference_of_means, "too_few_with_value", "reached the goal with a value within"),
    ],
)
def test_too_few_orders_in_the_holdout_are_a_reason_not_a_number(metric: object, code: str, counted: str) -> None:
    answer = metric(a_rate(30, 100), a_rate(MIN_CONVERTED - 1, 100))  # type: ignore[operator]
    assert isinstance(answer, NotEstimable)
    assert answer.code == code
    assert answer.facts["arm"] == "holdout"
    assert f"{MIN_CONVERTED - 1} holdout customers {counted}" in answer.reason
    assert f"at least {MIN_CONVERTED}" in answer.reason


def test_times_a_negative_factor_keeps_the_ends_in_order() -> None:
    assert Estimate(1.0, 0.5, 2.0).times(-2) == Estimate(-2.0, -4.0, -1.0)


def test_wilsons_interval_of_nobody_is_above_zero_at_its_top_only() -> None:
    low, high = wilson_interval(0, 29)
    assert low == 0.0
    assert high == pytest.approx(0.117, abs=5e-4)  # 1.96² / (29 + 1.96²)


def test_the_sample_ratio_of_a_fair_draw_is_healthy_and_of_a_lost_arm_is_not() -> None:
    assert sample_ratio(102, np.full(1_000, 0.1)).is_healthy
    broken = sample_ratio(60, np.full(1_000, 0.1))
    assert not broken.is_healthy
    assert broken.expected_n_holdout == pytest.approx(100)


def test_customers_assigned_at_two_rates_are_judged_against_the_sum_of_their_probabilities() -> None:
    probabilities = np.r_[np.full(1_000, 0.1), np.full(1_000, 0.2)]
    assert sample_ratio(300, probabilities).p_value == pytest.approx(1.0)
    assert not sample_ratio(200, probabilities).is_healthy


def test_the_two_ways_to_the_sample_ratio_agree() -> None:
    exact = sample_ratio(120, np.full(1_000, 0.1)).p_value
    nearly_equal = np.full(1_000, 0.1)
    nearly_equal[0] = 0.1 + 1e-6
    assert sample_ratio(120, nearly_equal).p_value == pytest.approx(exact, abs=0.01)
