"""What becomes of what decisions took: seen, pressed, refused or given back, in the transactions of the ledger."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from features.database import insert_rows
from serving.contact import coupons
from serving.contact.facts import POOL
from serving.contact.rules import NEVER
from serving.contact.windows import to_us
from serving.exploration import count_exposures
from serving.ledger_rows import count_again

FAILED, UNEXPOSED = "failed", "unexposed"
RELEASED_TOGETHER = 50  # by one decision in passing; the rules count what is over as released by themselves
USE = "INSERT INTO budget_use VALUES"
ADD_USE = """
ON CONFLICT (budget, period) DO UPDATE SET units = units + excluded.units, amount = amount + excluded.amount
"""

_LET_GO = "DELETE FROM budget_holds WHERE budget = ? AND period = ? AND until = ? AND decision_id = ? AND slot = ?"
_ROWS = (
    "SELECT decision_id, slot, customer_key, action_id, channel, exposed_at, open_until, released_why, charges, "
    "coupon_pool, coupon_code FROM contacts WHERE "
)
_EXPOSE = """
UPDATE contacts SET exposed_at = ?3, open_until = NULL, released_why = NULL, is_over_cap = max(is_over_cap, ?4),
                    latest_at = max(latest_at, ?3)
WHERE decision_id = ?1 AND slot = ?2
"""
_RELEASE = """
UPDATE contacts SET exposed_at = NULL, open_until = NULL, released_why = ? WHERE decision_id = ? AND slot = ?
"""
_FAIL_UNEXPOSED = """
UPDATE contacts SET released_why = 'failed' WHERE decision_id = ? AND slot = ? AND released_why = 'unexposed'
"""
_REFUSE = """
INSERT INTO refusals VALUES (?1, ?2, ?3, ?4) ON CONFLICT (customer_key, action_id) DO UPDATE SET
    refused_at = CASE WHEN reason = excluded.reason THEN max(refused_at, ?4) ELSE ?4 END, reason = excluded.reason
WHERE reason <> 'never' OR excluded.reason = 'never'
"""
_LIMIT = """
INSERT INTO carrier_limits VALUES (?1, ?2, ?3, ?4) ON CONFLICT (customer_key, channel) DO UPDATE SET
    code = CASE WHEN ?3 > until THEN ?4 ELSE code END, until = max(until, ?3)
