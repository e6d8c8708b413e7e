"""P(an order within t days) for any t, and when the next order is to be expected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.served.curve import Curve, coverage, said_coverage

PACES = np.array([0.001, 0.01, 0.1])  # orders a day


def a_curve(**anchors: float) -> Curve:
    """Customers who order at a steady pace, calibrated to order `times` as often as their shape says."""
    told = {int(name[1:]): -np.expm1(-PACES * int(name[1:]) * times) for name, times in anchors.items()}
    return Curve(lambda days: -np.expm1(-PACES * days), told)


def test_the_curve_goes_through_every_calibrated_horizon() -> None:
    curve = a_curve(h7=2.0, h30=1.5, h90=1.2)
    for horizon, said in curve.anchors.items():
        assert np.allclose(curve.p_any(horizon), said, rtol=1e-9)


def test_where_horizons_say_the_same_the_curve_is_level_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    short, long = np.sort(rng.uniform(0.001, 0.9, (2, 2_000)), axis=0)
    curve = Curve(lambda days: np.full(2_000, -np.expm1(-0.01 * days)), {7: short, 30: long, 90: long})
    said = np.stack([curve.intensity(days) for days in (7, 20, 30, 50, 90, 120)])
    assert (np.diff(said, axis=0) >= 0.0).all()


def test_a_horizon_that_nobody_calibrated_is_carried_by_the_shape() -> None:
    curve = a_curve(h30=2.0)
    assert np.allclose(curve.p_any(60), -np.expm1(-PACES * 60 * 2.0), rtol=1e-4)
    assert np.allclose(curve.p_any(10), -np.expm1(-PACES * 10 * 2.0), rtol=1e-4)


def test_beyond_the_longest_horizon_four_weeks_are_as_busy_as_the_year_says() -> None:
    steady = a_curve(h30=1.0)
    curve = Curve(steady.shape, steady.anchors, (2.0, 0.5))
    assert np.array_equal(curve.p_any(30), steady.p_any(30))
    assert np.allclose(curve.intensity(30 + 14), PACES * (30 + 14 * 2.0), rtol=1e-6)
    assert np.allclose(curve.intensity(30 + 28), PACES * (30 + 28 * 2.0), rtol=1e-6)
    told = curve.intensity(30 + 28 + 100)[:2]  # a shape of more than ten orders is cut off
    assert np.allclose(told, PACES[:2] * (30 + 28 * 2.0 + 100 * 0.5), rtol=1e-6)


@given(
    st.lists(st.floats(1.0, 365.0), min_size=2, max_size=6),
    st.lists(st.floats(0.25, 4.0), min_size=1, max_size=12),
)
def test_however_the_year_goes_on_a_longer_horizon_is_never_less_probable(days: list[float], year: list[float]) -> None:
    steady = a_curve(h30=1.3)
    curve = Curve(steady.shape, steady.anchors, year)
    said = np.stack([curve.p_any(day) for day in sorted(days)])
    assert (np.diff(said, axis=0) >= -1e-12).all()


@pytest.mark.parametrize("pace", [1e-9, 1e-30, 0.0])
def test_whom_repeat_buying_gives_up_still_waits_for_what_was_calibrated(pace: float) -> None:
    def shape(days: float) -> NDArray[np.float64]:
        return np.array([pace * days])

    said = [Curve(shape, {90: np.array([0.3])}).p_any(days)[0] for days in (1, 30, 90, 365)]
    assert np.allclose(said, [1 - 0.7 ** (days / 90) for days in (1, 30, 90, 365)], rtol=1e-3)
    two = Curve(shape, {30: np.array([0.1]), 90: np.array([0.3])})
    assert [two.p_any(days)[0] for days in (30, 90)] == pytest.approx([0.1, 0.3])
    assert two.p_any(60)[0] == pytest.approx(1 - np.sqrt(0.9 * 0.7))


def test_calibrated_horizons_ask_the_models_of_repeat_buying_once() -> None:
    asked = []

    def shape(days: float) -> NDArray[np.float64]:
        asked.append(days)
        return np.asarray(-np.expm1(-PACES * days))

    curve = Curve(shape, {90: np.full(3, 0.3)})
    curve.laid_out()
    assert asked.count(90) <= 3  # who is given up, the knot, and perhaps as a day of its own


@given(st.lists(st.floats(1.0, 365.0), min_size=2, max_size=6), st.floats(0.2, 3.0), st.floats(0.2, 3.0))
def test_a_longer_horizon_is_never_less_probable(days: list[float], early: float, late: float) -> None:
    curve = a_curve(h30=early, h90=late)
    said = np.stack([curve.p_any(day) for day in sorted(days)])
    assert (np.diff(said, axis=0) >= -1e-12).all()


def test_the_day_by_which_a_share_has_ordered_is_the_quantile_of_the_waiting_time() -> None:
    early, late = a_curve(h90=1.0).laid_out().days_until((0.1, 0.9))
    assert np.allclose(early, np.maximum(np.ceil(-np.log(0.9) / PACES), 1), atol=1)
    assert np.isinf(late[0])  # at one order in a thousand days, nine in ten have not ordered after a year
    assert late[2] == pytest.approx(-np.log(0.1) / 0.1, abs=1)


def test_an_interval_is_counted_as_far_as_the_window_shows() -> None:
    low, high = np.array([5.0, 5.0, 5.0, 200.0]), np.array([20.0, 20.0, np.inf, np.inf])
    waits = np.array([10.0, 40.0, np.inf, np.inf])
    assert coverage(low, high, waits, horizon_days=91) == (1 + 0 + 1 + 1) / 4


def test_intervals_of_the_truth_hold_what_they_say() -> None:
    rng = np.random.default_rng(5)
    paces = rng.gamma(1.0, 0.02, 20_000)
    curve = Curve(lambda days: -np.expm1(-paces * days), {90: -np.expm1(-paces * 90)})
    laid_out = curve.laid_out()
    low, high = laid_out.days_until((0.1, 0.9))
    waits = np.ceil(rng.exponential(1 / paces))
    measured = coverage(low, high, waits, horizon_days=90)
    assert measured == pytest.approx(said_coverage(laid_out, low, high, horizon_days=90), abs=0.01)
    assert measured > 0.8


def test_whoever_still_buys_is_what_explains_the_calibrated_curve() -> None:
    if_here = np.array([0.5, 0.9, 0.2, np.nan])  # P(an order within a year), if not gone
    curve = Curve(lambda days: np.full(4, days / 1_000), {365: np.array([0.25, 0.45, 0.3, 0.1])})
    said = curve.still_buying(if_here)
    assert said[:2] == pytest.approx([0.25 / 0.5, 0.45 / 0.9])
    assert said[2] == 1.0  # orders more surely than anybody who is surely there: is there
    assert np.isnan(said[3])
