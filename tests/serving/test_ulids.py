"""Ids are what the library of ULIDs reads, and sort by their instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from serving.ulids import new_ulid

INSTANTS = st.integers(0, 16 * 10**15).map(lambda us: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us))


@given(INSTANTS)
def test_the_library_reads_the_instant_in_an_id_to_the_millisecond(at: datetime) -> None:
    read = ULID.from_str(new_ulid(at))
    assert timedelta(0) <= at - read.datetime < timedelta(milliseconds=1.001)  # it reads a float of seconds
    assert str(ULID.from_bytes(read.bytes)) == str(read)


@given(INSTANTS, st.integers(min_value=1, max_value=10**9))
def test_what_comes_later_sorts_later(at: datetime, milliseconds: int) -> None:
    assert new_ulid(at) < new_ulid(at + timedelta(milliseconds=milliseconds))


def test_two_of_one_instant_are_two() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    assert len({new_ulid(at) for _ in range(1_000)}) == 1_000
