"""When a call happened, whatever the clocks of whoever sent it say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.ingest.judging import Taken
from tests.serving.judged_calls import NOON_US, detail, judged, refused
from tests.serving.tiny_world import NOON


def happened(call: dict[str, Any], **arrival: Any) -> datetime:
    one = judged({"type": "track", "userId": "u", "event": "X"} | call, **arrival)
    assert isinstance(one, Taken), one
    assert one.arrived_us == NOON_US
    return datetime.fromtimestamp(one.occurred_us / 1e6, UTC)


def test_without_a_time_it_happened_when_it_arrived() -> None:
    assert happened({}) == NOON


@given(off=st.timedeltas(min_value=timedelta(days=-900), max_value=timedelta(days=900)), ago=st.integers(0, 86_400))
def test_however_wrong_a_clock_is_the_time_is_right(off: timedelta, ago: int) -> None:
    sent_at = NOON + off
    said = (sent_at - timedelta(seconds=ago)).isoformat()
    assert happened({"timestamp": said}, sent_at=sent_at) == NOON - timedelta(seconds=ago)
    assert happened({"timestamp": said, "sentAt": sent_at.isoformat()}) == NOON - timedelta(seconds=ago)


def test_a_little_ahead_is_now_and_far_ahead_is_a_dead_letter() -> None:
    assert happened({"timestamp": (NOON + timedelta(seconds=59)).isoformat()}) == NOON
    ahead = {"type": "track", "event": "X", "timestamp": (NOON + timedelta(seconds=61)).isoformat()}
    assert refused(ahead) == "time_in_the_future"


def test_long_ago_is_a_dead_letter() -> None:
    assert happened({"timestamp": (NOON - timedelta(days=30)).isoformat()}) == NOON - timedelta(days=30)
    for instant in ((NOON - timedelta(days=31)).isoformat(), "0001-01-01T00:00:00+14:00"):
        assert refused({"type": "track", "event": "X", "timestamp": instant}) == "time_too_long_ago"


def test_a_time_that_cannot_be_right_is_told_with_the_servers_time_and_what_to_do() -> None:
    ahead = {"event": "X", "timestamp": "2030-01-01T00:00:00Z"}
    told = detail(ahead)
    assert f"the server's time, {NOON.isoformat()}" in told
    assert "at most 60 are taken" in told
    assert "leave timestamp out" in told
    assert "its batch" not in told
    assert f"sentAt of its batch '{NOON.isoformat()}'" in detail(ahead, sent_at=NOON)
    assert "replay it with --any-time" in detail({"event": "X", "timestamp": "2010-01-01T00:00:00Z"})


@pytest.mark.parametrize("epoch", [1_700_000_000, "1700000000", "1700000000000"])
def test_seconds_since_the_epoch_are_told_to_be_no_iso_8601(epoch: object) -> None:
    assert "send ISO 8601" in detail({"event": "X", "timestamp": epoch})
