"""Outcomes as rows of the ledger: written once each, joined to their decision, counted for the rates."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from features.erased_rows import is_erased_decision
from features.merges import PERSONS
from serving.contact.store import decision_of_code
from serving.ledger_rows import microseconds
from serving.outcome_effects import (
    CONVERTED,
    FAILED,
    Happened,
    Joined,
    apply_effects,
    evidence_of,
    is_of_a_machine,
    last_instant,
    unmark_click,
)
from serving.outcome_faults import UnknownDecisions, WrongOutcomes, by_our_clock, instant_fault, slot_fault

__all__ = ["CONVERTED", "FAILED", "OutcomeRow", "Recorded", "UnknownDecisions", "WrongOutcomes", "write_outcomes"]

ERASED = "erased"
BY_DECISION, BY_TOKEN, BY_COUPON, BY_WINDOW, BY_NOTHING = (
    "decision_id",
    "token",
    "coupon",
    "attribution_window",
    "none",
)

_OUTCOME_COLUMNS = (
    "outcome_id, decision_id, customer_key, outcome, goal, value, joined_by, occurred_at, received_at, slot, reason, "
    "retry_after_seconds, is_late, is_machine, over_cap"
)
_INSERT_OUTCOME = (
    f"INSERT INTO outcomes ({_OUTCOME_COLUMNS}) VALUES ({', '.join('?' * 15)}) ON CONFLICT (outcome_id) DO NOTHING"
)
_OVER_CAP = "UPDATE outcomes SET over_cap = 1 WHERE outcome_id = ?"


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """A reported outcome before it has joined a decision; one of the references is there.

    Attributes:
        decision_id: that it names, by itself or by a token.
        customer_key: whose it is; beside a decision, where whoever reports it knows who it was.
        slot: of the decision's list; None where it is of all of it.
        reason: of a refusal `not_now` or `never`, of a failure the provider's code.
        coupon_code: that was redeemed: it names the decision that gave it out.
        is_machine: a bot, a proxy or a scanner did it.
        is_reported: somebody reports it and can be told what is wrong with it.
        is_seen_here: our own redirect or picture saw it, at that very instant: too fast is a machine's.
    """

    outcome_id: str
    decision_id: str | None
    customer_key: int | None
    outcome: str
    goal: str | None
    value: float | None
    occurred_at: datetime
    received_at: datetime
    slot: int | None = None
    reason: str | None = None
    retry_after_seconds: float | None = None
    joined_by: str = BY_DECISION
    coupon_code: str | None = None
    is_machine: bool = False
    is_reported: bool = False
    is_seen_here: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a reported outcome."""

    outcome_id: str
    status: str  # recorded | duplicate | erased
    decision_id: str | None
    joined_by: str  # decision_id | token | coupon | attribution_window | none
    outcome: str = ""
    is_late: bool = False
    is_machine: bool = False
    over_cap: bool = False

    def as_dict(self) -> dict[str, object]:
        """As JSON types; a flag is in it only where it is up."""
        told: dict[str, object] = {
            "outcome_id": self.outcome_id,
            "status": self.status,
            "decision_id": self.decision_id,
            "joined_by": self.joined_by,
            "outcome": self.outcome,
        }
        flags = {"is_late": self.is_late, "is_machine": self.is_machine, "over_cap": self.over_cap}
        return told | {name: True for name, is_up in flags.items() if is_up}


_COLUMNS = (
    "SELECT decision_id, customer_key, arm, action_id, coalesce(segment, ''), stage, decided_at, channel, "
    "initiated_by, slots FROM "
)
_NEWEST_DECISION = f"""
{PERSONS} {_COLUMNS} person CROSS JOIN decisions ON customer_key = part WHERE decided_at BETWEEN ? AND ?
ORDER BY decided_at DESC LIMIT 1
"""  # of any key of that person
_TAKEN_UP = """
SELECT slot FROM contacts WHERE decision_id = ?1 AND (clicked_at <= ?2 OR converted_at IS NOT NULL)
ORDER BY CASE WHEN clicked_at <= ?2 THEN clicked_at END DESC, slot LIMIT 1
"""


