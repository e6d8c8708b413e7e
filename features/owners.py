"""Whose events a key's are, instant by instant, now that customers have been joined.

Events keep the key under which they were written. A join counts from the instant at which it was known: as of a later
instant the events of `from_key` are those of `into_key`, as of an earlier one there are two customers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from features.contract import INSTANT
from features.database import connect
from features.identity import IdentityTable
from features.merges import Merge, survivors
from features.workspace import Workspace

LINKS_SCHEMA = pa.schema([("from_key", pa.int64()), ("into_key", pa.int64()), ("known_at", INSTANT)])


class Owned(NamedTuple):
    """For which of the instants, counted from 1, a key's events are another customer's: first_i <= i < until_i."""

    from_key: int
    owner: int
    first_i: int
    until_i: int


class Link(NamedTuple):
    """From when on whoever speaks under `into_key` is known to be the person of `from_key` too."""

    from_key: int
    into_key: int
    known_at: int  # microseconds since the epoch, UTC


def links(merges: Iterable[Merge]) -> list[Link]:
    """Every key that was merged away beside each key that it became part of, at once or by way of others."""
    into = {merge.from_key: merge for merge in merges}
    found = []
    for key in into:
        owner, known_at = key, 0
        while owner in into:
            known_at = max(known_at, into[owner].merged_at_us)
            owner = into[owner].into_key
            found.append(Link(key, owner, known_at))
    return found


def links_table(merges: Iterable[Merge]) -> pa.Table:
    """What `links` gives, with LINKS_SCHEMA."""
    return pa.Table.from_pylist([link._asdict() for link in links(merges)], schema=LINKS_SCHEMA)


def owned(merges: Iterable[Merge], as_ofs_us: Sequence[int]) -> list[Owned]:
    """Every stretch of instants in which the events of a key belong to somebody, for the keys that were ever merged.

    Args:
        merges: in any order; a key is merged away at most once.
        as_ofs_us: the instants, ascending, in microseconds since the epoch.

    Returns:
        For every `from_key` stretches that cover all instants; those before its merge say that it owns itself.
    """
    into = {merge.from_key: merge for merge in merges}
    return [stretch for key in into for stretch in _stretches(key, into, as_ofs_us)]


def owners_at(merges: Iterable[Merge], as_of_us: int) -> dict[int, int]:
    """The keys whose events are another customer's as of an instant, and whose they are."""
    stretches = owned(merges, [as_of_us])
    return {stretch.from_key: stretch.owner for stretch in stretches if stretch.owner != stretch.from_key}


def keys_behind(customers: Iterable[int], owners: dict[int, int]) -> list[int]:
    """The keys under which the events of these customers were written; none of a customer who is part of another."""
    wanted = {int(key) for key in customers}
    return sorted((wanted - owners.keys()) | {key for key, owner in owners.items() if owner in wanted})


def persons(workspace: Workspace) -> dict[int, int]:
    """As known now: every key that was joined into another customer, and the survivor who that person is."""
    if not workspace.database.is_file():
        return {}
    connection = connect(workspace.database)
    try:
        return survivors(IdentityTable(connection).merges())
    finally:
        connection.close()


def persons_table(joined: dict[int, int]) -> pa.Table:
    """What `persons` gives as a table: from_key, person."""
    return pa.table({"from_key": pa.array(joined.keys(), pa.int64()), "person": pa.array(joined.values(), pa.int64())})


def _stretches(key: int, into: dict[int, Merge], as_ofs_us: Sequence[int]) -> Iterator[Owned]:
    """Follows the chain of joins: each link counts once it, and all before it, were known."""
    owner, first_i, known_at = key, 1, 0
    while owner in into:
        link = into[owner]
        known_at = max(known_at, link.merged_at_us)
        until_i = bisect_right(as_ofs_us, known_at) + 1
        if until_i > first_i:
            yield Owned(key, owner, first_i, until_i)
        owner, first_i = link.into_key, until_i
    if first_i <= len(as_ofs_us):
        yield Owned(key, owner, first_i, len(as_ofs_us) + 1)
