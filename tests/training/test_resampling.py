"""Resampling customers: the textbook's standard error, whole customers, and the same answer twice."""

from __future__ import annotations

import numpy as np
import pytest

from training.resampling import mean_over_windows, paired_difference


def test_the_bootstrap_spread_is_that_of_a_mean() -> None:
    differences = np.random.default_rng(1).normal(0.1, 1.0, 2_500)
    found = paired_difference(differences)
    assert found.mean == pytest.approx(differences.mean())
    assert found.standard_error == pytest.approx(differences.std() / np.sqrt(2_500), rel=0.06)
    assert found.low == pytest.approx(found.mean - 1.96 * found.standard_error, abs=0.004)
    assert found.high == pytest.approx(found.mean + 1.96 * found.standard_error, abs=0.004)


def test_lots_of_customers_spread_as_the_customers_do() -> None:
    differences = np.random.default_rng(2).normal(0.0, 1.0, 30_000)  # more than are drawn one by one
    assert paired_difference(differences).standard_error == pytest.approx(1 / np.sqrt(30_000), rel=0.08)


def test_a_customer_in_two_windows_is_drawn_in_both_or_in_neither() -> None:
    keys, differences = np.arange(400), np.random.default_rng(3).normal(0.0, 1.0, 400)
    once = paired_difference(differences)
    twice = mean_over_windows([(keys, differences), (keys[::-1].copy(), differences[::-1].copy())])
    assert twice.n == 400
    assert twice.standard_error == pytest.approx(once.standard_error, rel=0.08)  # not less by √2
    others = mean_over_windows([(keys, differences), (keys + 400, differences)])
    assert others.standard_error == pytest.approx(once.standard_error / np.sqrt(2), rel=0.08)


def test_windows_count_alike_however_many_customers_are_in_them() -> None:
    many, few = np.full(900, 0.1), np.full(100, 0.3)
    windows = [(np.arange(900), many), (np.arange(900, 1_000), few)]
    assert mean_over_windows(windows).mean == pytest.approx((0.1 + 0.3) / 2)


def test_half_of_the_resamples_of_nothing_are_above_zero_and_always_the_same_half() -> None:
    differences = np.random.default_rng(4).normal(0.0, 1.0, 500)
    differences -= differences.mean()
    found = paired_difference(differences)
    assert found.share_above_zero == pytest.approx(0.5, abs=0.05)
    assert found == paired_difference(differences)


def test_a_window_without_customers_has_no_mean() -> None:
    with pytest.raises(ValueError, match="a customer in each"):
        mean_over_windows([(np.arange(0), np.zeros(0))])
