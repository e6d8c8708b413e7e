"""Outcomes as rows of the ledger: written once each, joined to their decision, counted for the rates.

UnknownDecisions (CallersMistake)    outcomes that name decisions which are not in the ledger
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from experiments.records import HOLDOUT
from features.catalogue import NOTHING
from features.erased_rows import is_erased_decision
from features.faults import CallersMistake
from features.merges import PERSONS
from serving.ledger_rows import COUNT_DECISIONS, DAY_US, microseconds

CONVERTED = "converted"
FAILED = "failed"
ERASED = "erased"

_OUTCOME_COLUMNS = "outcome_id, decision_id, customer_key, outcome, goal, value, joined_by, occurred_at, received_at"
_INSERT_OUTCOME = (
    f"INSERT INTO outcomes ({_OUTCOME_COLUMNS}) VALUES ({', '.join('?' * 9)}) ON CONFLICT (outcome_id) DO NOTHING"
)
_COUNT_CONVERSION = """
INSERT INTO action_statistics VALUES (?, ?, ?, ?, 0, 1)
ON CONFLICT (segment, stage, action_id, decided_day) DO UPDATE SET n_converted = n_converted + 1
"""


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
    status: str  # recorded | duplicate | erased
    decision_id: str | None
    joined_by: str  # decision_id | attribution_window | none


class UnknownDecisions(CallersMistake):
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
    decided_at: int  # µs


_COLUMNS = "SELECT decision_id, customer_key, arm, action_id, coalesce(segment, ''), stage, decided_at FROM "
_NEWEST_DECISION = f"""
{PERSONS} {_COLUMNS} person CROSS JOIN decisions ON customer_key = part WHERE decided_at BETWEEN ? AND ?
ORDER BY decided_at DESC LIMIT 1
"""  # of any key of that person


def write_outcomes(
    connection: sqlite3.Connection,
    rows: Sequence[OutcomeRow],
    *,
    attribution: timedelta,
    goals_of: Mapping[str, str],
    default_goal: str,
) -> list[Recorded]:
    """Writes outcomes once each, joins them to decisions, and moves the counts; all of them or none.

    Args:
        connection: inside a transaction.
        rows: as reported.
        attribution: how long after a decision an outcome that names only the customer is still its, and how long one
            that names the decision counts for it; a row is written either way.
        goals_of: the goal of each action, by id.
        default_goal: what a conversion reached that does not say; never the action's, which depends on the arm.

    Raises:
        UnknownDecisions: some name a decision that is not there; nothing was written.
    """
    joins = [_join(connection, row, attribution) for row in rows]
    nameless = [i for i, (row, joined) in enumerate(zip(rows, joins, strict=True)) if row.decision_id and not joined]
    erased = {i for i in nameless if is_erased_decision(connection, rows[i].decision_id or "")}
    unknown = [i for i in nameless if i not in erased]
    if unknown:
        raise UnknownDecisions(unknown)
    return [
        Recorded(row.outcome_id, ERASED, None, "none")  # its customer was: there is nobody to write it of
        if i in erased
        else _write_outcome(
            connection, row, joined, attribution=attribution, goals_of=goals_of, default_goal=default_goal
        )
        for i, (row, joined) in enumerate(zip(rows, joins, strict=True))
    ]


def _join(connection: sqlite3.Connection, row: OutcomeRow, attribution: timedelta) -> _Joined | None:
    if row.decision_id is not None:
        found = connection.execute(_COLUMNS + "decisions WHERE decision_id = ?", (row.decision_id,)).fetchone()
    else:
        until = microseconds(row.occurred_at)
        since = until - attribution // timedelta(microseconds=1)
        person = json.dumps([row.customer_key])
        found = connection.execute(_NEWEST_DECISION, (person, since, until)).fetchone()
    return None if found is None else _Joined(*found)


def _write_outcome(
    connection: sqlite3.Connection,
    row: OutcomeRow,
    joined: _Joined | None,
    *,
    attribution: timedelta,
    goals_of: Mapping[str, str],
    default_goal: str,
) -> Recorded:
    decision_id = joined.decision_id if joined else None
    action_goal = goals_of.get(joined.action_id, default_goal) if joined else default_goal
    goal = (row.goal or default_goal) if row.outcome == CONVERTED else None
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
    is_first = joined is not None and not _was_counted(connection, joined, row.outcome, goal, attribution)
    if connection.execute(_INSERT_OUTCOME, values).rowcount == 0:
        return _as_recorded_before(connection, row.outcome_id)
    if joined is not None and is_first and joined.arm != HOLDOUT and _is_in_time(row, joined, attribution):
        _count(connection, joined, outcome=row.outcome, reached=goal == action_goal)
    return Recorded(row.outcome_id, "recorded", decision_id, joined_by)


def _last_instant(joined: _Joined, attribution: timedelta) -> int:
    return joined.decided_at + attribution // timedelta(microseconds=1)


def _is_in_time(row: OutcomeRow, joined: _Joined, attribution: timedelta) -> bool:
    return joined.decided_at <= microseconds(row.occurred_at) <= _last_instant(joined, attribution)


def _was_counted(
    connection: sqlite3.Connection, joined: _Joined, outcome: str, goal: str | None, attribution: timedelta
) -> bool:
    query = (
        "SELECT 1 FROM outcomes WHERE decision_id = ? AND outcome = ? AND goal IS ? AND occurred_at BETWEEN ? AND ? "
        "LIMIT 1"
    )
    within = (joined.decided_at, _last_instant(joined, attribution))
    return connection.execute(query, (joined.decision_id, outcome, goal, *within)).fetchone() is not None


def _as_recorded_before(connection: sqlite3.Connection, outcome_id: str) -> Recorded:
    query = "SELECT decision_id, joined_by FROM outcomes WHERE outcome_id = ?"
    decision_id, joined_by = connection.execute(query, (outcome_id,)).fetchone()
    return Recorded(outcome_id, "duplicate", decision_id, joined_by)


def _count(connection: sqlite3.Connection, joined: _Joined, *, outcome: str, reached: bool) -> None:
    """A goal reached is a success; a message that failed to be delivered was never an attempt."""
    cell = (joined.segment, joined.stage, joined.action_id, joined.decided_at // DAY_US)
    if outcome == CONVERTED and reached:
        connection.execute(_COUNT_CONVERSION, cell)
    elif outcome == FAILED and joined.action_id != NOTHING:
        connection.execute(COUNT_DECISIONS, (*cell, -1))
