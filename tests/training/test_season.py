from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from features.occasions import OccasionDays
from training.calibration import busier
from training.labels import Window
from training.season import HIGHEST, LOWEST, YEAR, Ahead, season_multiplier
from training.year_ahead import year_beyond, year_within

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
    return season_multiplier(a_shop(per_day), Ahead(NOW - timedelta(days=91), NOW, 91, first))


def test_a_shop_without_season_is_as_busy_as_it_was() -> None:
    assert multiplier(lambda day: 50.0) == 1.0


def test_a_shop_that_merely_grows_is_as_busy_as_it_was() -> None:
    assert multiplier(lambda day: 50.0 * 1.002**day) == pytest.approx(1.0, abs=0.001)


def year(per_day: Callable[[float], float], *, horizon_days: int = 28, first: datetime = FIRST) -> tuple[float, ...]:
    ahead = Ahead(NOW - timedelta(days=horizon_days), NOW, horizon_days, first)
    return year_beyond(a_shop(per_day), ahead)


def test_the_year_of_a_steady_shop_goes_on_as_it_is() -> None:
    told = year(lambda day: 50.0)
    assert len(told) == (364 - 28) / 28
    assert told == pytest.approx([1.0] * 12)


def test_a_shop_that_merely_grows_is_not_busier_later() -> None:
    assert year(lambda day: 50.0 * 1.002**day) == pytest.approx([1.0] * 12, abs=0.01)


def test_the_four_weeks_that_were_busy_a_year_ago_will_be_again() -> None:
    def per_day(day: float) -> float:  # 56 to 84 days from now, a year ago
        return 150.0 if 91 + 56 <= day < 91 + 84 else 50.0

    told = year(per_day)
    assert told[1] == 150 / 50
    assert told[0] == told[2] == 1.0


def test_where_four_weeks_hold_too_few_orders_the_rest_of_the_year_is_one() -> None:
    def per_day(day: float) -> float:
        return 5.0 if 91 <= day < 119 or day >= 91 + 336 or 63 <= day < 91 else 2.0  # 56 in most four weeks

    told = year(per_day)
    assert len(set(told)) == 1
    assert told[0] == pytest.approx((11 * 28 * 2.0 + 28 * 5.0) / (12 * 28 * 5.0))


def test_the_year_is_not_told_where_none_lies_behind_the_window_that_calibrated() -> None:
    assert year(lambda day: 50.0, first=NOW - YEAR - timedelta(days=20)) == ()


def within(per_day: Callable[[float], float], *, horizon_days: int = 91) -> tuple[tuple[int, float], ...]:
    ahead = Ahead(NOW - timedelta(days=horizon_days), NOW, horizon_days, FIRST)
    return year_within(a_shop(per_day), ahead)


def test_of_a_steady_shop_as_large_a_share_of_the_orders_has_come_as_of_the_days() -> None:
    told = within(lambda day: 50.0)
    assert [end for end, _ in told] == list(range(7, 92, 7))
    assert [share for _, share in told] == pytest.approx([end / 91 for end in range(7, 92, 7)], abs=1e-6)


def test_a_window_that_was_busy_late_a_year_ago_has_brought_little_early() -> None:
    told = dict(within(lambda day: 150.0 if 91 + 63 <= day < 91 + 91 else 50.0))
    assert told[63] == pytest.approx(63 * 50 / (63 * 50 + 28 * 150), abs=1e-6)
    assert told[91] == 1.0


def test_what_is_left_over_of_a_horizon_goes_with_its_last_week() -> None:
    assert [end for end, _ in within(lambda day: 50.0, horizon_days=30)] == [7, 14, 21, 30]


def test_where_weeks_hold_too_few_orders_four_weeks_tell_and_none_where_they_do_too() -> None:
    assert [end for end, _ in within(lambda day: 10.0)] == [28, 56, 91]
    assert within(lambda day: 2.0) == ()
    assert within(lambda day: 50.0, horizon_days=7) == ()


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


