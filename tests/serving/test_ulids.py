"""Ids are what the library of ULIDs reads, and sort as they were made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
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


def test_those_of_one_instant_sort_as_they_were_made() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    made = [new_ulid(at) for _ in range(1_000)]
    assert sorted(set(made)) == made


def test_threads_that_ask_at_one_instant_get_different_ones() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(new_ulid, [at] * 4_000))
    assert len(set(made)) == len(made)
