"""Calls that could not be taken, in the workspace's database: as they were sent, with the reason, until replayed."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from features.database import create_tables
from serving.ingest.calls import Context
from serving.ingest.judging import Letter
from serving.ingest.keeping import Kept

SCHEMA = """
CREATE TABLE IF NOT EXISTS dead_letters (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint  BLOB NOT NULL UNIQUE,  -- blake2b, 128 bits, of message_id and body: what is sent again is one letter
    message_id   TEXT NOT NULL,
    type         TEXT,
    user_id      TEXT,
    anonymous_id TEXT,
    previous_id  TEXT,                  -- of an alias
    reason       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    received_at  INTEGER NOT NULL,      -- microseconds since the epoch, UTC
    sent_at      INTEGER,               -- of its request, by the client's clock
    body         BLOB NOT NULL,         -- as it was sent; it may not even be UTF-8
    context      BLOB                   -- of its batch, as JSON, for a body that has none of its own
) STRICT;
CREATE INDEX IF NOT EXISTS dead_letters_of_user ON dead_letters (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS dead_letters_of_device ON dead_letters (anonymous_id) WHERE anonymous_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS dead_letters_of_previous ON dead_letters (previous_id) WHERE previous_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS dead_letters_by_age ON dead_letters (received_at);
"""
LARGEST_CONTEXT = 4_096  # bytes; a larger one is not kept: it would be, with each letter of its batch
_WRITTEN = "message_id, type, user_id, anonymous_id, previous_id, reason, detail, received_at, sent_at, body, context"
_COLUMNS = f"number, {_WRITTEN}"
_INSERT = (
    f"INSERT INTO dead_letters (fingerprint, {_WRITTEN}) VALUES (?{', ?' * len(_WRITTEN.split(', '))}) "
    "ON CONFLICT (fingerprint) DO NOTHING"
)


class DeadLetter(NamedTuple):
    """One row."""

    number: int
    message_id: str
    type: str | None
    user_id: str | None
    anonymous_id: str | None
    previous_id: str | None
    reason: str
    detail: str
    received_at_us: int
    sent_at_us: int | None
    body: bytes
    context: bytes | None


class DeadLetters:
    """The table, over one connection; inside somebody's transaction its writes stand or fall with theirs."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'dead_letters'").fetchone():
            create_tables(connection, SCHEMA)

    def add(self, letters: Sequence[Letter]) -> None:
        """Writes calls that could not be taken; one that was sent before stays as it is."""
        contexts: dict[int, bytes | None] = {}  # of one batch, and there may be thousands of letters in it
        for letter in letters:
            if id(letter.context) not in contexts:
                contexts[id(letter.context)] = _as_kept(letter.context)
            self._connection.execute(
                _INSERT,
                (
                    _fingerprint(letter.message_id, letter.raw),
                    letter.message_id,
                    letter.type,
                    letter.user_id,
                    letter.anonymous_id,
                    letter.previous_id,
                    letter.verdict.reason,
                    letter.verdict.detail,
                    letter.arrived_us,
                    letter.sent_us,
                    letter.raw,
                    contexts[id(letter.context)],
                ),
            )

    def prune(self, kept: Kept, *, now_us: int) -> int:
        """Removes the oldest, beyond what is kept; gives how many."""
        oldest = "SELECT received_at, number FROM dead_letters ORDER BY received_at DESC, number DESC LIMIT 1 OFFSET ?"
        gone = "DELETE FROM dead_letters WHERE (received_at, number) <= (?, ?)"
        last = self._connection.execute(oldest, (kept.most,)).fetchone() or (0, 0)
        return self._connection.execute(gone, max(last, (now_us - kept.past_us, 0))).rowcount

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


def prune_letters(connection: sqlite3.Connection, *, kept: Kept, now_us: int) -> int:
    """The ledger's work: removes what is not kept any more."""
    return DeadLetters(connection).prune(kept, now_us=now_us)


def _fingerprint(message_id: str, body: bytes) -> bytes:
    fingerprint = blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=16)
    fingerprint.update(b"\0")
    fingerprint.update(body)
    return fingerprint.digest()


def _as_kept(context: Context | None) -> bytes | None:
    encoded = None if context is None else msgspec.json.encode(context)
    return encoded if encoded is not None and len(encoded) <= LARGEST_CONTEXT else None
