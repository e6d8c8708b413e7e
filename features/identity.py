"""Which outside id is which customer: the only table where ids of shops and of devices meet `customer_key`."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, TypeVar

import pyarrow as pa

from features.contract import CustomerKey

Kind = Literal["user", "anonymous"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (
    customer_id   TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('user', 'anonymous')),
    customer_key  INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,     -- microseconds since the epoch, UTC
    PRIMARY KEY (kind, customer_id)
) STRICT;
CREATE INDEX IF NOT EXISTS identity_of_key ON identity (customer_key);
CREATE TABLE IF NOT EXISTS customer_keys (last INTEGER NOT NULL) STRICT;   -- one row; a key is never given twice
INSERT INTO customer_keys SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM customer_keys);
"""

_BATCH = 20_000
_LOOK_UP = 500  # ids in one IN (…): below every SQLite's limit of variables
_T = TypeVar("_T")


class IdentityTable:
    """Outside ids and their customer keys, in the workspace's database. Keys count up from 1 and are never reused."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('identity', 'customer_keys')"
        if connection.execute(tables).fetchone()[0] < len(("identity", "customer_keys")):
            connection.executescript(SCHEMA)

    def key(self, customer_id: str, kind: Kind = "user") -> CustomerKey | None:
        """The customer's key, or None if that id was never seen."""
        row = self._connection.execute(
            "SELECT customer_key FROM identity WHERE kind = ? AND customer_id = ?", (kind, customer_id)
        ).fetchone()
        return None if row is None else CustomerKey(row[0])

    def key_or_new(self, customer_id: str, kind: Kind = "user") -> CustomerKey:
        """The customer's key; a new one where that id was never seen."""
        known = self.key(customer_id, kind)
        return known if known is not None else self.keys_for([customer_id], kind)[customer_id]

    def keys_for(
        self, customer_ids: Iterable[str], kind: Kind = "user", *, first_seen_at: Mapping[str, int] | None = None
    ) -> dict[str, CustomerKey]:
        """Keys of many ids at once, new ones in the order given where an id was never seen.

        Args:
            customer_ids: outside ids; one said twice is one customer.
            kind: what the ids are.
            first_seen_at: microseconds since the epoch for each id; now where it does not say.
        """
        ids = list(dict.fromkeys(customer_ids))
        known = self._known(ids, kind)
        missing = [one for one in ids if one not in known]
        if missing:
            self._insert(missing, kind, first_seen_at or {})
            known |= self._known(missing, kind)
        return known

    def id_of(self, customer_key: int) -> str | None:
        """The outside id of that key: the shop's own where there is one, else the device's; None if unknown."""
        row = self._connection.execute(
            "SELECT customer_id FROM identity WHERE customer_key = ? ORDER BY kind DESC, first_seen_at LIMIT 1",
            (int(customer_key),),
        ).fetchone()
        return None if row is None else str(row[0])

    def as_arrow(self) -> pa.Table:
        """Every row, with columns customer_id, kind, customer_key, first_seen_at (int64 µs)."""
        cursor = self._connection.execute("SELECT customer_id, kind, customer_key, first_seen_at FROM identity")
        batches = [
            pa.record_batch(list(zip(*rows, strict=True)), schema=_ARROW)
            for rows in iter(lambda: cursor.fetchmany(_BATCH), [])
        ]
        return pa.Table.from_batches(batches, schema=_ARROW)

    def _known(self, ids: Sequence[str], kind: Kind) -> dict[str, CustomerKey]:
        known: dict[str, CustomerKey] = {}
        for batch in _batches(ids, _LOOK_UP):
            marks = ",".join("?" * len(batch))
            query = f"SELECT customer_id, customer_key FROM identity WHERE kind = ? AND customer_id IN ({marks})"
            known.update((row[0], CustomerKey(row[1])) for row in self._connection.execute(query, (kind, *batch)))
        return known

    def _insert(self, ids: Sequence[str], kind: Kind, first_seen_at: Mapping[str, int]) -> None:
        now = time.time_ns() // 1_000
        # Inside somebody's transaction the row stands or falls with it; else it is durable when this returns.
        is_ours = not self._connection.in_transaction
        if is_ours:
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            last = self._connection.execute("SELECT last FROM customer_keys").fetchone()[0]
            known = self._known(ids, kind)  # another process may have been faster
            new = [one for one in ids if one not in known]
            rows = ((one, kind, last + n, first_seen_at.get(one, now)) for n, one in enumerate(new, start=1))
            self._connection.executemany("INSERT INTO identity VALUES (?, ?, ?, ?)", rows)
            self._connection.execute("UPDATE customer_keys SET last = ?", (last + len(new),))
        except BaseException:
            if is_ours:
                self._connection.rollback()
            raise
        if is_ours:
            self._connection.commit()


_ARROW = pa.schema(
    [("customer_id", pa.string()), ("kind", pa.string()), ("customer_key", pa.int64()), ("first_seen_at", pa.int64())]
)


def _batches(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
