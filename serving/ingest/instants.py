"""When an event happened, by our clock: what the client's clock says, less how far that clock is off."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNREADABLE = "unparsable_timestamp"
FUTURE = "time_in_the_future"
PAST = "time_too_long_ago"
ISO_8601 = "send ISO 8601, such as '2026-03-01T12:00:00Z'"


class Limits(NamedTuple):
    """How far from its arrival an event may have happened, in microseconds; beyond that it is a dead letter."""

    past_us: int = 730 * DAY_US
    future_us: int = 3_600 * SECOND_US


def read_instant(text: str) -> int | None:
    """Microseconds since the epoch of an ISO 8601 text, UTC where it names no zone; None where it is none."""
    try:
        instant = datetime.fromisoformat(text)
        elapsed = (instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        return None
    return (elapsed.days * 86_400 + elapsed.seconds) * SECOND_US + elapsed.microseconds


def instant_of(instant_us: int) -> str:
    """Microseconds since the epoch as ISO 8601, to the second."""
    return (_EPOCH + timedelta(microseconds=instant_us)).isoformat(timespec="seconds")


def occurred_at(said_us: int | None, *, sent_us: int | None, arrived_us: int) -> int:
    """When it happened by our clock, microseconds since the epoch.

    The client's clock may be off by hours, but it is off by the same at both readings: so long before it was sent, so
    long before it arrived. Without a time of its own, it happened when it arrived.

    Args:
        said_us: when it happened, by the client's clock.
        sent_us: when it was sent, by the client's clock.
        arrived_us: when it arrived, by ours.
    """
    if said_us is None:
        return arrived_us
    return said_us if sent_us is None else arrived_us - sent_us + said_us


def out_of_limits(occurred_us: int, *, known_us: int, limits: Limits) -> str | None:
    """The reason why an instant cannot be right, or None where it can.

    Args:
        occurred_us: when it happened, by our clock, microseconds since the epoch.
        known_us: from when on it is known.
        limits: how far these may lie apart.
    """
    if occurred_us > known_us + limits.future_us:
        return FUTURE
    if occurred_us < 0 or occurred_us < known_us - limits.past_us:
        return PAST
    return None


def told_limit(reason: str, occurred_us: int, *, known_us: int, limits: Limits) -> str:
    """Why an instant cannot be right and what to do, as a sentence that stands after what was said.

    Args:
        reason: which limit it is beyond.
        occurred_us: when it would have happened, by our clock.
        known_us: our clock.
        limits: how far these may lie apart.
    """
    now = instant_of(known_us)
    if reason == FUTURE:
        ahead, most = (occurred_us - known_us) / SECOND_US, limits.future_us / SECOND_US
        return (
            f"that is {ahead:,.0f} seconds after the server's time, {now}, and at most {most:,.0f} are taken: set that "
            "clock right, send sentAt by the same clock, or leave timestamp out"
        )
    return (
        f"that is more than {limits.past_us / DAY_US:,.0f} days before the server's time, {now}: import what is older, "
        "or replay it with --any-time"
    )