def write_outcomes(
    connection: sqlite3.Connection,
    rows: Sequence[OutcomeRow],
    *,
    attribution: timedelta,
    goals_of: Mapping[str, str],
    default_goal: str,
) -> list[Recorded]:
    """Writes outcomes once each, joins them to decisions, and moves what they move; all of them or none.

    Args:
        connection: inside a transaction.
        rows: as reported.
        attribution: how long after a decision an outcome that names only the customer is still its, and how long one
            that names the decision counts for it; a row is written either way.
        goals_of: the goal of each action, by id.
        default_goal: what a conversion reached that does not say; never the action's, which depends on the arm.

    Raises:
        UnknownDecisions: some name a decision that is not there; nothing was written.
        WrongOutcomes: some that are reported cannot have followed their decision; nothing was written.
    """
    rows = [_resolved(connection, row) for row in rows]
    joins = [_join(connection, row, attribution) for row in rows]
    nameless = [i for i, (row, joined) in enumerate(zip(rows, joins, strict=True)) if not joined and _is_named(row)]
    erased = {i for i in nameless if is_erased_decision(connection, rows[i].decision_id or "")}
    unknown = [i for i in nameless if i not in erased]
    faults = [
        fault
        for i, (row, joined) in enumerate(zip(rows, joins, strict=True))
        if joined and row.is_reported
        for fault in (
            *slot_fault(i, row.slot, n_slots=len(joined.actions)),
            *instant_fault(i, microseconds(row.occurred_at), decided_at=joined.decided_at),
        )
    ]
    if unknown or faults:
        raise UnknownDecisions(faults, positions=unknown) if unknown else WrongOutcomes(faults)
    return [
        Recorded(row.outcome_id, ERASED, None, BY_NOTHING, row.outcome)  # its customer was: nobody to write it of
        if i in erased
        else _write_outcome(
            connection, row, joined, attribution=attribution, goals_of=goals_of, default_goal=default_goal
        )
        for i, (row, joined) in enumerate(zip(rows, joins, strict=True))
    ]


def _is_named(row: OutcomeRow) -> bool:
    """Whether it names a decision that has to be there."""
    return row.decision_id is not None or row.coupon_code is not None


def _resolved(connection: sqlite3.Connection, row: OutcomeRow) -> OutcomeRow:
    """The row with the decision that gave out its coupon code; one that names a decision by itself stays so."""
    if row.coupon_code is None or row.decision_id is not None:
        return row
    found = decision_of_code(connection, row.coupon_code)
    if not found:
        return row
    decision_id, slot, _ = found[0]
    return replace(row, decision_id=decision_id, slot=slot, joined_by=BY_COUPON)


def _join(connection: sqlite3.Connection, row: OutcomeRow, attribution: timedelta) -> Joined | None:
    if row.decision_id is not None:
        found = connection.execute(_COLUMNS + "decisions WHERE decision_id = ?", (row.decision_id,)).fetchone()
        return None if found is None else _joined(connection, row, found)
    if row.customer_key is None:
        return None
    until = microseconds(row.occurred_at)
    since = until - attribution // timedelta(microseconds=1)
    found = connection.execute(_NEWEST_DECISION, (json.dumps([row.customer_key]), since, until)).fetchone()
    if found is None:
        return None
    return replace(_joined(connection, row, found), is_exact=False)


def _joined(connection: sqlite3.Connection, row: OutcomeRow, found: Sequence[Any]) -> Joined:
    """The decision's row, which is of its first slot, as the slot that the outcome is of."""
    *columns, slots = found
    joined = Joined(*columns)
    said = json.loads(slots) if slots else []
    said = said or [{"action_id": joined.action_id, "channel": joined.channel}]
    slot = _slot(connection, row, joined.decision_id, len(said))
    slot = slot if slot is None or slot < len(said) else None
    of = said[slot or 0]
    actions = tuple(one["action_id"] for one in said)
    return replace(joined, action_id=of["action_id"], channel=of["channel"], actions=actions, slot=slot)


