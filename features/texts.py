"""What customers said in their own words: rows of the workspace's database, never of the lake.

A text may name anybody and anything, so that it stands in the one table from which it can be deleted at once. Every
statement is kept until it is erased or its purpose is withdrawn; the newest of a trait is what counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS texts (
    customer_key    INTEGER NOT NULL,
    trait           TEXT NOT NULL,
    event_id        TEXT NOT NULL,
    value           TEXT,              -- null: what was said before is taken back
    said_at         INTEGER NOT NULL,  -- microseconds since the epoch, UTC
    received_at     INTEGER NOT NULL,
    purpose         TEXT,              -- as the event said; null: the trait's own
    question        TEXT,
    channel         TEXT,
    notice_version  TEXT,
    locale_shown    TEXT,
    conversation_id TEXT,
    step            TEXT,
    PRIMARY KEY (customer_key, trait, event_id)
) STRICT, WITHOUT ROWID;
"""

_COLUMNS = (
    "customer_key, trait, event_id, value, said_at, received_at, purpose, question, channel, notice_version, "
    "locale_shown, conversation_id, step"
)
_INSERT = f"INSERT INTO texts ({_COLUMNS}) VALUES ({', '.join('?' * 13)}) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Text:
    """One statement in a customer's own words; a missing value takes back what was said before."""

    customer_key: int
    trait: str
    event_id: str
    value: str | None
    said_at_us: int
    received_at_us: int
    purpose: str | None
    question: str | None
    channel: str | None
    notice_version: str | None
    locale_shown: str | None
    conversation_id: str | None
    step: str | None


def create_texts(connection: sqlite3.Connection) -> None:
    """Makes the table where it is missing; inside somebody's transaction it commits nothing."""
    if not has_texts(connection):
        connection.execute(SCHEMA)


def has_texts(connection: sqlite3.Connection) -> bool:
    """Whether the table is there."""
    return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'texts'").fetchone())


def write_text(
    connection: sqlite3.Connection,
    *,
    customer_key: int,
    trait: str,
    value: str | None,
    event_id: str,
    said_at_us: int,
    received_at_us: int | None = None,
    purpose: str | None = None,
    question: str | None = None,
    channel: str | None = None,
    notice_version: str | None = None,
    locale_shown: str | None = None,
    conversation_id: str | None = None,
    step: str | None = None,
) -> None:
    """Writes one statement inside the caller's transaction; one that is there already stays as it is.

    Args:
        connection: of the ledger's work; committing is its caller's.
        customer_key: who said it.
        trait: of type text.
        value: what was said; None takes back what was said before.
        event_id: of the event that brought it.
        said_at_us: when it was said, µs since the epoch.
        received_at_us: when it arrived; `said_at_us` where it does not say.
        purpose: what it was given for; the trait's own where it does not say.
        question: as it was put.
        channel: where it was said.
        notice_version: of the privacy notice that was shown.
        locale_shown: in which language the question was shown.
        conversation_id: in which conversation.
        step: at which step of it.
    """
    create_texts(connection)
    received_at_us = said_at_us if received_at_us is None else received_at_us
    evidence = (purpose, question, channel, notice_version, locale_shown, conversation_id, step)
    connection.execute(_INSERT, (int(customer_key), trait, event_id, value, said_at_us, received_at_us, *evidence))


def texts_of(connection: sqlite3.Connection, customer_keys: Sequence[int]) -> list[Text]:
    """Every statement of these keys, oldest first."""
    if not customer_keys or not has_texts(connection):
        return []
    marks = ", ".join("?" * len(customer_keys))
    query = f"SELECT {_COLUMNS} FROM texts WHERE customer_key IN ({marks}) ORDER BY said_at, received_at, event_id"
    return [Text(*row) for row in connection.execute(query, tuple(map(int, customer_keys)))]
