"""Money, numbers and dates as people write them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from features.formatting import Style


def a_style(locale: str, currency: str = "INR", calendar: str = "gregorian") -> Style:
    return Style(locale, currency, "Asia/Bangkok", calendar)


@pytest.mark.parametrize(
    ("locale", "currency", "amount", "written"),
    [
        ("hi", "INR", 100000, "₹1,00,000"),
        ("en-IN", "INR", 100000, "₹1,00,000"),
        ("en-IN", "INR", 1234.5, "₹1,234.50"),
        ("en-IN", "INR", 0.1 + 0.2, "₹0.30"),
        ("en-IN", "INR", -5, "-₹5"),
        ("en-IN", "INR", 0, "₹0"),
        ("th", "THB", 1234, "฿1,234"),
        ("en", "THB", 1234, "฿1,234"),
        ("hi", "THB", 100000, "฿1,00,000"),
        ("th", "INR", 500, "₹500"),
        ("de", "EUR", Decimal("1234.50"), "1.234,50\xa0€"),
        ("en-IN", "INR", np.float32(99.5), "₹99.50"),
    ],
)
def test_money(locale: str, currency: str, amount: float, written: str) -> None:
    assert a_style(locale, currency).money(amount) == written


@pytest.mark.parametrize(("locale", "written"), [("hi", "12,34,567.5"), ("th", "1,234,567.5"), ("de", "1.234.567,5")])
def test_numbers(locale: str, written: str) -> None:
    assert a_style(locale).number(1234567.5) == written


@pytest.mark.parametrize(
    ("width", "written"),
    [
        ("short", "29/2/67"),
        ("long", "29 กุมภาพันธ์ พ.ศ. 2567"),
        ("full", "วันพฤหัสบดีที่ 29 กุมภาพันธ์ พ.ศ. 2567"),
    ],
)
def test_buddhist_years_keep_the_day_of_a_leap_year(width: str, written: str) -> None:
    assert a_style("th", calendar="buddhist").date(dt.date(2024, 2, 29), width) == written


def test_buddhist_years_are_an_option() -> None:
    assert a_style("th").date(dt.date(2024, 2, 29)) == "29 กุมภาพันธ์ ค.ศ. 2024"
    assert a_style("en-IN", calendar="buddhist").date(dt.date(2024, 2, 29)) == "29 February 2567 BE"


@pytest.mark.parametrize(
    "instant",
    [
        dt.date(2026, 11, 21),
        "2026-11-21",
        "2026-11-20T18:00:00+00:00",
        dt.datetime(2026, 11, 20, 18, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 20, 18),  # noqa: DTZ001 - naive means UTC here
        int(dt.datetime(2026, 11, 20, 18, tzinfo=dt.UTC).timestamp() * 1e6),
    ],
)
def test_an_instant_is_a_day_of_the_brands_time_zone(instant: dt.date | dt.datetime | str | int) -> None:
    assert a_style("hi").date(instant) == "21 नवंबर 2026"


@pytest.mark.parametrize("nought", [0, 0.0, -0.0, Decimal("-0.00"), np.float64(-0.0)])
def test_nought_has_no_sign_since_what_is_equal_is_written_alike(nought: float) -> None:
    style = Style("en-IN", "INR", "UTC")
    assert (style.money(nought), style.number(nought)) == ("₹0", "0")


@pytest.mark.parametrize("value", [3.5, None, ["2026-01-01"]])
def test_what_is_no_instant_has_no_day(value: Any) -> None:
    with pytest.raises(TypeError, match="no date"):
        Style("en", "EUR", "UTC").date(value)