def _slot(connection: sqlite3.Connection, row: OutcomeRow, decision_id: str, n_slots: int) -> int | None:
    """Which action of a list it was: a conversion that does not say is of the one that was clicked last."""
    if row.slot is not None or row.outcome != CONVERTED:
        return row.slot
    if n_slots == 1:
        return 0
    found = connection.execute(_TAKEN_UP, (decision_id, microseconds(row.occurred_at))).fetchone()
    return found[0] if found else 0


def _write_outcome(
    connection: sqlite3.Connection,
    row: OutcomeRow,
    joined: Joined | None,
    *,
    attribution: timedelta,
    goals_of: Mapping[str, str],
    default_goal: str,
) -> Recorded:
    action_goal = goals_of.get(joined.action_id, default_goal) if joined else default_goal
    goal = (row.goal or default_goal) if row.outcome == CONVERTED else None
    joined_by = BY_NOTHING if joined is None else row.joined_by if joined.is_exact else BY_WINDOW
    at_us = microseconds(row.occurred_at)
    happened = Happened(
        row.outcome,
        at_us=at_us if joined is None else by_our_clock(at_us, decided_at=joined.decided_at),
        goal=goal,
        is_the_goal=goal == action_goal,
        reason=row.reason,
        retry_after_seconds=row.retry_after_seconds,
        attribution_us=attribution // timedelta(microseconds=1),
    )
    is_machine = row.is_machine or (
        row.is_seen_here and joined is not None and is_of_a_machine(connection, joined, happened, row.outcome_id)
    )
    outcome_id = f"{row.outcome_id}-m" if row.is_seen_here and is_machine else row.outcome_id
    is_late = joined is not None and not joined.decided_at <= happened.at_us <= last_instant(joined, happened)
    before = evidence_of(connection, joined, happened) if joined is not None else None
    values = (
        outcome_id,
        joined.decision_id if joined else None,
        _whose(row, joined),
        row.outcome,
        goal,
        row.value,
        joined_by,
        happened.at_us,
        microseconds(row.received_at),
        joined.slot if joined else None,
        row.reason,
        row.retry_after_seconds,
        is_late or None,
        is_machine or None,
        None,
    )
    if connection.execute(_INSERT_OUTCOME, values).rowcount == 0:
        return _as_recorded_before(connection, outcome_id)
    over_cap = False
    if is_machine and joined is not None:
        unmark_click(connection, joined, happened)
    elif joined is not None and before is not None:
        over_cap = apply_effects(connection, joined, happened, before)
    if over_cap:
        connection.execute(_OVER_CAP, (outcome_id,))
    decision_id = joined.decision_id if joined else None
    return Recorded(outcome_id, "recorded", decision_id, joined_by, row.outcome, is_late, is_machine, over_cap)


def _whose(row: OutcomeRow, joined: Joined | None) -> int | None:
    """Who did it: whoever the reporter says; else whoever the decision was for.

    A link that is passed on converts somebody else: the decision earned it, and the order is still the other's, in the
    arm that they are in.
    """
    if joined is None or (joined.is_exact and row.customer_key is not None):
        return row.customer_key
    return joined.customer_key


def _as_recorded_before(connection: sqlite3.Connection, outcome_id: str) -> Recorded:
    query = (
        "SELECT decision_id, joined_by, outcome, is_late IS 1, is_machine IS 1, over_cap IS 1 "
        "FROM outcomes WHERE outcome_id = ?"
    )
    decision_id, joined_by, outcome, *flags = connection.execute(query, (outcome_id,)).fetchone()
    return Recorded(outcome_id, "duplicate", decision_id, joined_by, outcome, *map(bool, flags))
