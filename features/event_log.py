"""The event log: events as they arrive, durable and in order, until they are exported to the lake.

`event_id` is unique for ever: that constraint is the idempotency. `log_seq` grows with every new event; an online row
says which one it covers, so that a decision knows whether it is behind.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from features.contract import EVENT_SCHEMA
from features.lake import instant_us

SCHEMA = """
CREATE TABLE IF NOT EXISTS event_log (
    log_seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id     TEXT NOT NULL UNIQUE,
    customer_key INTEGER NOT NULL,
    occurred_at  INTEGER NOT NULL,      -- microseconds since the epoch, UTC
    received_at  INTEGER NOT NULL,
    payload      TEXT NOT NULL          -- JSON: the other columns of the lake's event table
) STRICT;
CREATE INDEX IF NOT EXISTS event_log_of_customer ON event_log (customer_key, log_seq);
"""

Event = Mapping[str, Any]
LOG_SCHEMA = EVENT_SCHEMA.append(pa.field("log_seq", pa.int64(), nullable=False))
_OWN_COLUMNS = ("event_id", "customer_key", "occurred_at", "received_at", "superseded_at")
_PAYLOAD = tuple(name for name in EVENT_SCHEMA.names if name not in _OWN_COLUMNS)
_IN_ONE_QUERY = 500  # below every SQLite's limit of variables


class EventLog:
    """The events of one workspace's database, in the order in which they came."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE type='table' AND name='event_log'").fetchone():
            connection.executescript(SCHEMA)

    def append(self, events: Iterable[Event]) -> list[int | None]:
        """Writes events; durable when it returns, unless it is called inside somebody's transaction.

        Args:
            events: columns of EVENT_SCHEMA by name, each at least event_id, customer_key, event, occurred_at;
                instants are aware datetimes; `received_at` is now where it is missing.

        Returns:
            The log_seq of each event, None for one whose event_id is there already.
        """
        rows = [_as_row(event) for event in events]
        is_ours = not self._connection.in_transaction
        if is_ours:
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            written = [self._insert(row) for row in rows]
        except BaseException:
            if is_ours:
                self._connection.rollback()
            raise
        if is_ours:
            self._connection.commit()
        return written

    def since(self, log_seq: int) -> pa.Table:
        """Events after that sequence number, with the columns of LOG_SCHEMA, in order."""
        return self._read("log_seq > ?", [log_seq])

    def of_customers(self, customers: Sequence[int]) -> pa.Table:
        """All events of these customers, with the columns of LOG_SCHEMA, in order."""
        tables = [
            self._read(f"customer_key IN ({', '.join('?' * len(batch))})", batch)
            for start in range(0, len(customers), _IN_ONE_QUERY)
            if (batch := [int(key) for key in customers[start : start + _IN_ONE_QUERY]])
        ]
        return pa.concat_tables(tables) if tables else LOG_SCHEMA.empty_table()

    def newest_of(self, customer_key: int) -> int:
        """The highest log_seq of a customer; 0 where the log holds nothing of theirs."""
        query = "SELECT coalesce(max(log_seq), 0) FROM event_log WHERE customer_key = ?"
        return int(self._connection.execute(query, (int(customer_key),)).fetchone()[0])

    def newest_before(self, as_of: datetime) -> dict[int, int]:
        """For every customer in the log, the highest log_seq received before that instant."""
        query = "SELECT customer_key, max(log_seq) FROM event_log WHERE received_at < ? GROUP BY customer_key"
        return dict(self._connection.execute(query, (instant_us(as_of),)).fetchall())

    def customers_since(self, as_of: datetime) -> list[int]:
        """Customers with an event that had not both happened and arrived before that instant."""
        query = "SELECT DISTINCT customer_key FROM event_log WHERE received_at >= ?1 OR occurred_at >= ?1"
        return [row[0] for row in self._connection.execute(query, (instant_us(as_of),))]

    def _insert(self, row: tuple[object, ...]) -> int | None:
        query = (
            "INSERT INTO event_log (event_id, customer_key, occurred_at, received_at, payload) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (event_id) DO NOTHING RETURNING log_seq"
        )
        written = self._connection.execute(query, row).fetchone()
        return None if written is None else int(written[0])

    def _read(self, condition: str, values: Sequence[int]) -> pa.Table:
        query = (
            "SELECT log_seq, event_id, customer_key, occurred_at, received_at, payload FROM event_log "
            f"WHERE {condition} ORDER BY log_seq"
        )
        return _as_table(self._connection.execute(query, tuple(values)).fetchall())


def _as_row(event: Event) -> tuple[object, ...]:
    received_at = event.get("received_at") or datetime.now(UTC)
    payload = {name: event[name] for name in _PAYLOAD if event.get(name) is not None}
    return (
        event["event_id"],
        int(event["customer_key"]),
        instant_us(event["occurred_at"]),
        instant_us(received_at),
        json.dumps(payload, ensure_ascii=False),
    )


def _as_table(rows: list[tuple[Any, ...]]) -> pa.Table:
    if not rows:
        return LOG_SCHEMA.empty_table()
    payloads = [json.loads(row[5]) for row in rows]
    columns: dict[str, pa.Array] = {
        "log_seq": pa.array([row[0] for row in rows], pa.int64()),
        "event_id": pa.array([row[1] for row in rows], pa.string()),
        "customer_key": pa.array([row[2] for row in rows], pa.int64()),
        "occurred_at": pa.array([row[3] for row in rows], pa.timestamp("us")),
        "received_at": pa.array([row[4] for row in rows], pa.timestamp("us")),
        "superseded_at": pa.nulls(len(rows), pa.timestamp("us")),
    }
    for name in _PAYLOAD:
        values = [payload.get(name, False if name == "backfilled" else None) for payload in payloads]
        columns[name] = pa.array(values, EVENT_SCHEMA.field(name).type)
    return pa.table([columns[name] for name in LOG_SCHEMA.names], schema=LOG_SCHEMA)
