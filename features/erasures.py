"""The table `erasures`: what is under way and what was done, without a name; an id is found by its salted hash."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS erasures (
    erasure_id    TEXT PRIMARY KEY,
    asked_at      INTEGER NOT NULL,    -- microseconds since the epoch, UTC
    finished_at   INTEGER,             -- null while files still hold them
    swept_at      INTEGER,             -- when nothing could come late any more; from then on the keys are gone too
    customer_keys TEXT,                -- JSON list
    known_since   INTEGER,             -- their earliest event, until it is told which models saw them
    steps         TEXT NOT NULL,       -- JSON list of those done
    receipt       TEXT NOT NULL        -- JSON
) STRICT;
CREATE TABLE IF NOT EXISTS erased_ids (
    id_hash    BLOB NOT NULL,          -- scrypt of an outside id, with this workspace's salt
    erasure_id TEXT NOT NULL,
    PRIMARY KEY (id_hash, erasure_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erasure_salt (salt BLOB NOT NULL) STRICT;
"""


@dataclass
class Erasure:
    """One erasure, under way or finished."""

    erasure_id: str
    asked_at_us: int
    finished_at_us: int | None
    customer_keys: tuple[int, ...]
    known_since_us: int | None
    steps: list[str] = field(default_factory=list)
    receipt: dict[str, Any] = field(default_factory=dict)

    @property
    def is_finished(self) -> bool:
        """Whether nothing of the person is left."""
        return self.finished_at_us is not None


def count_erasures(connection: sqlite3.Connection) -> int:
    """How many people were erased so far, finished or not."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'erasures'").fetchone() is None:
        return 0
    return int(connection.execute("SELECT count(*) FROM erasures").fetchone()[0])


def hash_of(connection: sqlite3.Connection, customer_id: str) -> bytes:
    """By what an outside id is found again; slow on purpose: ids such as telephone numbers can be counted through."""
    if (row := connection.execute("SELECT salt FROM erasure_salt").fetchone()) is None:
        with connection:
            connection.execute(
                "INSERT INTO erasure_salt SELECT ? WHERE NOT EXISTS (SELECT 1 FROM erasure_salt)",
                (secrets.token_bytes(16),),
            )
        row = connection.execute("SELECT salt FROM erasure_salt").fetchone()
    return hashlib.scrypt(customer_id.encode("utf-8", "surrogatepass"), salt=row[0], n=2**14, r=8, p=1, dklen=32)


def found(connection: sqlite3.Connection, customer_id: str) -> Erasure | None:
    """The newest erasure of an outside id; None where it was never erased."""
    if connection.execute("SELECT 1 FROM erased_ids LIMIT 1").fetchone() is None:
        return None
    condition = "erasure_id IN (SELECT erasure_id FROM erased_ids WHERE id_hash = ?) ORDER BY asked_at DESC, rowid DESC"
    return next(iter(erasures_where(connection, condition, (hash_of(connection, customer_id),))), None)


def erasures_where(connection: sqlite3.Connection, condition: str, values: Sequence[object]) -> list[Erasure]:
    """The erasures for which an SQL condition holds, which may end in an order."""
    query = "SELECT erasure_id, asked_at, finished_at, customer_keys, known_since, steps, receipt FROM erasures WHERE "
    return [
        Erasure(
            row[0], row[1], row[2], tuple(json.loads(row[3] or "[]")), row[4], json.loads(row[5]), json.loads(row[6])
        )
        for row in connection.execute(query + condition, tuple(values)).fetchall()
    ]


def write(connection: sqlite3.Connection, erasure: Erasure) -> None:
    """Writes how far it has come, in the caller's transaction."""
    connection.execute(
        "INSERT INTO erasures VALUES (?, ?, ?, NULL, ?, ?, ?, ?) ON CONFLICT (erasure_id) DO UPDATE SET "
        "finished_at = excluded.finished_at, steps = excluded.steps, receipt = excluded.receipt",
        (
            erasure.erasure_id,
            erasure.asked_at_us,
            erasure.finished_at_us,
            json.dumps(list(erasure.customer_keys)),
            erasure.known_since_us,
            json.dumps(erasure.steps),
            json.dumps(erasure.receipt, ensure_ascii=False),
        ),
    )
