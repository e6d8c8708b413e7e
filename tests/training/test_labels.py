from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from features.faults import CallersMistake
from training.labels import Window, base_rate, label, label_window, require_closed

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def test_windows_that_meet_share_no_instant() -> None:
    first, second = label_window(NOON, 7), label_window(NOON + timedelta(days=7), 7)
    assert [first.holds(first.end), second.holds(first.end)] == [False, True]


def test_the_base_rate_is_the_share_of_customers_that_ordered() -> None:
    y = label(np.array([1, 2, 3, 4]), happened=np.array([3, 9]))
    assert y.tolist() == [0, 0, 1, 0]
    assert base_rate(y) == 1 / 4


def test_an_open_window_is_refused_with_the_day_on_which_it_closes() -> None:
    window = label_window(datetime(2024, 6, 20, tzinfo=UTC), 30)
    with pytest.raises(CallersMistake, match=r"closes on 2024-07-20; use an as_of of 2024-06-01 or earlier"):
        require_closed(window, known_until=datetime(2024, 7, 1, tzinfo=UTC))


def test_a_window_that_ends_before_it_starts_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="ends after it starts"):
        Window(NOON, NOON)


def test_a_window_without_a_time_zone_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Window(datetime(2024, 1, 1), datetime(2024, 1, 2))  # noqa: DTZ001
