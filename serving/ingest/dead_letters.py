"""Calls that could not be taken, in the workspace's database: as they were sent, with the reason, until replayed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from features.database import create_tables
from serving.ingest.judging import Letter

SCHEMA = """
CREATE TABLE IF NOT EXISTS dead_letters (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id   TEXT NOT NULL UNIQUE,
    type         TEXT,
    user_id      TEXT,
    anonymous_id TEXT,
    reason       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    received_at  INTEGER NOT NULL,      -- microseconds since the epoch, UTC
    sent_at      INTEGER,               -- of its request, by the client's clock
    body         BLOB NOT NULL          -- as it was sent; it may not even be UTF-8
) STRICT;
CREATE INDEX IF NOT EXISTS dead_letters_of_user ON dead_letters (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS dead_letters_of_device ON dead_letters (anonymous_id) WHERE anonymous_id IS NOT NULL;
"""
_COLUMNS = "number, message_id, type, user_id, anonymous_id, reason, detail, received_at, sent_at, body"
_INSERT = (
    "INSERT INTO dead_letters (message_id, type, user_id, anonymous_id, reason, detail, received_at, sent_at, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING"
)


class DeadLetter(NamedTuple):
    """One row."""

    number: int
    message_id: str
    type: str | None
    user_id: str | None
    anonymous_id: str | None
    reason: str
    detail: str
    received_at_us: int
    sent_at_us: int | None
    body: bytes


class DeadLetters:
    """The table, over one connection; inside somebody's transaction its writes stand or fall with theirs."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'dead_letters'").fetchone():
            create_tables(connection, SCHEMA)

    def add(self, letters: Sequence[Letter]) -> None:
        """Writes calls that could not be taken; one that was sent before stays as it is."""
        self._connection.executemany(
            _INSERT,
            (
                (
                    letter.message_id,
                    letter.type,
                    letter.user_id,
                    letter.anonymous_id,
                    letter.verdict.reason,
                    letter.verdict.detail,
                    letter.arrived_us,
                    letter.sent_us,
                    letter.raw,
                )
                for letter in letters
            ),
        )

    def newest(self, *, reason: str | None = None, limit: int) -> list[DeadLetter]:
        """The newest first."""
        query = f"SELECT {_COLUMNS} FROM dead_letters WHERE ? IS NULL OR reason = ? ORDER BY number DESC LIMIT ?"
        return [DeadLetter(*row) for row in self._connection.execute(query, (reason, reason, limit))]

    def numbers(self, *, reason: str | None = None) -> list[int]:
        """The numbers of all of them, oldest first."""
        query = "SELECT number FROM dead_letters WHERE ? IS NULL OR reason = ? ORDER BY number"
        return [row[0] for row in self._connection.execute(query, (reason, reason))]

    def of(self, number: int) -> DeadLetter | None:
        """One of them."""
        row = self._connection.execute(f"SELECT {_COLUMNS} FROM dead_letters WHERE number = ?", (number,)).fetchone()
        return None if row is None else DeadLetter(*row)

    def remove(self, numbers: Sequence[int]) -> None:
        """Takes them off the list: they were taken after all."""
        self._connection.executemany("DELETE FROM dead_letters WHERE number = ?", ((number,) for number in numbers))

    def say_again(self, number: int, *, reason: str, detail: str) -> None:
        """Another reason, for one that was refused again."""
        self._connection.execute(
            "UPDATE dead_letters SET reason = ?, detail = ? WHERE number = ?", (reason, detail, number)
        )
