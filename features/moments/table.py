"""The two tables of moments: what waits (`moments_due`) and what has come (`moments`).

`moments_due` holds one row a kind of moment and customer: the newest trigger, and what became of it. An older trigger,
or the same one again, changes nothing, so that arming is idempotent in any order; a newer one starts the wait anew.
`moments` only grows (until somebody is erased): its `moment_seq` is the cursor that consumers follow. On SQLite one
writer commits after the other, so whoever has seen a number has seen every smaller one.

Each function is one piece of work inside somebody's transaction. Instants are microseconds since the epoch, UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from features.database import create_tables
from features.moments.rules import MomentRule

SCHEMA = """
CREATE TABLE IF NOT EXISTS moments_due (
    moment       TEXT NOT NULL,
    customer_key INTEGER NOT NULL,
    trigger_at   INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,      -- trigger_at + the moment's wait
    look_at      INTEGER NOT NULL,      -- when its condition is looked at: due_at, or later where it was put off
    expires_at   INTEGER NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('open', 'fired', 'closed')),
    reason       TEXT,                  -- why it was closed, or put off the last time
    PRIMARY KEY (moment, customer_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS moments_to_look_at ON moments_due (look_at) WHERE status = 'open';
CREATE INDEX IF NOT EXISTS moments_due_of_customer ON moments_due (customer_key);
CREATE TABLE IF NOT EXISTS moments (
    moment_seq   INTEGER PRIMARY KEY AUTOINCREMENT,
    moment       TEXT NOT NULL,
    customer_key INTEGER NOT NULL,      -- as it was then; joined customers are resolved when it is read
    event        TEXT NOT NULL,         -- of the trigger
    trigger_at   INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    fired_at     INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,      -- after which it is not worth saying any more
    condition    TEXT NOT NULL,         -- the expression that held
    placement    TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS moments_of_kind ON moments (moment, moment_seq);
CREATE INDEX IF NOT EXISTS moments_of_customer ON moments (customer_key, moment, fired_at);
"""

OPEN, FIRED, CLOSED = "open", "fired", "closed"

_ARM = """
INSERT INTO moments_due VALUES (:moment, :key, :trigger, :due, :due, :expires, 'open', NULL)
ON CONFLICT (moment, customer_key) DO UPDATE SET
    trigger_at = excluded.trigger_at, due_at = excluded.due_at, look_at = excluded.look_at,
    expires_at = excluded.expires_at, status = 'open', reason = NULL
WHERE excluded.trigger_at > trigger_at
"""
_ADOPT = """
INSERT INTO moments_due
SELECT moment, :into, trigger_at, due_at, look_at, expires_at, status, reason
FROM moments_due WHERE customer_key = :from
ON CONFLICT (moment, customer_key) DO UPDATE SET
    trigger_at = excluded.trigger_at, due_at = excluded.due_at, look_at = excluded.look_at,
    expires_at = excluded.expires_at, status = excluded.status, reason = excluded.reason
WHERE excluded.trigger_at > trigger_at OR (excluded.trigger_at = trigger_at AND excluded.status <> 'open')
"""
_RESCHEDULE = """
UPDATE moments_due SET due_at = trigger_at + :wait, look_at = trigger_at + :wait,
                       expires_at = trigger_at + :wait + :expires, reason = NULL
WHERE moment = :moment AND status = 'open'
  AND (due_at <> trigger_at + :wait OR expires_at <> trigger_at + :wait + :expires)
"""


class Trigger(NamedTuple):
    """An event that a moment waits after, of one customer."""

    moment: str
    customer_key: int
    at: int


class DueRow(NamedTuple):
    """A moment whose wait is over, and whose condition is to be looked at."""

    moment: str
    customer_key: int
    trigger_at: int
    due_at: int
    expires_at: int


class Fired(NamedTuple):
    """One moment that has come."""

    moment_seq: int
    moment: str
    customer_key: int
    event: str
    trigger_at: int
    due_at: int
    fired_at: int
    expires_at: int
    condition: str
    placement: str | None


def create(connection: sqlite3.Connection) -> None:
    """Makes the tables where they are missing."""
    tables = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('moments', 'moments_due')"
    if connection.execute(tables).fetchone()[0] < len(("moments", "moments_due")):
        create_tables(connection, SCHEMA)


def arm(
    connection: sqlite3.Connection, triggers: Iterable[Trigger], rules: Mapping[str, MomentRule], *, now: int
) -> int:
    """Starts the wait of each trigger, under the customer's own key; gives how many rows that changed.

    A trigger whose moment would have expired already starts nothing.
    """
    changed = 0
    for trigger in triggers:
        rule = rules[trigger.moment]
        due = trigger.at + rule.wait_us
        expires = due + rule.expires_after_us
        if expires < now:
            continue
        row = {"moment": trigger.moment, "key": trigger.customer_key, "trigger": trigger.at, "due": due}
        changed += connection.execute(_ARM, {**row, "expires": expires}).rowcount
    return changed


def adopt(connection: sqlite3.Connection, *, from_key: int, into_key: int) -> None:
    """What waits for a customer who was joined into another waits for that one; of two the newer trigger stands."""
    connection.execute(_ADOPT, {"from": from_key, "into": into_key})
    connection.execute("DELETE FROM moments_due WHERE customer_key = ?", (from_key,))


def reschedule(connection: sqlite3.Connection, rules: Mapping[str, MomentRule]) -> None:
    """Waits that brand.yaml has changed since hold for what is open already."""
    for rule in rules.values():
        spans = {"moment": rule.name, "wait": rule.wait_us, "expires": rule.expires_after_us}
        connection.execute(_RESCHEDULE, spans)


def due_rows(connection: sqlite3.Connection, *, now: int, limit: int) -> list[DueRow]:
    """The open rows whose condition is to be looked at, the longest due first."""
    query = (
        "SELECT moment, customer_key, trigger_at, due_at, expires_at FROM moments_due "
        "WHERE status = 'open' AND look_at <= ? ORDER BY look_at, moment, customer_key LIMIT ?"
    )
    return [DueRow(*row) for row in connection.execute(query, (now, limit))]


def settle(connection: sqlite3.Connection, due: DueRow, *, status: str, reason: str | None) -> bool:
    """Ends a wait; False where a newer trigger has started it again, or somebody was faster."""
    query = (
        "UPDATE moments_due SET status = ?, reason = ? "
        "WHERE moment = ? AND customer_key = ? AND trigger_at = ? AND due_at = ? AND status = 'open'"
    )
    row = (due.moment, due.customer_key, due.trigger_at, due.due_at)
    return connection.execute(query, (status, reason, *row)).rowcount == 1


def put_off(connection: sqlite3.Connection, due: DueRow, *, until: int, reason: str) -> None:
    """Looks at it again later."""
    query = (
        "UPDATE moments_due SET look_at = ?, reason = ? "
        "WHERE moment = ? AND customer_key = ? AND trigger_at = ? AND status = 'open'"
    )
    connection.execute(query, (until, reason, due.moment, due.customer_key, due.trigger_at))


def fire(connection: sqlite3.Connection, due: DueRow, rule: MomentRule, *, fired_at: int) -> int:
    """Writes a moment; gives its moment_seq."""
    written = connection.execute(
        "INSERT INTO moments "
        "(moment, customer_key, event, trigger_at, due_at, fired_at, expires_at, condition, placement) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            due.moment,
            due.customer_key,
            rule.event,
            due.trigger_at,
            due.due_at,
            fired_at,
            due.expires_at,
            rule.when.text,
            rule.placement,
        ),
    )
    return int(written.lastrowid or 0)


def last_fired(connection: sqlite3.Connection, moment: str, keys: Sequence[int]) -> int | None:
    """When that moment last came for a person, by any of their keys."""
    query = "SELECT max(fired_at) FROM moments WHERE customer_key = ? AND moment = ?"
    found = [connection.execute(query, (int(key), moment)).fetchone()[0] for key in keys]
    return max((at for at in found if at is not None), default=None)


def fired_since(connection: sqlite3.Connection, since: int, *, limit: int, moment: str | None = None) -> list[Fired]:
    """Moments after that moment_seq, in order."""
    only, arguments = ("", ()) if moment is None else ("moment = ? AND ", (moment,))
    query = (
        "SELECT moment_seq, moment, customer_key, event, trigger_at, due_at, fired_at, expires_at, condition, "
        f"placement FROM moments WHERE {only}moment_seq > ? ORDER BY moment_seq LIMIT ?"
    )
    return [Fired(*row) for row in connection.execute(query, (*arguments, since, limit))]


def newest_seq(connection: sqlite3.Connection) -> int:
    """The highest moment_seq ever given; 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'moments'").fetchone()
    return 0 if row is None else int(row[0])
