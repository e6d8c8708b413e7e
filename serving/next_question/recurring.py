"""How often customers come back: what an answer can serve, sampled from the ledger by index."""

from __future__ import annotations

import random
import sqlite3
from datetime import datetime, timedelta

from serving.contact.windows import to_us

WINDOW = timedelta(days=30)
LOOKS_BACK = timedelta(days=180)
SAMPLED = 200  # customers; the mean of so many is known to a tenth of its spread
_MOST = 500  # decisions of one customer in the window that are counted at most

_NEXT = "SELECT customer_key FROM decisions WHERE customer_key >= ? ORDER BY customer_key LIMIT 1"
_FIRST = "SELECT min(decided_at) FROM decisions WHERE customer_key = ? AND decided_at >= ? AND decided_at < ?"
_FOLLOWING = (
    "SELECT count(*) FROM (SELECT 1 FROM decisions WHERE customer_key = ? AND decided_at > ? AND decided_at <= ? "
    f"LIMIT {_MOST})"
)


def followed_by(connection: sqlite3.Connection, *, at: datetime) -> list[int]:
    """How many more decisions some customers got within WINDOW after their first of the last half year.

    The same customers for the same ledger; only those for whom that window has passed.

    Args:
        connection: to the ledger.
        at: now.
    """
    ends = [connection.execute(f"SELECT {end}(customer_key) FROM decisions").fetchone()[0] for end in ("min", "max")]
    if None in ends:
        return []
    since, until, window_us = to_us(at - LOOKS_BACK), to_us(at - WINDOW), WINDOW // timedelta(microseconds=1)
    keys = random.Random(0)
    found: dict[int, int] = {}
    for _ in range(SAMPLED):
        (key,) = connection.execute(_NEXT, (keys.randint(*ends),)).fetchone()
        if key in found:
            continue
        (first,) = connection.execute(_FIRST, (key, since, until)).fetchone()
        if first is not None:
            (found[key],) = connection.execute(_FOLLOWING, (key, first, first + window_us)).fetchone()
    return list(found.values())
