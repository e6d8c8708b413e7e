"""Up to which instant everything is known, on a lake that events are still coming into."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from features.faults import CallersMistake
from training.dataset import _span

FIRST = datetime(2026, 1, 1, 9, tzinfo=UTC)
LAST = datetime(2026, 5, 4, 15, tzinfo=UTC)


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


def test_a_lake_at_rest_is_known_until_the_midnight_after_its_last_event() -> None:
    assert _span((FIRST, LAST), None, now=at(20, 11)) == (FIRST, at(5))
    assert _span((FIRST, LAST), None, now=at(5)) == (FIRST, at(5))


def test_a_day_that_has_not_ended_is_not_known() -> None:
    assert _span((FIRST, LAST), None, now=at(4, 16)) == (FIRST, at(4))


def test_events_dated_ahead_of_the_clock_do_not_make_the_future_known() -> None:
    assert _span((FIRST, LAST), None, now=at(2, 16)) == (FIRST, at(2))


def test_an_as_of_that_has_passed_is_taken_as_it_is() -> None:
    assert _span((FIRST, LAST), at(4, 12), now=at(4, 16)) == (FIRST, at(4, 12))


def test_an_as_of_that_has_not_come_is_refused() -> None:
    with pytest.raises(CallersMistake, match=r"2026-05-05 00:00 UTC, but it is 2026-05-04 16:00 UTC now"):
        _span((FIRST, LAST), at(5), now=at(4, 16))


def test_a_lake_that_begins_today_is_refused_until_tomorrow() -> None:
    with pytest.raises(CallersMistake, match="Come back tomorrow"):
        _span((at(4, 9), LAST), None, now=at(4, 16))
