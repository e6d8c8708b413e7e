"""Answers kept for a day: who asks the same again, by an own decision_id or an Idempotency-Key, gets the same."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from features.kept_answers import KEPT_FOR
from serving.ledger_rows import KeptAnswer, kept_answer, microseconds

SCHEMA = """
CREATE TABLE IF NOT EXISTS idempotency_keys (
    idempotency_key TEXT PRIMARY KEY,
    customer_key    INTEGER NOT NULL,
    decision_id     TEXT NOT NULL,      -- whose answer was given, the first one's where there are several
    kept_at         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_keys_by_age ON idempotency_keys (kept_at);
CREATE INDEX IF NOT EXISTS idempotency_keys_of_customer ON idempotency_keys (customer_key);
"""

NOT_KEPT = KeptAnswer("", "")
"""It was decided before, and what was answered cannot be had any more."""


@dataclass(frozen=True, slots=True)
class Retry:
    """By what a client would ask the same again; at least one of the two is there.

    Attributes:
        question_sha256: of the request, canonical.
        decision_id: the client's own.
        idempotency_key: the request's header.
    """

    question_sha256: str
    decision_id: str | None
    idempotency_key: str | None


def answered_before(connection: sqlite3.Connection, retry: Retry, *, at: datetime) -> KeptAnswer | None:
    """What this question was answered with before; None where it is new; NOT_KEPT where nobody can say any more."""
    if retry.idempotency_key is not None:
        since = microseconds(at - KEPT_FOR)
        query = "SELECT decision_id FROM idempotency_keys WHERE idempotency_key = ? AND kept_at > ?"
        row = connection.execute(query, (retry.idempotency_key, since)).fetchone()
        if row is not None:
            return kept_answer(connection, row[0]) or NOT_KEPT
    if retry.decision_id is None:
        return None
    if (kept := kept_answer(connection, retry.decision_id)) is not None:
        return kept
    query = "SELECT 1 FROM decisions WHERE decision_id = ?"
    return NOT_KEPT if connection.execute(query, (retry.decision_id,)).fetchone() else None


def keep(
    connection: sqlite3.Connection, retry: Retry, *, decision_id: str, customer_key: int, answer: str, at: datetime
) -> None:
    """Keeps an answer for a retry, in the transaction that writes its decisions."""
    connection.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?)", (decision_id, customer_key, retry.question_sha256, answer)
    )
    if retry.idempotency_key is not None:
        connection.execute(
            "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?)",
            (retry.idempotency_key, customer_key, decision_id, microseconds(at)),
        )
