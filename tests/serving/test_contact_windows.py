"""Quiet hours and calendar periods are the wall clock's, where clocks are put on and back as well."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from features.contact_policy import QuietHours
from serving.contact.windows import QuietClock, instant_of, period_of, to_instant, to_us, zone_of

BERLIN = ZoneInfo("Europe/Berlin")  # on 2026-03-29 from 2:00 to 3:00, on 2026-10-25 from 3:00 back to 2:00
NIGHT = QuietHours(start="22:00", until="08:00")


def us(text: str) -> int:
    return to_us(datetime.fromisoformat(text).replace(tzinfo=UTC))


def span(clock: QuietClock, text: str, zone: ZoneInfo = BERLIN) -> tuple[datetime, datetime | None] | None:
    found = clock.quiet_at(us(text), zone)
    return found and (to_instant(found.start_us), None if found.end_us is None else to_instant(found.end_us))


def test_a_quiet_night_goes_over_midnight_by_the_customers_clock() -> None:
    night = QuietClock([NIGHT])
    expected = (datetime(2026, 1, 10, 21, tzinfo=UTC), datetime(2026, 1, 11, 7, tzinfo=UTC))
    assert span(night, "2026-01-10T21:00") == expected
    assert span(night, "2026-01-11T06:59:59.999999") == expected
    assert span(night, "2026-01-11T07:00") is None
    assert span(night, "2026-01-10T20:59:59.999999") is None
    assert span(night, "2026-01-10T21:00", ZoneInfo("Asia/Kolkata")) == (
        datetime(2026, 1, 10, 16, 30, tzinfo=UTC),
        datetime(2026, 1, 11, 2, 30, tzinfo=UTC),
    )


def test_the_night_in_which_clocks_are_put_on_is_an_hour_shorter_and_the_other_an_hour_longer() -> None:
    night = QuietClock([NIGHT])
    on, back = span(night, "2026-03-28T23:00"), span(night, "2026-10-24T23:00")
    assert on is not None
    assert back is not None
    assert on[1] is not None
    assert back[1] is not None
    assert on[1] - on[0] == timedelta(hours=9)
    assert back[1] - back[0] == timedelta(hours=11)


def test_a_time_that_the_wall_never_shows_is_the_jump_and_one_that_it_shows_twice_is_both() -> None:
    jump, twice = datetime.fromisoformat("2026-03-29T02:30"), datetime.fromisoformat("2026-10-25T02:30")
    assert to_instant(instant_of(jump, BERLIN)) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert to_instant(instant_of(jump, BERLIN, is_last=True)) == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert to_instant(instant_of(twice, BERLIN)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert to_instant(instant_of(twice, BERLIN, is_last=True)) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_a_day_without_a_midnight_begins_with_its_first_instant() -> None:
    """In Cairo clocks were put on at midnight: 2024-04-26 began at 1:00, which was 22:00 UTC."""
    period = period_of(us("2024-04-26T05:00"), "day", ZoneInfo("Africa/Cairo"))
    assert to_instant(period.start_us) == datetime(2024, 4, 25, 22, tzinfo=UTC)
    assert period.end_us is not None
    assert period.end_us - period.start_us == 23 * 3_600_000_000


def test_weeks_begin_on_monday_and_months_on_their_first_by_the_customers_clock() -> None:
    at = us("2026-03-01T23:30")  # a Sunday in London; in Berlin it is Monday, the second of March, already
    assert to_instant(period_of(at, "week", BERLIN).start_us) == datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert to_instant(period_of(at, "week", ZoneInfo("UTC")).start_us) == datetime(2026, 2, 23, tzinfo=UTC)
    month = period_of(us("2026-02-28T23:30"), "month", BERLIN)
    assert to_instant(month.start_us) == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert month.end_us == us("2026-03-31T22:00")  # summer time by then


def test_quiet_days_are_those_on_which_the_hours_start() -> None:
    clock = QuietClock([QuietHours(start="20:00", until="06:00", days=("saturday",))])
    assert span(clock, "2026-03-08T04:00", ZoneInfo("UTC")) is not None  # Sunday morning, of Saturday's night
    assert span(clock, "2026-03-08T21:00", ZoneInfo("UTC")) is None


def test_spans_that_touch_are_one_and_what_never_ends_has_no_end() -> None:
    weekend = QuietClock([QuietHours(start="00:00", until="00:00", days=("saturday", "sunday"))])
    assert span(weekend, "2026-03-07T12:00", ZoneInfo("UTC")) == (
        datetime(2026, 3, 7, tzinfo=UTC),
        datetime(2026, 3, 9, tzinfo=UTC),
    )
    always = QuietClock([QuietHours(start="00:00", until="00:00")])
    found = span(always, "2026-03-07T12:00", ZoneInfo("UTC"))
    assert found is not None
    assert found[1] is None


def test_a_zone_that_nobody_knows_is_the_brands() -> None:
    for nonsense in (None, "", "Mars/Phobos", "../../etc/passwd", "/etc/localtime", "UTC\x00"):
        assert zone_of(nonsense, "Asia/Bangkok").key == "Asia/Bangkok"
    assert zone_of("Asia/Kolkata", "Asia/Bangkok").key == "Asia/Kolkata"


@settings(max_examples=150, deadline=None)
@given(
    at=st.integers(us("2025-01-01T00:00"), us("2027-12-31T00:00")),
    zone=st.sampled_from(
        [
            "Europe/Berlin",
            "America/New_York",
            "Asia/Kathmandu",
            "Pacific/Chatham",
            "Australia/Lord_Howe",
            "Africa/Cairo",
        ]
    ),
    start=st.times(),
    until=st.times(),
)
def test_it_is_quiet_just_when_the_wall_says_so(at: int, zone: str, start: time, until: time) -> None:
    """Two ways to the same: spans of instants, and the wall's own time; hours shown twice may be quiet both times."""
    rule = QuietHours(start=f"{start:%H:%M}", until=f"{until:%H:%M}")
    clock, where = QuietClock([rule]), ZoneInfo(zone)
    wall = to_instant(at).astimezone(where)
    shown = f"{wall:%H:%M}"
    on_wall = rule.start <= shown < rule.until if rule.start < rule.until else shown >= rule.start or shown < rule.until
    is_quiet = clock.quiet_at(at, where) is not None
    is_twice = any(
        (to_instant(at) + timedelta(hours=h)).astimezone(where).utcoffset() != wall.utcoffset() for h in (-2, -1, 1, 2)
    )
    assert is_quiet or not on_wall
    if not is_twice:
        assert is_quiet == on_wall
