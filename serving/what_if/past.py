"""The decisions of the past days, each with what it was made from and what it earned."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from experiments.earnings import Conversion as Conversion
from features.faults import CallersMistake
from serving.ledger_rows import microseconds
from serving.outcome_rows import CONVERTED
from serving.replaying.recreating import Recorded

_SPAN = re.compile(r"([0-9]{1,4})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Past:
    """One decision of the past.

    Attributes:
        conversions: those that joined it and lie inside its window.
        is_closed: whether its attribution window is over.
    """

    recorded: Recorded
    conversions: tuple[Conversion, ...]
    is_closed: bool


def span_of(said: str) -> timedelta:
    """How long `30d`, `48h` or `4w` is.

    Raises:
        CallersMistake: it is none of these.
    """
    found = _SPAN.fullmatch(said.strip())
    if found is None or int(found[1]) == 0:
        raise CallersMistake(f"Asked about the last '{said}'. Say a number of hours, days or weeks: 48h, 30d, 4w.")
    return timedelta(hours=int(found[1]) * _HOURS[found[2]])


def newest_decision(connection: sqlite3.Connection) -> int | None:
    """When the newest decision was made, µs since the epoch; None before the first."""
    has_ledger = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'decisions'").fetchone()
    row = connection.execute("SELECT max(decided_at) FROM decisions").fetchone() if has_ledger else None
    return None if row is None else row[0]


def past_decisions(
    connection: sqlite3.Connection, *, since: datetime, until: datetime, window: timedelta
) -> Iterator[list[Past]]:
    """Those of `[since, until)`, oldest first, some at once.

    Args:
        connection: to read with.
        since: from then on.
        until: also where one stands: a window that ends later is open.
        window: the attribution window.
    """
    query = (
        "SELECT decision_id, decided_at, record, inputs FROM decisions WHERE decided_at >= ? AND decided_at < ? "
        "ORDER BY decided_at, decision_id"
    )
    rows = connection.execute(query, (microseconds(since), microseconds(until)))
    closed_before = microseconds(until - window)
    while chunk := rows.fetchmany(AT_ONCE):
        conversions = _conversions(connection, [row[0] for row in chunk], window=window)
        yield [
            Past(
                Recorded(decision_id, record, json.loads(record), inputs),
                tuple(conversions.get(decision_id, ())),
                decided_at < closed_before,
            )
            for decision_id, decided_at, record, inputs in chunk
        ]


def _conversions(
    connection: sqlite3.Connection, decision_ids: list[str], *, window: timedelta
) -> dict[str, list[Conversion]]:
    query = (
        "SELECT decision_id, goal, value FROM outcomes JOIN decisions USING (decision_id) "
        f"WHERE decision_id IN (SELECT value FROM json_each(?)) AND outcome = '{CONVERTED}' "
        "AND coalesce(is_late, 0) = 0 AND coalesce(is_machine, 0) = 0 "
        "AND occurred_at BETWEEN decided_at AND decided_at + ?"
    )
    found: dict[str, list[Conversion]] = {}
    window_us = window // timedelta(microseconds=1)
    for decision_id, goal, value in connection.execute(query, (json.dumps(decision_ids), window_us)):
        found.setdefault(decision_id, []).append(Conversion(goal or "", value))
    return found
