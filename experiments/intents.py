"""What customers wanted and the brand did not know: counted by name, day and place, with nothing about the customer.

An intent is a name that a bot gave. What does not look like one (it may be what a customer wrote) is counted without
it, and so is everything beyond MOST_NAMES different names of one place on one day.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from features.database import connect
from features.lake import instant_us

SCHEMA = """
CREATE TABLE IF NOT EXISTS unknown_intents (
    day         INTEGER NOT NULL,   -- since the epoch, UTC
    placement   TEXT NOT NULL,
    intent      TEXT NOT NULL,      -- '' where it is no name
    n_decisions INTEGER NOT NULL,
    PRIMARY KEY (day, placement, intent)
) STRICT, WITHOUT ROWID;
"""
MOST_NAMES = 200
LOOKED_BACK = timedelta(days=90)
_DAY_US = 86_400_000_000
_NAME = re.compile(r"(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9_.:-]{0,63}")  # many digits could be a telephone number
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'unknown_intents'"
_IS_KNOWN = "SELECT 1 FROM unknown_intents WHERE day = ? AND placement = ? AND intent = ?"
_HOW_MANY = "SELECT count(*) FROM unknown_intents WHERE day = ? AND placement = ?"
_COUNT = """
INSERT INTO unknown_intents VALUES (?, ?, ?, 1)
ON CONFLICT (day, placement, intent) DO UPDATE SET n_decisions = n_decisions + 1
"""
_READ = """
SELECT intent, sum(n_decisions) FROM unknown_intents WHERE day >= ? AND day <= ?
GROUP BY intent ORDER BY intent = '', sum(n_decisions) DESC, intent
"""


@dataclass(frozen=True, slots=True)
class UnknownIntent:
    """One intent that nobody had foreseen; '' stands for all that were no names."""

    intent: str
    n_decisions: int


def looks_like_a_name(intent: str) -> bool:
    """Whether it can be the name of an intent, and not what a customer wrote."""
    return _NAME.fullmatch(intent) is not None


def count_unknown_intent(connection: sqlite3.Connection, intent: str, *, placement: str, at: datetime) -> None:
    """Counts one decision; inside the transaction that writes it."""
    day = instant_us(at) // _DAY_US
    name = intent if looks_like_a_name(intent) else ""
    if name and not connection.execute(_IS_KNOWN, (day, placement, name)).fetchone():
        (n_names,) = connection.execute(_HOW_MANY, (day, placement)).fetchone()
        name = name if n_names < MOST_NAMES else ""
    connection.execute(_COUNT, (day, placement, name))


def read_unknown_intents(database: Path, *, as_of: datetime) -> tuple[UnknownIntent, ...]:
    """Those of the last LOOKED_BACK, the most frequent first; empty where there are none, or no ledger yet."""
    if not database.is_file():
        return ()
    until = instant_us(as_of) // _DAY_US
    with closing(connect(database)) as connection:
        if connection.execute(_HAS_TABLE).fetchone() is None:
            return ()
        rows = connection.execute(_READ, (until - LOOKED_BACK // timedelta(days=1), until)).fetchall()
    return tuple(UnknownIntent(*row) for row in rows)
