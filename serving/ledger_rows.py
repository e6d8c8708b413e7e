"""What the ledger writes and reads: each function is one piece of work inside somebody's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from experiments.records import HOLDOUT
from features.catalogue import NOTHING
from serving.decide import Decision
from serving.values import ActionCount

CONVERTED = "converted"
FAILED = "failed"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

STATISTICS_SCHEMA = """
CREATE TABLE IF NOT EXISTS action_statistics (
    segment     TEXT NOT NULL,      -- '' where no model assigned one
    stage       TEXT NOT NULL,
    action_id   TEXT NOT NULL,
    n_decided   INTEGER NOT NULL,
    n_converted INTEGER NOT NULL,   -- decisions whose action's goal was reached, each counted once
    PRIMARY KEY (segment, stage, action_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (     -- what was answered to a decision_id that the client brought, for its retries
    decision_id  TEXT PRIMARY KEY,
    customer_key INTEGER NOT NULL,
    question     TEXT NOT NULL,     -- the request, canonical
    answer       TEXT NOT NULL
) STRICT;
"""

_DECISION_COLUMNS = (
    "decision_id, customer_key, decided_at, placement, channel, initiated_by, locale_asked, locale_used, arm, "
    "arm_probability, policy, action_id, action_probability, would_be_action_id, distribution, segment, stage, "
    "purchase_propensity, fallback_reason, record"
)
_INSERT_DECISION = (
    f"INSERT INTO decisions ({_DECISION_COLUMNS}) VALUES ({', '.join('?' * 20)}) ON CONFLICT (decision_id) DO NOTHING"
)
_OUTCOME_COLUMNS = "outcome_id, decision_id, customer_key, outcome, goal, value, joined_by, occurred_at, received_at"
_INSERT_OUTCOME = (
    f"INSERT INTO outcomes ({_OUTCOME_COLUMNS}) VALUES ({', '.join('?' * 9)}) ON CONFLICT (outcome_id) DO NOTHING"
)
_COUNT_DECISIONS = """
INSERT INTO action_statistics VALUES (?, ?, ?, ?, 0)
ON CONFLICT (segment, stage, action_id) DO UPDATE SET n_decided = n_decided + excluded.n_decided
"""
_COUNT_CONVERSION = """
INSERT INTO action_statistics VALUES (?, ?, ?, 0, 1)
ON CONFLICT (segment, stage, action_id) DO UPDATE SET n_converted = n_converted + 1
"""


def microseconds(instant: datetime) -> int:
    """Microseconds since the epoch, exact."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a client's own decision_id was answered with, so that a retry gets the same."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A decision ready to be written; the answer is kept only for a client who may retry."""

    decision: Decision
    locale_used: str | None
    kept: KeptAnswer | None = None


def write_decision(connection: sqlite3.Connection, row: DecisionRow) -> KeptAnswer | None:
    """Writes one decision and counts it.

    Returns:
        None, or what this decision_id was answered with before: then nothing was written.
    """
    if connection.execute(_INSERT_DECISION, _columns(row)).rowcount == 0:
        return kept_answer(connection, row.decision.situation.decision_id) or KeptAnswer("", "")
    if row.kept is not None:
        identified = (row.decision.situation.decision_id, row.decision.situation.customer_key)
        connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?)", (*identified, row.kept.question, row.kept.answer))
    if not row.decision.is_holdout:
        connection.execute(_COUNT_DECISIONS, (*_cell(row.decision), 1))
    return None


def write_decisions(connection: sqlite3.Connection, rows: Sequence[DecisionRow]) -> None:
    """Writes many new decisions at once and counts them."""
    connection.executemany(_INSERT_DECISION, (_columns(row) for row in rows))
    counts: dict[tuple[str, str, str], int] = {}
    for row in rows:
        if not row.decision.is_holdout:
            cell = _cell(row.decision)
            counts[cell] = counts.get(cell, 0) + 1
    connection.executemany(_COUNT_DECISIONS, ((*cell, n) for cell, n in counts.items()))


def _cell(decision: Decision) -> tuple[str, str, str]:
    return decision.scores.segment or "", decision.scores.stage, decision.action_id


def _columns(row: DecisionRow) -> tuple[object, ...]:
    decision, situation = row.decision, row.decision.situation
    return (
        situation.decision_id,
        situation.customer_key,
        microseconds(situation.decided_at),
        situation.placement,
        situation.channel,
        situation.initiated_by,
        situation.locale_asked,
        row.locale_used,
        decision.assignment.arm,
        decision.assignment.arm_probability,
        decision.policy_name,
        decision.action_id,
        decision.action_probability,
        decision.would_be_action_id,
        json.dumps(decision.distribution.as_dict(), sort_keys=True),
        decision.scores.segment,
        decision.scores.stage,
        decision.scores.purchase_propensity,
        decision.fallback_reason,
        decision.record(),
    )


def kept_answer(connection: sqlite3.Connection, decision_id: str) -> KeptAnswer | None:
    """What a client's own decision_id was answered with, or None where it is new."""
    row = connection.execute("SELECT question, answer FROM answers WHERE decision_id = ?", (decision_id,)).fetchone()
    return None if row is None else KeptAnswer(*row)


def read_counts(connection: sqlite3.Connection) -> list[ActionCount]:
    """How often each action was taken and reached its goal, by segment and stage."""
    rows = connection.execute("SELECT segment, stage, action_id, n_decided, n_converted FROM action_statistics")
    return [ActionCount(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """A reported outcome before it has joined a decision; one of the two references is there."""

    outcome_id: str
    decision_id: str | None
    customer_key: int | None
    outcome: str
    goal: str | None
    value: float | None
    occurred_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a reported outcome."""

    outcome_id: str
    status: str  # recorded | duplicate
    decision_id: str | None
    joined_by: str  # decision_id | attribution_window | none


class UnknownDecisions(LookupError):
    """Outcomes that name decisions which are not in the ledger; `positions` are theirs in the report."""

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__(positions)
        self.positions = tuple(positions)


@dataclass(frozen=True, slots=True)
class _Joined:
    decision_id: str
    customer_key: int
    arm: str
    action_id: str
    segment: str
    stage: str


_DECISION = "SELECT decision_id, customer_key, arm, action_id, coalesce(segment, ''), stage FROM decisions "


def write_outcomes(
    connection: sqlite3.Connection,
    rows: Sequence[OutcomeRow],
    *,
    attribution: timedelta,
    goals_of: dict[str, str],
    default_goal: str,
) -> list[Recorded]:
    """Writes outcomes once each, joins them to decisions, and moves the counts; all of them or none.

    Args:
        connection: inside a transaction.
        rows: as reported.
        attribution: how long after a decision an outcome that names only the customer is still its.
        goals_of: the goal of each action, by id.
        default_goal: what a conversion reached where neither it nor its action says.

    Raises:
        UnknownDecisions: some name a decision that is not there; nothing was written.
    """
    joins = [_join(connection, row, attribution) for row in rows]
    unknown = [i for i, (row, joined) in enumerate(zip(rows, joins, strict=True)) if row.decision_id and not joined]
    if unknown:
        raise UnknownDecisions(unknown)
    return [
        _write_outcome(connection, row, joined, goals_of=goals_of, default_goal=default_goal)
        for row, joined in zip(rows, joins, strict=True)
    ]


def _join(connection: sqlite3.Connection, row: OutcomeRow, attribution: timedelta) -> _Joined | None:
    if row.decision_id is not None:
        found = connection.execute(_DECISION + "WHERE decision_id = ?", (row.decision_id,)).fetchone()
    else:
        until = microseconds(row.occurred_at)
        since = until - attribution // timedelta(microseconds=1)
        newest = "WHERE customer_key = ? AND decided_at BETWEEN ? AND ? ORDER BY decided_at DESC LIMIT 1"
        found = connection.execute(_DECISION + newest, (row.customer_key, since, until)).fetchone()
    return None if found is None else _Joined(*found)


def _write_outcome(
    connection: sqlite3.Connection,
    row: OutcomeRow,
    joined: _Joined | None,
    *,
    goals_of: dict[str, str],
    default_goal: str,
) -> Recorded:
    decision_id = joined.decision_id if joined else None
    action_goal = goals_of.get(joined.action_id, default_goal) if joined else default_goal
    goal = (row.goal or action_goal) if row.outcome == CONVERTED else None
    joined_by = "none" if joined is None else "decision_id" if row.decision_id else "attribution_window"
    values = (
        row.outcome_id,
        decision_id,
        joined.customer_key if joined else row.customer_key,
        row.outcome,
        goal,
        row.value,
        joined_by,
        microseconds(row.occurred_at),
        microseconds(row.received_at),
    )
    is_first = joined is not None and not _was_reported(connection, joined.decision_id, row.outcome, goal)
    if connection.execute(_INSERT_OUTCOME, values).rowcount == 0:
        return _as_recorded_before(connection, row.outcome_id)
    if joined is not None and is_first and joined.arm != HOLDOUT:
        _count(connection, joined, outcome=row.outcome, reached=goal == action_goal)
    return Recorded(row.outcome_id, "recorded", decision_id, joined_by)


def _was_reported(connection: sqlite3.Connection, decision_id: str, outcome: str, goal: str | None) -> bool:
    query = "SELECT 1 FROM outcomes WHERE decision_id = ? AND outcome = ? AND goal IS ? LIMIT 1"
    return connection.execute(query, (decision_id, outcome, goal)).fetchone() is not None


def _as_recorded_before(connection: sqlite3.Connection, outcome_id: str) -> Recorded:
    query = "SELECT decision_id, joined_by FROM outcomes WHERE outcome_id = ?"
    decision_id, joined_by = connection.execute(query, (outcome_id,)).fetchone()
    return Recorded(outcome_id, "duplicate", decision_id, joined_by)


def _count(connection: sqlite3.Connection, joined: _Joined, *, outcome: str, reached: bool) -> None:
    """A goal reached is a success; a message that failed to be delivered was never an attempt."""
    cell = (joined.segment, joined.stage, joined.action_id)
    if outcome == CONVERTED and reached:
        connection.execute(_COUNT_CONVERSION, cell)
    elif outcome == FAILED and joined.action_id != NOTHING:
        connection.execute(_COUNT_DECISIONS, (*cell, -1))


def outcomes_of(connection: sqlite3.Connection, decision_id: str) -> list[tuple[str, str | None, float | None, int]]:
    """Outcome, goal, value and `occurred_at` (µs) of one decision, oldest first."""
    query = "SELECT outcome, goal, value, occurred_at FROM outcomes WHERE decision_id = ? ORDER BY occurred_at"
    return connection.execute(query, (decision_id,)).fetchall()


def recorded_decision(connection: sqlite3.Connection, decision_id: str) -> str | None:
    """The decision's canonical JSON, or None where there is none."""
    row = connection.execute("SELECT record FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    return None if row is None else str(row[0])


def recent_decisions(connection: sqlite3.Connection, customer_key: int) -> list[tuple[str, int, str, str, str, str]]:
    """Id, `decided_at` (µs), placement, channel, arm and action of a customer's last ten decisions, newest first."""
    query = (
        "SELECT decision_id, decided_at, placement, channel, arm, action_id FROM decisions "
        "WHERE customer_key = ? ORDER BY decided_at DESC LIMIT 10"
    )
    return connection.execute(query, (customer_key,)).fetchall()
