"""Occasions that move: what the calendar knows of them, the brand's own dates, and what is refused."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from features.brand_checks import read_brand
from features.faults import CallersMistake
from features.occasions import Occasion, begins_of, occasion_days

YEARS = (2023, 2024, 2025)
STARTER = files("features") / "starter" / "brand.yaml"


def test_a_festival_of_the_moon_falls_on_another_date_each_year() -> None:
    diwali = Occasion(country="IN", holiday="Diwali")
    assert begins_of(diwali, years=YEARS) == (date(2023, 11, 12), date(2024, 10, 31), date(2025, 10, 20))


def test_the_days_of_one_festival_are_one_occasion() -> None:
    songkran = Occasion(country="TH", holiday="songkran")
    assert begins_of(songkran, years=(2024,)) == (date(2024, 4, 13),)


def test_the_brands_own_dates_stand_beside() -> None:
    sale = Occasion(dates=("2024-06-03", "2025-06-23"), days_before=0, days_after=6)
    (days,) = occasion_days({"members_week": sale}, years=YEARS)
    assert days.begins == (date(2024, 6, 3), date(2025, 6, 23))
    assert (days.name, days.days_before, days.days_after) == ("members_week", 0, 6)


def test_an_unknown_holiday_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(CallersMistake, match=r"It has: .*Diwali"):
        begins_of(Occasion(country="IN", holiday="Christmukkah"), years=YEARS)
    with pytest.raises(CallersMistake, match="the country 'XX', which the calendar does not know"):
        begins_of(Occasion(country="XX", holiday="Diwali"), years=YEARS)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("{country: IN}", "It needs `country` and `holiday` together"),
        ("{days_before: 3}", "It needs `country` and `holiday` together"),
        ("{dates: [2024-13-45]}", "A date is a day that there is"),
        ("{country: IN, holiday: Diwaly}", "which has none of that name"),
        ("{country: ZZ, holiday: Diwali}", "which the calendar does not know"),
    ],
)
def test_a_wrong_occasion_is_a_fault_with_its_line(said: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "brand.yaml"
    file.write_text(STARTER.read_text(encoding="utf-8") + f"\noccasions:\n  diwali: {said}\n", encoding="utf-8")
    _, faults = read_brand(file)
    assert [problem in fault.rule for fault in faults] == [True]
    assert faults[0].line is not None


def test_a_right_occasion_is_read(tmp_path: Path) -> None:
    file = tmp_path / "brand.yaml"
    said = "{country: IN, holiday: Diwali, days_before: 21}"
    file.write_text(STARTER.read_text(encoding="utf-8") + f"\noccasions:\n  diwali: {said}\n", encoding="utf-8")
    brand, faults = read_brand(file)
    assert not faults
    assert brand is not None
    assert brand.occasions["diwali"].days_before == 21


def test_a_day_that_no_year_has_is_refused() -> None:
    with pytest.raises(CallersMistake, match=r"an occasion on '2024-02-30'.*A date is a day that there is"):
        begins_of(Occasion(dates=("2024-02-30",)), years=YEARS)
