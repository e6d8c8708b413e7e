from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from training.calibration import busier
from training.labels import Window
from training.season import HIGHEST, LOWEST, YEAR, season_multiplier

FIRST = datetime(2022, 1, 3, tzinfo=UTC)
NOW = FIRST + YEAR + timedelta(days=91)


def a_shop(per_day: Callable[[float], float]) -> Callable[[Window], int]:
    """A shop with so many orders on the day that lies so many days after its first."""

    def n_orders(window: Window) -> int:
        if window.end > NOW:
            raise AssertionError("looked ahead")
        start, end = ((at - FIRST) / timedelta(days=1) for at in (window.start, window.end))
        return round(sum(per_day(day) for day in np.arange(start, end)))

    return n_orders


def multiplier(per_day: Callable[[float], float], *, first: datetime = FIRST) -> float:
    return season_multiplier(
        a_shop(per_day), calibrate=NOW - timedelta(days=91), used_at=NOW, horizon_days=91, first=first
    )


def test_a_shop_without_season_is_as_busy_as_it_was() -> None:
    assert multiplier(lambda day: 50.0) == 1.0


def test_a_shop_that_merely_grows_is_as_busy_as_it_was() -> None:
    assert multiplier(lambda day: 50.0 * 1.002**day) == pytest.approx(1.0, abs=0.001)


def test_what_doubled_a_year_ago_is_expected_to_double() -> None:
    def per_day(day: float) -> float:
        return 100.0 if 91 <= day % 364 < 182 else 50.0

    assert multiplier(per_day) == 100 / 50


def test_thirty_days_are_compared_with_the_window_that_calibrated_not_with_the_days_before_today() -> None:
    def per_day(day: float) -> float:  # five days of sale between the window that calibrated and today, each year
        return 500.0 if day % 364 >= 86 and day % 364 < 91 else 50.0

    assert thirty_days(per_day) == 1.0


def test_thirty_days_know_what_a_year_ago_doubled_after_the_window_that_calibrated() -> None:
    assert thirty_days(lambda day: 100.0 if 91 <= day % 364 < 182 else 50.0) == 100 / 50


def test_thirty_days_of_a_shop_that_merely_grows_are_as_busy_as_they_were() -> None:
    assert thirty_days(lambda day: 50.0 * 1.002**day) == pytest.approx(1.0, abs=0.005)


def thirty_days(per_day: Callable[[float], float]) -> float:
    """Thirty days are calibrated five whole weeks back: their window ends five days before now."""
    return season_multiplier(
        a_shop(per_day), calibrate=NOW - timedelta(days=35), used_at=NOW, horizon_days=30, first=FIRST
    )


def test_without_a_year_behind_it_nothing_is_expected() -> None:
    assert multiplier(lambda day: 50.0, first=NOW - timedelta(days=370)) == 1.0
    assert multiplier(lambda day: 50.0, first=NOW - timedelta(days=100)) == 1.0


def test_too_few_orders_are_noise() -> None:
    assert multiplier(lambda day: 1.0 if day % 364 < 91 else 3.0) == 1.0


def test_the_multiplier_stays_within_its_bounds() -> None:
    assert multiplier(lambda day: 500.0 if 91 <= day % 364 < 182 else 10.0) == HIGHEST
    assert multiplier(lambda day: 10.0 if 91 <= day % 364 < 182 else 500.0) == LOWEST


def test_twice_as_busy_is_two_chances_to_order() -> None:
    assert busier(np.array([0.5, 0.0, 1.0]), 2.0) == pytest.approx([1 - 0.5 * 0.5, 0.0, 1.0])
