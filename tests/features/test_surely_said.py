"""What surely can be said can be, whatever the ordinary numbers and days are that it shows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import Action
from features.formatting import Style
from features.message_limits import units
from features.rendering import RenderedMessage, render
from features.surely_said import _LONGEST, is_surely_said, ordinary_kind
from tests.features.test_rendering import BRAND, an_action

SLOTS = {"slots": {"x": {"expression": "stage"}, "y": {"expression": "stage"}}}
TOLD = {"x": 7.0, "y": date(2026, 11, 22)}
ORDINARY = {
    "x": st.floats(-1e15, 1e15, exclude_min=True, exclude_max=True) | st.integers(-(10**14), 10**14),
    "y": st.dates(date(1900, 1, 1), date(2199, 12, 31))
    | st.dates(date(1900, 1, 2), date(2199, 12, 30)).map(
        lambda day: datetime(day.year, day.month, day.day, 23, tzinfo=UTC)
    ),
}
BODIES = (
    "{{ x | number }}",
    "{{ x | money }} by {{ y | date }}",
    "{{ y | date('full') }}: {{ voice.name }} {{ x | number }}",
)


def a_saying(body: str, **more: Any) -> Action:
    renderings = {locale: {"body": body, **more} for locale in ("en", "hi", "th")}
    return an_action(renderings, **SLOTS)


SAYINGS = [a_saying(body) for body in BODIES]


@settings(max_examples=60, deadline=None)
@given(
    action=st.sampled_from(SAYINGS), locale=st.sampled_from(["en", "hi", "th"]), slots=st.fixed_dictionaries(ORDINARY)
)
def test_it_is_said_with_every_ordinary_value(action: Action, locale: str, slots: dict[str, object]) -> None:
    assert {name: ordinary_kind(value) for name, value in slots.items()} == {"x": "number", "y": "day"}
    said = render(action, brand=BRAND, locale=locale, slots=slots, channel="email")
    assert isinstance(said, RenderedMessage)
    assert said.locale == locale


def test_what_is_only_shown_is_surely_said() -> None:
    for action in SAYINGS:
        for locale in ("en", "hi", "th"):
            assert is_surely_said(action, brand=BRAND, locale=locale, slots=TOLD, channel="email")


@pytest.mark.parametrize(
    "body",
    [
        "You have {{ x }} points",  # as it is: nobody knows how long
        "{% if x > 3.0 %}{{ x | number }}{% endif %}",
        "{{ x | number | upper }}",
        "{{ y | date('EEEE EEEE EEEE EEEE') }}",  # a pattern of one's own
        "{{ x | number(y) }}",
        "{{ x | number }} or {{ x | money }} or {{ x | number }} or again {{ x | number }}",  # over 200 characters
    ],
)
def test_what_may_become_too_long_or_fail_is_not_sure(body: str) -> None:
    assert not is_surely_said(a_saying(body), brand=BRAND, locale="en", slots=TOLD, channel="email")


def test_a_number_in_an_address_a_label_or_a_button_is_not_sure() -> None:
    body = "{{ y | date }}"
    for more in (
        {"link": {"url": "https://a.example/{{ x }}", "label": "more"}},
        {"link": {"url": "https://a.example/", "label": "{{ x | number }} more"}},
        {"suggested_replies": ["{{ x | number }} of them"]},
    ):
        assert not is_surely_said(a_saying(body, **more), brand=BRAND, locale="en", slots=TOLD, channel="email")


@pytest.mark.parametrize("value", ["7", True, None, float("nan"), float("inf"), 1e15, date(2200, 1, 1), [7.0]])
def test_what_is_no_ordinary_number_or_day_has_no_kind(value: object) -> None:
    assert ordinary_kind(value) is None
    slots: dict[str, object] = {**TOLD, "x": value}
    assert not is_surely_said(SAYINGS[0], brand=BRAND, locale="en", slots=slots, channel="email")


@pytest.mark.parametrize("locale", ["hi", "th", "kde", "mn-Mong", "osa", "ff-Adlm"])  # the last four write longest
@pytest.mark.parametrize("calendar", ["gregorian", "buddhist"])
def test_no_locale_writes_an_ordinary_value_longer_than_it_is_reckoned(locale: str, calendar: str) -> None:
    style = Style(locale, "USD", "UTC", calendar)
    days = [style.date(date(2023, 1, 1) + timedelta(days=number), "full") for number in range(365)]
    amounts = [-999_999_999_999_999.0, -999_999_999_999_999, -99_999_999_999.123]
    told = [*days, *map(style.money, amounts), *map(style.number, amounts)]
    assert max(map(units, told)) <= len(_LONGEST)
