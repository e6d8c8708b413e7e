"""Answers kept for retries of decisions: for a day, as DESIGN says, then they go."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

from features.database import connect, transaction
from features.lake import instant_us
from features.workspace import Workspace

KEPT_FOR = timedelta(hours=24)
_AT_ONCE = 500  # a transaction: decisions come between
_OLD = (
    "SELECT a.decision_id FROM answers AS a LEFT JOIN decisions AS d USING (decision_id) "
    "WHERE coalesce(d.decided_at, 0) < ?"
)


def forget_old_answers(workspace: Workspace, *, now: datetime | None = None) -> int:
    """Removes the answers to decisions of more than a day ago; gives how many.

    As many are looked at as were kept since the last time and the day before.

    Args:
        workspace: whose ledger.
        now: the present where it is None.
    """
    if not workspace.database.is_file():
        return 0
    before = instant_us((now or datetime.now(UTC)) - KEPT_FOR)
    with closing(connect(workspace.database)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "idempotency_keys" in tables:
            with transaction(connection):
                connection.execute("DELETE FROM idempotency_keys WHERE kept_at < ?", (before,))
        if not {"answers", "decisions"} <= tables:
            return 0
        old = connection.execute(_OLD, (before,)).fetchall()
        for start in range(0, len(old), _AT_ONCE):
            with transaction(connection):
                connection.executemany("DELETE FROM answers WHERE decision_id = ?", old[start : start + _AT_ONCE])
    return len(old)
