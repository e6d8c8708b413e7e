"""What time it is: the wall clock, or one that stands elsewhere and goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(UTC)


def clock_from(start: datetime | None) -> Clock:
    """The wall clock, or one that stands at `start` now and goes on: to serve an old export as of its end."""
    if start is None:
        return utc_now
    ahead = start - utc_now()
    return lambda: utc_now() + ahead
