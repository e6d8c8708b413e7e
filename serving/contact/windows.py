"""Windows by a clock on the wall: quiet hours and calendar periods as instants, right where clocks are put on or back.

An instant is int64 microseconds since the epoch; every span is half-open. Where the wall shows a time twice, a span
begins with the first and ends with the last of them; where it shows it never, with the jump over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from features.contact_policy import Period, QuietHours

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAYS_AHEAD = 9
"""What is quiet for longer than a week on end is quiet for ever."""


class Span(NamedTuple):
    """From an instant on, and until before another; None: for ever."""

    start_us: int
    end_us: int | None


def to_us(instant: datetime) -> int:
    """Microseconds since the epoch, exact."""
    return (instant - EPOCH) // _MICROSECOND


def to_instant(at_us: int) -> datetime:
    """The instant, UTC."""
    return EPOCH + timedelta(microseconds=at_us)


@lru_cache(maxsize=1_024)
def zone_of(name: str | None, default: str) -> ZoneInfo:
    """The zone of that name, or the default one where nobody knows it: customers' zones come from anywhere."""
    if name:
        try:
            return ZoneInfo(name)
        except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
            pass
        except KeyError:
            pass
    return ZoneInfo(default)


def instant_of(wall: datetime, zone: ZoneInfo, *, is_last: bool = False) -> int:
    """The instant at which the wall clock of a zone shows a time.

    Args:
        wall: without a zone.
        zone: whose clock.
        is_last: of two such instants the last one.
    """
    early, late = (to_us(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if early <= late:
        return late if is_last else early
    return _jump(late, early, zone)


def _jump(before_us: int, after_us: int, zone: ZoneInfo) -> int:
    """The first instant in (before, after] whose offset is that of `after`; clocks change on whole seconds."""
    offset = to_instant(after_us).astimezone(zone).utcoffset()
    low, high = before_us // 1_000_000, after_us // 1_000_000
    while high - low > 1:
        middle = (low + high) // 2
        if to_instant(middle * 1_000_000).astimezone(zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high * 1_000_000


def local_date(at_us: int, zone: ZoneInfo) -> date:
    """The date on the customer's wall."""
    return to_instant(at_us).astimezone(zone).date()


def period_of(at_us: int, period: Period, zone: ZoneInfo) -> Span:
    """The calendar day, week (from Monday) or month in which an instant lies."""
    return _period_of(local_date(at_us, zone), period, zone)


@lru_cache(maxsize=8_192)
def _period_of(day: date, period: Period, zone: ZoneInfo) -> Span:
    if period == "day":
        first, following = day, day + _DAY
    elif period == "week":
        first = day - day.weekday() * _DAY
        following = first + 7 * _DAY
    else:
        first = day.replace(day=1)
        following = (first + 31 * _DAY).replace(day=1)
    return Span(_midnight(first, zone), _midnight(following, zone))


def _midnight(day: date, zone: ZoneInfo) -> int:
    return instant_of(datetime.combine(day, time()), zone)


class QuietClock:
    """Some rules of quiet hours together: when it is quiet by any of them."""

    def __init__(self, rules: Sequence[QuietHours]) -> None:
        self._rules = tuple(rules)
        self._kept: dict[tuple[ZoneInfo, date], tuple[Span, ...]] = {}

    def quiet_at(self, at_us: int, zone: ZoneInfo) -> Span | None:
        """The quiet span in which an instant lies; None where it lies in none. Spans that touch are one."""
        if not self._rules:
            return None
        for span in self._spans(zone, local_date(at_us, zone)):
            if span.start_us <= at_us and (span.end_us is None or at_us < span.end_us):
                return span
        return None

    def _spans(self, zone: ZoneInfo, today: date) -> tuple[Span, ...]:
        if (kept := self._kept.get((zone, today))) is not None:
            return kept
        if len(self._kept) >= 1_024:
            self._kept.clear()
        days = [today + n * _DAY for n in range(-2, DAYS_AHEAD)]
        spans = _united(span for rule in self._rules for day in days for span in _of_day(rule, day, zone))
        horizon = _midnight(today + (DAYS_AHEAD - 1) * _DAY, zone)
        found = tuple(Span(start, None if end is None or end >= horizon else end) for start, end in spans)
        self._kept[zone, today] = found
        return found


def _of_day(rule: QuietHours, day: date, zone: ZoneInfo) -> Iterable[Span]:
    if rule.days and _WEEKDAYS[day.weekday()] not in rule.days:
        return
    start, until = time.fromisoformat(rule.start), time.fromisoformat(rule.until)
    ends_on = day if start < until else day + _DAY
    first = instant_of(datetime.combine(day, start), zone)
    last = instant_of(datetime.combine(ends_on, until), zone, is_last=True)
    if first < last:
        yield Span(first, last)


def _united(spans: Iterable[Span]) -> list[tuple[int, int]]:
    united: list[tuple[int, int]] = []
    for start, end in sorted((span.start_us, span.end_us or 0) for span in spans):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united
