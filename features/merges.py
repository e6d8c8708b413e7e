"""Which customers turned out to be one: `from_key` is part of `into_key` from `merged_at` on.

What was written under a key stays under it for ever; whoever reads asks here which keys are one person. A merge is
never undone and a key that was merged away never comes back, so the merges are a forest: every chain ends.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

SCHEMA = """
CREATE TABLE IF NOT EXISTS customer_merges (
    merge_seq INTEGER PRIMARY KEY AUTOINCREMENT,
    from_key  INTEGER NOT NULL UNIQUE,  -- merged away once, for ever
    into_key  INTEGER NOT NULL,
    merged_at INTEGER NOT NULL,         -- microseconds since the epoch, UTC: when the call arrived that said so
    why       TEXT NOT NULL             -- identify | alias
) STRICT;
CREATE INDEX IF NOT EXISTS customer_merges_into ON customer_merges (into_key);
"""

_SURVIVOR = """
WITH RECURSIVE up (key, depth) AS (
    SELECT ?, 0 UNION ALL SELECT into_key, depth + 1 FROM customer_merges JOIN up ON from_key = key
)
SELECT key FROM up ORDER BY depth DESC LIMIT 1
"""
_IS_MERGED = "SELECT 1 FROM customer_merges WHERE from_key = ?1 OR into_key = ?1 LIMIT 1"
_GROUP = """
WITH RECURSIVE down (key) AS (
    SELECT ? UNION ALL SELECT from_key FROM customer_merges JOIN down ON into_key = key
)
SELECT key FROM down
"""

PERSONS = """
WITH RECURSIVE person (key, part) AS (
    SELECT value, value FROM json_each(?)
    UNION ALL SELECT key, from_key FROM customer_merges JOIN person ON into_key = part
)
"""  # before a query: each of a JSON array of survivors, beside every key that is part of that person


class Merge(NamedTuple):
    """One customer became part of another at an instant (microseconds since the epoch, UTC)."""

    from_key: int
    into_key: int
    merged_at_us: int


def survivor_of(connection: sqlite3.Connection, key: int) -> int:
    """The key under which that person goes on; itself where it was never merged away."""
    return int(connection.execute(_SURVIVOR, (int(key),)).fetchone()[0])


def keys_of(connection: sqlite3.Connection, key: int) -> tuple[int, ...]:
    """Every key of that person: the survivor first, then all that were merged into it, rising."""
    if connection.execute(_IS_MERGED, (int(key),)).fetchone() is None:
        return (int(key),)  # nearly everybody
    survivor = survivor_of(connection, key)
    others = {int(row[0]) for row in connection.execute(_GROUP, (survivor,))} - {survivor}
    return (survivor, *sorted(others))


def all_merges(connection: sqlite3.Connection, *, after: int = 0) -> list[Merge]:
    """Every merge with a merge_seq above `after`, in the order in which they happened."""
    query = "SELECT from_key, into_key, merged_at FROM customer_merges WHERE merge_seq > ? ORDER BY merge_seq"
    return [Merge(*row) for row in connection.execute(query, (after,))]


def merges_of(connection: sqlite3.Connection, keys: Sequence[int]) -> list[Merge]:
    """The merges of these keys into others, in the order in which they happened, however many others there are."""
    query = (
        "SELECT from_key, into_key, merged_at FROM customer_merges "
        "WHERE from_key IN (SELECT value FROM json_each(?)) ORDER BY merge_seq"
    )
    return [Merge(*row) for row in connection.execute(query, (json.dumps([int(key) for key in keys]),))]


def survivors(merges: Iterable[Merge]) -> dict[int, int]:
    """Every key that was merged away and the survivor at the end of its chain; merges in the order they happened."""
    into = {merge.from_key: merge.into_key for merge in merges}
    ends: dict[int, int] = {}
    for key in reversed(into):  # the newest first: its end is a survivor, and older chains run into it
        target = into[key]
        ends[key] = ends.get(target, target)
    return ends
