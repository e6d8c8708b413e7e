"""Decisions as rows of the ledger: each function is one piece of work inside somebody's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from experiments.intents import count_unknown_intent
from features.database import insert_rows
from features.merges import PERSONS
from serving.decide import Decision
from serving.values import ActionCount

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

STATISTICS_SCHEMA = """
CREATE TABLE IF NOT EXISTS action_statistics (
    segment     TEXT NOT NULL,      -- '' where no model assigned one
    stage       TEXT NOT NULL,
    action_id   TEXT NOT NULL,
    decided_day INTEGER NOT NULL,   -- days since the epoch, UTC; 0 = folded together, all of them mature
    n_decided   INTEGER NOT NULL,
    n_converted INTEGER NOT NULL,   -- decisions whose action's goal was reached, each counted once
    PRIMARY KEY (segment, stage, action_id, decided_day)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (     -- what was answered to a decision_id that the client brought, for its retries
    decision_id     TEXT PRIMARY KEY,
    customer_key    INTEGER NOT NULL,
    question_sha256 TEXT NOT NULL,  -- of the request, canonical: what the customer wrote is not kept
    answer          TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS answers_of_customer ON answers (customer_key);
"""

_DECISION_COLUMNS = (
    "decision_id, customer_key, decided_at, placement, channel, initiated_by, locale_asked, locale_used, arm, "
    "arm_probability, policy, action_id, action_probability, would_be_action_id, distribution, segment, stage, "
    "purchase_propensity, fallback_reason, record, inputs, experiment, holdout_rate, slots, is_deferred"
)
_INSERT_DECISIONS = f"INSERT INTO decisions ({_DECISION_COLUMNS}) VALUES"
COUNT_DECISIONS = """
INSERT INTO action_statistics VALUES (?, ?, ?, ?, ?, 0)
ON CONFLICT (segment, stage, action_id, decided_day) DO UPDATE SET n_decided = n_decided + excluded.n_decided
"""
_COUNT_DECISIONS = "INSERT INTO action_statistics VALUES"
_ADD_DECISIONS = """
ON CONFLICT (segment, stage, action_id, decided_day) DO UPDATE SET n_decided = n_decided + excluded.n_decided
"""
_COUNT_AGAIN = """
INSERT INTO action_statistics
SELECT coalesce(segment, ''), stage, ?2, decided_at / 86400000000, ?3, 0 FROM decisions WHERE decision_id = ?1
ON CONFLICT (segment, stage, action_id, decided_day) DO UPDATE SET n_decided = n_decided + excluded.n_decided
"""
_READ_COUNTS = """
SELECT segment, stage, action_id,
       sum(n_decided * min(1.0, max(0.0, (:now - decided_day - 0.5) / :window))), sum(n_converted)
FROM action_statistics GROUP BY segment, stage, action_id
"""
_FOLD = """
INSERT INTO action_statistics
SELECT segment, stage, action_id, 0, sum(n_decided), sum(n_converted) FROM action_statistics
WHERE decided_day > 0 AND decided_day < ? GROUP BY segment, stage, action_id
ON CONFLICT (segment, stage, action_id, decided_day)
DO UPDATE SET n_decided = n_decided + excluded.n_decided, n_converted = n_converted + excluded.n_converted
"""
_FORGET_FOLDED = "DELETE FROM action_statistics WHERE decided_day > 0 AND decided_day < ?"
DAY_US = 86_400_000_000


def microseconds(instant: datetime) -> int:
    """Microseconds since the epoch, exact."""
    return (instant - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a client's own decision_id was answered with, so that a retry gets the same."""

    question_sha256: str
    answer: str


def write_decision(connection: sqlite3.Connection, decision: Decision) -> None:
    """Writes one new decision and counts it.

    Raises:
        sqlite3.IntegrityError: there is one of that id.
    """
    write_decisions(connection, [decision])


def write_decisions(connection: sqlite3.Connection, decisions: Sequence[Decision]) -> None:
    """Writes many new decisions at once and counts them."""
    insert_rows(connection, _INSERT_DECISIONS, [_columns(decision) for decision in decisions])
    counts = Counter([cell for decision in decisions for cell in _cells(decision)])
    rows = [(*cell, n, 0) for cell, n in counts.items()]
    insert_rows(connection, _COUNT_DECISIONS, rows, _ADD_DECISIONS)
    for decision in decisions:
        if (intent := decision.prepared.unknown_intent) is not None:
            situation = decision.situation
            count_unknown_intent(connection, intent, placement=situation.placement, at=situation.decided_at)


def _cells(decision: Decision) -> list[tuple[str, str, str, int]]:
    """What the rates count of a decision: every action of its list; silence where it says nothing at all."""
    if decision.is_holdout:
        return []
    scores, day = decision.scores, microseconds(decision.situation.decided_at) // DAY_US
    segment, slots = scores.segment or "", decision.slots
    if len(slots) > 1:
        slots = decision.said or slots
    return [(segment, scores.stage, slot.action_id, day) for slot in slots]


def count_again(connection: sqlite3.Connection, decision_id: str, action_id: str, n: int) -> None:
    """Takes back (-1) that one action of a decision was tried, where nobody can have seen it, or counts it (1)."""
    connection.execute(_COUNT_AGAIN, (decision_id, action_id, n))


def _columns(decision: Decision) -> tuple[object, ...]:
    prepared, first = decision.prepared, decision.slots[0]
    situation, assignment, scores = prepared.situation, prepared.assignment, prepared.scores
    record, distribution = decision.written()
    return (
        situation.decision_id,
        situation.customer_key,
        microseconds(situation.decided_at),
        situation.placement,
        decision.channel,
        situation.initiated_by,
        situation.locale_asked,
        decision.locale_used,
        assignment.arm,
        assignment.arm_probability,
        decision.policy_name,
        first.action_id,
        first.slot_probability,
        decision.would_be_action_id,
        distribution,
        scores.segment,
        scores.stage,
        scores.purchase_propensity,
        decision.fallback_reason,
        record,
        prepared.inputs,
        assignment.experiment,
        assignment.holdout_rate,
        _slots(decision),
        int(prepared.is_deferred),
    )


def _slots(decision: Decision) -> str | None:
    """What each slot of a ranked set says; None where only one action was asked for."""
    if len(decision.prepared.draws) == 1:
        return None
    return json.dumps([{"action_id": slot.action_id, "channel": slot.channel} for slot in decision.said])


def kept_answer(connection: sqlite3.Connection, decision_id: str) -> KeptAnswer | None:
    """What a client's own decision_id was answered with, or None where it is new."""
    query = "SELECT question_sha256, answer FROM answers WHERE decision_id = ?"
    row = connection.execute(query, (decision_id,)).fetchone()
    return None if row is None else KeptAnswer(*row)


def read_counts(connection: sqlite3.Connection, *, at: datetime, window: timedelta) -> list[ActionCount]:
    """How often each action was taken and reached its goal, by segment and stage.

    A decision counts by the share of its attribution window that has passed: one of an hour ago that has not converted
    says nothing yet, and counting it whole would make every new action look worthless until its outcomes can arrive.

    Args:
        connection: to read with.
        at: now.
        window: the attribution window.
    """
    days = {"now": microseconds(at) / DAY_US, "window": window / timedelta(days=1)}
    return [ActionCount(*row) for row in connection.execute(_READ_COUNTS, days)]


def fold_mature(connection: sqlite3.Connection, *, at: datetime, window: timedelta) -> None:
    """Adds up the days whose windows have closed, so that the table stays as small as the last window."""
    before_day = (microseconds(at - window) // DAY_US) - 1
    connection.execute(_FOLD, (before_day,))
    connection.execute(_FORGET_FOLDED, (before_day,))


def recorded_decision(connection: sqlite3.Connection, decision_id: str) -> str | None:
    """The decision's canonical JSON, or None where there is none."""
    row = connection.execute("SELECT record FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    return None if row is None else str(row[0])


def recent_decisions(connection: sqlite3.Connection, customer_key: int) -> list[tuple[str, int, str, str, str, str]]:
    """Id, `decided_at` (µs), placement, channel, arm and action of a person's last ten decisions, newest first."""
    query = (
        f"{PERSONS} SELECT decision_id, decided_at, placement, channel, arm, action_id "
        "FROM person CROSS JOIN decisions ON customer_key = part ORDER BY decided_at DESC LIMIT 10"
    )
    return connection.execute(query, (json.dumps([customer_key]),)).fetchall()
