"""The event log: events as they arrive, durable and in order, until they are exported to the lake.

An event_id counts once, for ever: a fingerprint of each is kept (features/message_ids.py), and that is the idempotency,
so that rows whose events are in the lake can be pruned. `log_seq` grows with every new event; an online row says which
one it covers, so that a decision knows whether it is behind.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from features import message_ids
from features.contract import EVENT_SCHEMA
from features.database import create_tables, transaction
from features.lake import instant_us
from features.message_ids import MessageIds, message_id

SCHEMA = """
CREATE TABLE IF NOT EXISTS event_log (
    log_seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id     TEXT NOT NULL,         -- unique by features/message_ids.py
    customer_key INTEGER NOT NULL,
    occurred_at  INTEGER NOT NULL,      -- microseconds since the epoch, UTC
    received_at  INTEGER NOT NULL,
    payload      TEXT NOT NULL          -- JSON: the other columns of the lake's event table
) STRICT;
CREATE INDEX IF NOT EXISTS event_log_of_customer ON event_log (customer_key, log_seq);
CREATE TABLE IF NOT EXISTS log_state (
    name  TEXT PRIMARY KEY,             -- pruned_through | materialized_through
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_TABLES = ("event_log", "log_state", *message_ids.TABLES)

PRUNED_THROUGH = "pruned_through"
MATERIALIZED_THROUGH = "materialized_through"

Event = Mapping[str, Any]
LOG_SCHEMA = EVENT_SCHEMA.append(pa.field("log_seq", pa.int64(), nullable=False))
_OWN_COLUMNS = ("event_id", "customer_key", "occurred_at", "received_at", "superseded_at")
_PAYLOAD = tuple(name for name in EVENT_SCHEMA.names if name not in _OWN_COLUMNS)
_NEWEST_OF_KEYS = """
SELECT asked.value, (SELECT max(log_seq) FROM event_log WHERE customer_key = asked.value) FROM json_each(?) AS asked
"""
_IN_ONE_QUERY = 500  # below every SQLite's limit of variables
_PRUNED_AT_ONCE = 2_000  # rows a transaction: a writer that waits behind it waits for milliseconds,
_AT_REST_FOR_EACH_AT_WORK = 1.0  # and then has as long for itself


class LogRow(NamedTuple):
    """One event as the log keeps it; instants are microseconds since the epoch, UTC.

    `payload` is a JSON object with the other columns of EVENT_SCHEMA that are not null.
    """

    event_id: str
    customer_key: int
    occurred_at_us: int
    received_at_us: int
    payload: str


class EventLog:
    """The events of one workspace's database, in the order in which they came."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        tables = f"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN {_TABLES}"
        if connection.execute(tables).fetchone()[0] < len(_TABLES):
            _create(connection)

    def append(self, events: Iterable[Event]) -> list[int | None]:
        """Writes events; durable when it returns, unless it is called inside somebody's transaction.

        Args:
            events: columns of EVENT_SCHEMA by name, each at least event_id, customer_key, event, occurred_at;
                instants are aware datetimes; `received_at` is now where it is missing.

        Returns:
            The log_seq of each event, None for one whose event_id is there already.
        """
        return self.append_rows([_as_row(event) for event in events])

    def append_rows(self, rows: Sequence[LogRow]) -> list[int | None]:
        """As `append`, for rows that are ready."""
        if not rows:
            return []
        with transaction(self._connection):
            is_new = self.claim([row.event_id for row in rows])
            log_seqs = iter(self.append_claimed([row for row, first in zip(rows, is_new, strict=True) if first]))
        return [next(log_seqs) if first else None for first in is_new]

    def claim(self, event_ids: Sequence[str]) -> list[bool]:
        """Takes these ids for ever; says of each whether nobody had: only then may its event do anything.

        Inside the transaction in which `append_claimed` writes what they stand for.
        """
        is_new = [False] * len(event_ids)
        with transaction(self._connection):
            for place in MessageIds(self._connection).take([message_id(one) for one in event_ids]):
                is_new[place] = True
        return is_new

    def append_claimed(self, rows: Sequence[LogRow]) -> list[int]:
        """Writes rows whose ids were claimed in this transaction; gives their log_seqs."""
        with transaction(self._connection):
            log_seqs = range((last := self.newest()) + 1, last + len(rows) + 1)
            self._connection.executemany(
                "INSERT INTO event_log VALUES (?, ?, ?, ?, ?, ?)",
                ((log_seq, *row) for log_seq, row in zip(log_seqs, rows, strict=True)),
            )
        return list(log_seqs)

    def since(self, log_seq: int, *, through: int | None = None) -> pa.Table:
        """Events after that sequence number, up to `through`, with the columns of LOG_SCHEMA, in order."""
        if through is None:
            return self._read("log_seq > ?", [log_seq])
        return self._read("log_seq > ? AND log_seq <= ?", [log_seq, through])

    def of_customers(self, customers: Sequence[int], *, after: int = 0) -> pa.Table:
        """All events of these customers after a sequence number, with the columns of LOG_SCHEMA, in order."""
        tables = [
            self._read(f"customer_key IN ({', '.join('?' * len(batch))}) AND log_seq > ?", [*batch, after])
            for batch in _batches(customers)
        ]
        if len(tables) > 1:
            return pa.concat_tables(tables).sort_by("log_seq")
        return tables[0] if tables else LOG_SCHEMA.empty_table()

    def newest_of(self, keys: int | Sequence[int]) -> int:
        """The highest log_seq of a customer, or of all of their keys; 0 where the log holds nothing of theirs."""
        query = "SELECT max(log_seq) FROM event_log WHERE customer_key = ?"
        newest = 0
        for key in (keys,) if isinstance(keys, int) else keys:
            newest = max(newest, self._connection.execute(query, (int(key),)).fetchone()[0] or 0)
        return newest

    def newest_of_each(self, people: Sequence[Sequence[int]]) -> list[int]:
        """As `newest_of`, of the keys of each of several people."""
        if len(people) == 1:
            return [self.newest_of(people[0])]
        asked = json.dumps([int(key) for keys in people for key in keys])
        newest = dict(self._connection.execute(_NEWEST_OF_KEYS, (asked,)))
        return [max((newest[int(key)] or 0 for key in keys), default=0) for keys in people]

    def newest(self) -> int:
        """The highest log_seq ever given; 0 before the first event."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'event_log'").fetchone()
        return 0 if row is None else int(row[0])

    def state(self, name: str) -> int:
        """How far something has come in the log: `pruned_through`, `materialized_through`; 0 before it began."""
        row = self._connection.execute("SELECT value FROM log_state WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def set_state(self, name: str, value: int) -> None:
        """Keeps how far something has come; durable when it returns, or with the caller's transaction."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT INTO log_state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    def prune(self, through: int, *, older_than_us: int) -> int:
        """Removes rows from the front of the log, whose events are elsewhere; their ids stay taken, for ever.

        Args:
            through: the highest log_seq that may go.
            older_than_us: only events that arrived before this instant, microseconds since the epoch; the first that
                did not ends it, so that what is gone is always everything up to `pruned_through`.

        Returns:
            How many rows were removed, in transactions that are short enough for writers to come between.
        """
        query = "SELECT coalesce(min(log_seq), ? + 1) FROM event_log WHERE log_seq <= ? AND received_at >= ?"
        stop = int(self._connection.execute(query, (through, through, older_than_us)).fetchone()[0]) - 1
        removed, start = 0, self.state(PRUNED_THROUGH)
        while start < stop:
            end, began = min(start + _PRUNED_AT_ONCE, stop), time.monotonic()
            with transaction(self._connection):
                gone = self._connection.execute(
                    "DELETE FROM event_log WHERE log_seq > ? AND log_seq <= ?", (start, end)
                )
                self.set_state(PRUNED_THROUGH, max(end, self.state(PRUNED_THROUGH)))
            removed, start = removed + gone.rowcount, end
            if start < stop:
                time.sleep(_AT_REST_FOR_EACH_AT_WORK * (time.monotonic() - began))
        return removed

    def forget(self, customer_keys: Sequence[int]) -> int:
        """Removes every row of these customers; gives how many. An event of theirs sent again stays a duplicate."""
        with transaction(self._connection):
            return sum(
                self._connection.execute("DELETE FROM event_log WHERE customer_key = ?", (int(key),)).rowcount
                for key in customer_keys
            )

    def _read(self, condition: str, values: Sequence[int]) -> pa.Table:
        query = (
            "SELECT log_seq, event_id, customer_key, occurred_at, received_at, payload FROM event_log "
            f"WHERE {condition} ORDER BY log_seq"
        )
        return _as_table(self._connection.execute(query, tuple(values)).fetchall())


def _create(connection: sqlite3.Connection) -> None:
    """Makes what is missing; a log of before `message_ids` keeps its rows, whose ids are taken from then on."""
    with transaction(connection):
        is_new = not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'message_ids'").fetchone()
        create_tables(connection, SCHEMA + message_ids.SCHEMA)
        if is_new:
            ids = sorted(message_id(row[0]) for row in connection.execute("SELECT event_id FROM event_log"))
            connection.executemany("INSERT INTO message_ids VALUES (?)", ((one,) for one in ids))


def _batches(keys: Sequence[int]) -> Iterable[list[int]]:
    distinct = iter(dict.fromkeys(map(int, keys)))
    while batch := list(islice(distinct, _IN_ONE_QUERY)):
        yield batch


def _as_row(event: Event) -> LogRow:
    received_at = event.get("received_at") or datetime.now(UTC)
    payload = {name: event[name] for name in _PAYLOAD if event.get(name) is not None}
    return LogRow(
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
