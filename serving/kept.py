"""Answers kept for a day: who asks the same again, by an own decision_id or an Idempotency-Key, gets the same."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from features.kept_answers import KEPT_FOR
from serving.ledger_rows import kept_answer, microseconds

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


@dataclass(frozen=True, slots=True)
class Before:
    """What was decided before under a key, or under an id, of somebody who asks now.

    Attributes:
        decision_id: of the decision that is there.
        by_key: whether the Idempotency-Key found it.
        question_sha256: of its question; empty where its answer cannot be had any more, or never had one of its own.
        answer: what that was answered with.
    """

    decision_id: str
    by_key: bool = False
    question_sha256: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """By what a client would ask the same again; at least one of the two is there.

    Attributes:
        question_sha256: of the request, canonical.
        decision_ids: the client's own, one a place; none where the client brought none.
        idempotency_key: the request's header.
    """

    question_sha256: str
    decision_ids: tuple[str, ...]
    idempotency_key: str | None


def answered_before(connection: sqlite3.Connection, retry: Retry, *, at: datetime) -> Before | None:
    """What was asked before under this key, or under any of these ids; None where they are new."""
    if retry.idempotency_key is not None:
        since = microseconds(at - KEPT_FOR)
        query = "SELECT decision_id FROM idempotency_keys WHERE idempotency_key = ? AND kept_at > ?"
        row = connection.execute(query, (retry.idempotency_key, since)).fetchone()
        if row is not None:
            return _before(connection, row[0], by_key=True)
    query = "SELECT 1 FROM decisions WHERE decision_id = ?"
    for decision_id in retry.decision_ids:
        if connection.execute(query, (decision_id,)).fetchone():
            return _before(connection, decision_id)
    return None


def _before(connection: sqlite3.Connection, decision_id: str, *, by_key: bool = False) -> Before:
    kept = kept_answer(connection, decision_id)
    return Before(decision_id, by_key, kept.question_sha256, kept.answer) if kept else Before(decision_id, by_key)


def is_key_new(retry: Retry, before: Before) -> bool:
    """Whether the same was asked before, but not by this key: it stands for that question from now on."""
    is_same = before.question_sha256 == retry.question_sha256
    return is_same and not before.by_key and retry.idempotency_key is not None


def keep(
    connection: sqlite3.Connection, retry: Retry, *, decision_id: str, customer_key: int, answer: str, at: datetime
) -> None:
    """Keeps an answer for a retry, in the transaction that writes its decisions."""
    connection.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?)", (decision_id, customer_key, retry.question_sha256, answer)
    )
    keep_key(connection, retry, decision_id=decision_id, customer_key=customer_key, at=at)


def keep_key(
    connection: sqlite3.Connection, retry: Retry, *, decision_id: str, customer_key: int, at: datetime
) -> None:
    """Keeps the key of a retry, if it has one, for the answer of a decision."""
    if retry.idempotency_key is not None:
        connection.execute(
            "INSERT OR REPLACE INTO idempotency_keys VALUES (?, ?, ?, ?)",
            (retry.idempotency_key, customer_key, decision_id, microseconds(at)),
        )