"""


class _Row(NamedTuple):
    decision_id: str
    slot: int
    customer_key: int
    action_id: str
    channel: str
    exposed_at: int | None
    open_until: int | None
    released_why: str | None
    charges: str | None
    pool: str | None
    code: str | None


def expose(
    connection: sqlite3.Connection, decision_id: str, *, at_us: int, slot: int | None = None
) -> list[tuple[int, bool]]:
    """Says that the customer could see a decision, or one slot of it; once exposed it stays so.

    What was released before is exposed all the same: it is flagged as over the cap, and takes its budget again.

    Args:
        connection: in a transaction.
        decision_id: of any decision; one that says nothing has nothing to expose.
        at_us: when it could be seen.
        slot: one of its list; all of them where it is left out.

    Returns:
        Each slot that is exposed now or was before, with whether it is over the cap.
    """
    for row in _rows(connection, decision_id, slot):
        if row.exposed_at is not None:
            continue
        is_late = row.released_why is not None or (row.open_until is not None and row.open_until <= at_us)
        if row.released_why is not None:
            _charge(connection, _charges(row))
            _take_again(connection, row)
        if row.released_why == UNEXPOSED:
            count_again(connection, row.decision_id, row.action_id, 1)
        _let_go(connection, row)
        connection.execute(_EXPOSE, (row.decision_id, row.slot, at_us, int(is_late)))
        count_exposures(connection, row.action_id)
    query = "SELECT slot, is_over_cap FROM contacts WHERE decision_id = ? AND slot = coalesce(?, slot)"
    return [(number, bool(is_over)) for number, is_over in connection.execute(query, (decision_id, slot))]


def release(
    connection: sqlite3.Connection, decision_id: str, *, at_us: int, why: str = FAILED, slot: int | None = None
) -> int:
    """Takes back that something was said: it failed. What it took is given back; gives how many slots that were."""
    rows = [row for row in _rows(connection, decision_id, slot) if row.released_why is None]
    for row in rows:
        _release(connection, row, why)
    return len(rows)


def is_any_due(connection: sqlite3.Connection, at: datetime) -> bool:
    """Whether a reservation is over that nobody has released yet."""
    query = "SELECT 1 FROM contacts WHERE open_until <= ? LIMIT 1"
    return connection.execute(query, (to_us(at),)).fetchone() is not None


def release_due(connection: sqlite3.Connection, at: datetime) -> int:
    """Releases reservations whose time is over, some at most, the oldest first; gives how many they were."""
    rows = connection.execute(_ROWS + "open_until <= ? ORDER BY open_until LIMIT ?", (to_us(at), RELEASED_TOGETHER))
    due = [_Row(*row) for row in rows]
    for row in due:
        _release(connection, row, UNEXPOSED)
    return len(due)


def fail_unexposed(connection: sqlite3.Connection, decision_id: str, *, slot: int) -> bool:
    """Says that what was released as unexposed has failed; gives whether it was: then no rate counts it any more."""
    return connection.execute(_FAIL_UNEXPOSED, (decision_id, slot)).rowcount > 0


def note_click(connection: sqlite3.Connection, decision_id: str, *, at_us: int, slot: int | None = None) -> None:
    """A click counts once, from the first on."""
    _note(connection, "clicked_at", decision_id, at_us, slot)


def note_conversion(connection: sqlite3.Connection, decision_id: str, *, at_us: int, slot: int | None = None) -> None:
    """A conversion counts once, from the first on."""
    _note(connection, "converted_at", decision_id, at_us, slot)


def refuse(
    connection: sqlite3.Connection, decision_id: str, *, reason: str, at_us: int, slot: int | None = None
) -> int:
    """Keeps a refusal of what a decision said, or of one slot; gives of how many actions. `never` is for ever."""
    rows = _rows(connection, decision_id, slot)
    for row in rows:
        connection.execute(_REFUSE, (row.customer_key, row.action_id, NEVER if reason == NEVER else "not_now", at_us))
    return len(rows)


def limit_carrier(connection: sqlite3.Connection, *, customer_key: int, channel: str, until_us: int, code: str) -> None:
    """Keeps what a provider said: this customer may not be written to on a channel until then."""
    connection.execute(_LIMIT, (customer_key, channel, until_us, code))


def decision_of_code(connection: sqlite3.Connection, code: str) -> list[tuple[str, int, int]]:
    """Decision, slot and customer_key of everybody to whom a coupon code was given, the newest first.

    Shops take a code in whatever case it is typed (ASCII), so the case counts only where the pool holds that very code.
    """
    query = (
        "SELECT decision_id, slot, customer_key, coupon_code = ?1 AS is_exact FROM contacts "
        "WHERE coupon_code = ?1 COLLATE NOCASE AND (coupon_code = ?1 OR NOT EXISTS "
        "(SELECT 1 FROM coupon_codes WHERE pool = coupon_pool AND code = ?1)) "
        "ORDER BY is_exact DESC, released_why IS NOT NULL, decided_at DESC"
    )
    found = connection.execute(query, (code,)).fetchall()
    return [row[:3] for row in found if row[3] == found[0][3]]


def _take_again(connection: sqlite3.Connection, row: _Row) -> None:
    """Takes the code that this customer has seen; where it was given to another since, both keep it."""
    if row.pool is None or row.code is None or coupons.take_this_code(connection, row.pool, row.code):
        return
    query = "UPDATE contacts SET coupon_pool = NULL WHERE decision_id = ? AND slot = ?"
    connection.execute(query, (row.decision_id, row.slot))


def _rows(connection: sqlite3.Connection, decision_id: str, slot: int | None) -> list[_Row]:
    rows = connection.execute(_ROWS + "decision_id = ? AND slot = coalesce(?, slot)", (decision_id, slot))
    return [_Row(*row) for row in rows]


def _note(connection: sqlite3.Connection, column: str, decision_id: str, at_us: int, slot: int | None) -> None:
    connection.execute(
        f"UPDATE contacts SET {column} = ?1, latest_at = max(latest_at, ?1) "
        f"WHERE decision_id = ?2 AND slot = coalesce(?3, slot) AND {column} IS NULL",
        (at_us, decision_id, slot),
    )


def _release(connection: sqlite3.Connection, row: _Row, why: str) -> None:
    if row.exposed_at is not None:
        count_exposures(connection, row.action_id, -1)
    if why == UNEXPOSED:  # who could not see it was not offered it; of a failure `outcome_effects` knows
        count_again(connection, row.decision_id, row.action_id, -1)
    _charge(connection, [(budget, -units, -amount, period) for budget, units, amount, period in _charges(row)])
    _let_go(connection, row)
    if row.pool is not None and row.code is not None:
        coupons.free_code(connection, row.pool, row.code)
    connection.execute(_RELEASE, (why, row.decision_id, row.slot))


def _charges(row: _Row) -> list[tuple[str, int, int, int]]:
    return [] if row.charges is None else [tuple(charge) for charge in json.loads(row.charges)]


def _charge(connection: sqlite3.Connection, charges: Sequence[tuple[str, int, int, int]]) -> None:
    rows = [(budget, period, units, amount) for budget, units, amount, period in charges if not budget.startswith(POOL)]
    insert_rows(connection, USE, rows, ADD_USE)


def _let_go(connection: sqlite3.Connection, row: _Row) -> None:
    if row.open_until is not None:
        held = [(budget, period, row.open_until, row.decision_id, row.slot) for budget, _, _, period in _charges(row)]
        connection.executemany(_LET_GO, held)