def test_ten_days_of_a_year_ago_are_enough_to_know_how_much_the_shop_grew() -> None:
    """The window that calibrated ends five days before now: a year ago, hardly any of it is known."""
    start = FIRST + timedelta(days=374)

    def n_orders(window: Window) -> int:
        if window.end > start:
            raise AssertionError("looked ahead")
        return 20 * ((window.end - window.start) // timedelta(days=1)) if window.start < FIRST + YEAR else 600

    def busier_by(*, first: datetime) -> float:
        return season_multiplier(n_orders, Ahead(start - timedelta(days=35), start, 30, first))

    growth = 600 / (20 * 10)
    calm = 600 / (20 * 30)  # the coming window, a year ago, was as busy as the one that calibrated
    assert busier_by(first=FIRST) == pytest.approx(growth ** (1 - 35 / 364) * calm, rel=0.01)
    assert busier_by(first=FIRST + timedelta(days=4)) == 1.0


def thirty_days(per_day: Callable[[float], float]) -> float:
    """Thirty days are calibrated five whole weeks back: their window ends five days before now."""
    return season_multiplier(a_shop(per_day), Ahead(NOW - timedelta(days=35), NOW, 30, FIRST))


def test_without_a_year_behind_it_nothing_is_expected() -> None:
    assert multiplier(lambda day: 50.0, first=NOW - timedelta(days=370)) == 1.0
    assert multiplier(lambda day: 50.0, first=NOW - timedelta(days=100)) == 1.0


def test_too_few_orders_are_noise() -> None:
    assert multiplier(lambda day: 1.0 if day % 364 < 91 else 3.0) == 1.0


def test_the_multiplier_stays_within_its_bounds() -> None:
    assert multiplier(lambda day: 500.0 if 91 <= day % 364 < 182 else 10.0) == HIGHEST
    assert multiplier(lambda day: 10.0 if 91 <= day % 364 < 182 else 500.0) == LOWEST


def test_twice_as_busy_is_two_chances_to_order() -> None:
    assert busier(np.array([0.5, 0.0, 1.0]), 2.0) == pytest.approx([1 - 0.5 * 0.5, 0.0, 1 - 1e-6])


BASE, FESTIVAL = 50.0, 200.0
FELL_ON = 100  # days after FIRST, in its first year; a year later it falls on another
LASTS = 14


def a_festival_shop(*, moves_by: int) -> Callable[[float], float]:
    """Four times as many orders in the fortnight before a festival, which falls later in its second year."""
    falls_on = [FELL_ON, FELL_ON + 364 + moves_by]
    return lambda day: FESTIVAL if any(0 < on - day <= LASTS for on in falls_on) else BASE


def festival(*, moves_by: int) -> OccasionDays:
    dates = (FIRST + timedelta(days=FELL_ON), FIRST + timedelta(days=FELL_ON + 364 + moves_by))
    return OccasionDays("festival", tuple(on.date() for on in dates), days_before=LASTS, days_after=-1)


def of_thirty_days(per_day: Callable[[float], float], *, from_day: int, knowing: tuple[OccasionDays, ...]) -> float:
    """Standing so many days after the first order, a year of which lies behind."""
    start = FIRST + timedelta(days=from_day)

    def n_orders(window: Window) -> int:
        days = np.arange((window.start - FIRST) / timedelta(days=1), (window.end - FIRST) / timedelta(days=1))
        return round(sum(per_day(day) for day in days))

    return season_multiplier(n_orders, Ahead(start - timedelta(days=35), start, 30, FIRST, knowing))


@pytest.mark.parametrize("from_day", [440, 456, 462, 470, 478])
@pytest.mark.parametrize("moves_by", [21, -21])
def test_a_festival_that_moves_three_weeks_is_expected_where_it_falls(moves_by: int, from_day: int) -> None:
    per_day, occasion = a_festival_shop(moves_by=moves_by), festival(moves_by=moves_by)
    ahead = sum(per_day(day) for day in range(from_day, from_day + 30))
    behind = sum(per_day(day) for day in range(from_day - 35, from_day - 5))
    knowing = of_thirty_days(per_day, from_day=from_day, knowing=(occasion,))
    blind = of_thirty_days(per_day, from_day=from_day, knowing=())
    truth = float(np.clip(ahead / behind, LOWEST, HIGHEST))
    assert knowing == pytest.approx(truth, rel=0.02)
    assert abs(np.log(knowing / truth)) <= abs(np.log(blind / truth)) + 1e-9


def test_not_knowing_of_the_festival_is_off_by_what_it_brings() -> None:
    per_day = a_festival_shop(moves_by=21)
    blind = of_thirty_days(per_day, from_day=456, knowing=())
    eight_days, one_day = 30 * BASE + 8 * (FESTIVAL - BASE), 30 * BASE + (FESTIVAL - BASE)  # of it, a year ago
    growth = 30 * BASE / one_day
    assert blind == pytest.approx(growth ** (1 - 35 / 364) * eight_days / (30 * BASE), rel=0.001)
    assert sum(per_day(day) for day in range(456, 486)) == 30 * BASE + 14 * (FESTIVAL - BASE)  # all of it will come


def test_an_occasion_that_does_not_move_changes_nothing() -> None:
    per_day, occasion = a_festival_shop(moves_by=0), festival(moves_by=0)
    for from_day in (440, 456, 470):
        with_it, without = (of_thirty_days(per_day, from_day=from_day, knowing=of) for of in ((occasion,), ()))
        assert with_it == pytest.approx(without)


def test_an_occasion_that_this_shop_does_not_feel_changes_nothing() -> None:
    occasion = festival(moves_by=21)
    for from_day in (440, 456, 470):
        calm = of_thirty_days(lambda day: BASE + day % 7, from_day=from_day, knowing=(occasion,))
        assert calm == of_thirty_days(lambda day: BASE + day % 7, from_day=from_day, knowing=())


def test_an_occasion_of_which_last_year_is_not_known_changes_nothing() -> None:
    per_day = a_festival_shop(moves_by=21)
    this_year = OccasionDays("new", festival(moves_by=21).begins[1:], days_before=LASTS, days_after=0)
    assert of_thirty_days(per_day, from_day=456, knowing=(this_year,)) == pytest.approx(
        of_thirty_days(per_day, from_day=456, knowing=())
    )
