"""The log of decisions and outcomes: its tables, and how experiments read them.

The schema belongs to its readers; `serving.ledger` writes it. Instants are int64 microseconds since the epoch, UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from features import merges
from features.lake import instant_us
from features.merges import Merge, all_merges

if TYPE_CHECKING:  # half a second of every process that only writes the log, or reads who is in which arm
    import pandas as pd

PERSONALISED = "personalised"
HOLDOUT = "holdout"

Outcome = Literal[
    "sent",
    "delivered",
    "read",
    "failed",
    "opened",
    "clicked",
    "replied",
    "refused",
    "redeemed",
    "converted",
    "unsubscribed",
]

SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS decisions (
    decision_id        TEXT PRIMARY KEY,
    customer_key       INTEGER NOT NULL,
    decided_at         INTEGER NOT NULL,
    placement          TEXT NOT NULL,
    channel            TEXT NOT NULL,
    initiated_by       TEXT NOT NULL,
    locale_asked       TEXT,
    locale_used        TEXT,
    arm                TEXT NOT NULL,              -- holdout | personalised | an arm of the experiment
    arm_probability    REAL NOT NULL,              -- P(this arm) by assignment
    policy             TEXT NOT NULL,
    action_id          TEXT NOT NULL,              -- what the customer really got; 'nothing' where nothing was said
    action_probability REAL NOT NULL,              -- P(action_id | context, arm) under what really chose it
    would_be_action_id TEXT,                       -- holdout only: what the policy would have drawn
    distribution       TEXT NOT NULL,              -- JSON {action_id: probability} of the policy, 'nothing' included
    segment            TEXT,
    stage              TEXT,
    purchase_propensity REAL,                      -- over the brand's middle horizon
    fallback_reason    TEXT,
    record             TEXT NOT NULL,              -- the Decision's canonical JSON: inputs' versions, draw, reasons
    experiment         TEXT,                       -- whose arm it is; null where it is no experiment's
    holdout_rate       REAL,                       -- P(held out) at that time; null in rows from before it was kept
    slots              TEXT,                       -- JSON of a ranked set: [{action_id, channel}]; else null
    is_deferred        INTEGER,                    -- 1: reserved until its exposure is reported
    inputs             TEXT                        -- JSON, personal: what it was made from; null where withdrawn
) STRICT;
CREATE INDEX IF NOT EXISTS decisions_of_customer ON decisions (customer_key, decided_at);

CREATE TABLE IF NOT EXISTS outcomes (
    outcome_id   TEXT PRIMARY KEY,
    decision_id  TEXT,                             -- null where the outcome joined no decision
    customer_key INTEGER NOT NULL,
    outcome      TEXT NOT NULL,
    goal         TEXT,                             -- of a conversion: the brand's goal
    value        REAL,                             -- in the brand's currency, where there is one
    joined_by    TEXT NOT NULL,                    -- decision_id | token | coupon | attribution_window | none
    occurred_at  INTEGER NOT NULL,
    received_at  INTEGER NOT NULL,
    slot         INTEGER,                          -- of the decision's list; null where it is not known: the first
    reason       TEXT,                             -- of a refusal: not_now | never; of a failure: the provider's code
    retry_after_seconds REAL,                      -- of a failure: when the provider takes the next message
    is_late      INTEGER,                          -- 1: after the attribution window; kept, not counted
    is_machine   INTEGER,                          -- 1: a bot, a proxy, a link scanner; kept, not counted
    over_cap     INTEGER                           -- 1: exposed after its reservation was released, over a cap
) STRICT;
CREATE INDEX IF NOT EXISTS outcomes_of_customer ON outcomes (customer_key, occurred_at);
CREATE INDEX IF NOT EXISTS unsubscriptions ON outcomes (customer_key) WHERE outcome = 'unsubscribed';
CREATE INDEX IF NOT EXISTS outcomes_of_decision ON outcomes (decision_id);
"""
    + merges.SCHEMA
)  # whoever reads decisions and outcomes asks which customers are one

ADDED_COLUMNS = (
    ("decisions", "experiment", "TEXT"),
    ("decisions", "holdout_rate", "REAL"),
    ("decisions", "inputs", "TEXT"),
    ("decisions", "slots", "TEXT"),
    ("decisions", "is_deferred", "INTEGER"),
    ("outcomes", "slot", "INTEGER"),
    ("outcomes", "reason", "TEXT"),
    ("outcomes", "retry_after_seconds", "REAL"),
    ("outcomes", "is_late", "INTEGER"),
    ("outcomes", "is_machine", "INTEGER"),
    ("outcomes", "over_cap", "INTEGER"),
)
"""What later versions added; each may be null, and is in the rows of earlier ones."""


def add_missing_columns(connection: sqlite3.Connection) -> None:
    """Gives the tables of an earlier version the columns that were added since; harmless to do again."""
    for table, column, kind in ADDED_COLUMNS:
        if column not in _columns_of(connection, table):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")


def _columns_of(connection: sqlite3.Connection, table: str) -> set[str]:
    return {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}


def read_decisions(database: Path, *, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Every decision, one row each, `decided_at` as UTC timestamps; empty where nothing was decided yet.

    Args:
        database: the workspace's database; reading creates neither it nor its tables.
        columns: only these; every column where none is named. The JSON columns are by far the largest.
    """
    return _read(database, "decisions", columns=columns, instants=("decided_at",))


def read_outcomes(database: Path, *, columns: Sequence[str] = (), outcome: str | None = None) -> pd.DataFrame:
    """Every outcome, one row each, `occurred_at` and `received_at` as UTC timestamps.

    Args:
        database: the workspace's database; reading creates neither it nor its tables.
        columns: only these; every column where none is named.
        outcome: only this kind of outcome; every kind where none is named.
    """
    instants = ("occurred_at", "received_at")
    return _read(database, "outcomes", columns=columns, instants=instants, outcome=outcome)


def read_merges(database: Path, *, before: datetime) -> list[Merge]:
    """Which customers turned out to be one before that instant, in the order in which it was found."""
    if not database.is_file():
        return []
    with closing(sqlite3.connect(database)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'customer_merges'").fetchone():
            return []
        return [merge for merge in all_merges(connection) if merge.merged_at_us < instant_us(before)]


_ACTION_RESULTS = """
WITH said AS (
    SELECT decision_id, coalesce(place.key, 0) AS slot,
           coalesce(json_extract(place.value, '$.action_id'), action_id) AS action_id
    FROM decisions LEFT JOIN json_each(slots) AS place
    WHERE arm <> 'holdout'
), reached AS (
    SELECT decision_id, coalesce(slot, 0) AS slot,
           max(outcome IN ('clicked', 'replied')) AS engaged,
           max(outcome IN ('refused', 'unsubscribed')) AS refused,
           max(outcome = 'failed') AS failed,
           max(outcome = 'converted') AS converted,
           sum(CASE WHEN outcome = 'converted' THEN value END) AS value
    FROM outcomes
    WHERE decision_id IS NOT NULL AND outcome NOT IN ('sent', 'delivered', 'read')
      AND is_machine IS NOT 1 AND is_late IS NOT 1
    GROUP BY decision_id, coalesce(slot, 0)
)
SELECT said.action_id,
       count(*) AS n_decisions,
       coalesce(sum(r.engaged), 0) AS n_engaged,
       coalesce(sum(r.refused), 0) AS n_refused,
       coalesce(sum(r.failed), 0) AS n_failed,
       coalesce(sum(r.converted), 0) AS n_converted,
       coalesce(sum(r.value), 0.0) AS value
FROM said LEFT JOIN reached AS r USING (decision_id, slot)
GROUP BY said.action_id ORDER BY n_decisions DESC, said.action_id
"""

_DECISION_TOTALS = """
SELECT arm, count(*) AS n_decisions, count(DISTINCT customer_key) AS n_customers, min(decided_at) AS first_at,
       max(decided_at) AS last_at, count(fallback_reason) AS n_fallback
FROM decisions GROUP BY arm
"""


def read_action_results(database: Path) -> pd.DataFrame:
    """One row an action that personalised customers got: how often, and how many of those times had each outcome.

    Of a list every slot counts for itself; an outcome that does not say which is the first's. What machines did, like
    what came after the attribution window, is left out.

    Columns: action_id, n_decisions, n_engaged (clicked or replied), n_refused (refused or unsubscribed), n_failed,
    n_converted, value. Decisions of held-out customers are not in it: nobody chose their action for them.
    """
    return _query(database, _ACTION_RESULTS, instants=())


def read_decision_totals(database: Path) -> pd.DataFrame:
    """One row an arm: n_decisions, n_customers, first_at, last_at, n_fallback."""
    return _query(database, _DECISION_TOTALS, instants=("first_at", "last_at"))


def _read(
    database: Path, table: str, *, columns: Sequence[str], instants: Sequence[str], outcome: str | None = None
) -> pd.DataFrame:
    only, arguments = ("", ()) if outcome is None else (" WHERE outcome = ?", (outcome,))
    with closing(_opened(database)) as connection:
        there = _columns_of(connection, table)
        added = [column for of, column, _ in ADDED_COLUMNS if of == table and column not in there]
        asked = ", ".join(f"NULL AS {column}" if column in added else column for column in columns)
        everything = ", ".join(["*", *(f"NULL AS {column}" for column in added)])
        frame = _frame(f"SELECT {asked or everything} FROM {table}{only}", connection, arguments)
    return _with_instants(frame, instants)


def _query(database: Path, query: str, *, instants: Sequence[str]) -> pd.DataFrame:
    with closing(_opened(database)) as connection:
        _show_missing_columns(connection)
        return _with_instants(_frame(query, connection), instants)


def _frame(query: str, connection: sqlite3.Connection, arguments: tuple[str, ...] = ()) -> pd.DataFrame:
    import pandas as pd

    return pd.read_sql_query(query, connection, params=arguments)


def _show_missing_columns(connection: sqlite3.Connection) -> None:
    """To this connection alone the tables of an earlier version look as if they had today's columns, all null."""
    for table in ("decisions", "outcomes"):
        there = _columns_of(connection, table)
        missing = [f"NULL AS {column}" for of, column, _ in ADDED_COLUMNS if of == table and column not in there]
        if missing:
            connection.execute(f"CREATE TEMP VIEW {table} AS SELECT *, {', '.join(missing)} FROM main.{table}")


def _opened(database: Path) -> sqlite3.Connection:
    """The database to read from; an empty one with its tables where there is none."""
    connection = sqlite3.connect(database if _has_tables(database) else ":memory:")
    if not _is_ledger(connection):
        connection.executescript(SCHEMA)
    return connection


def _with_instants(frame: pd.DataFrame, instants: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    for column in set(instants) & set(frame.columns):
        frame[column] = pd.to_datetime(frame[column].astype("int64"), unit="us", utc=True)
    return frame


def _has_tables(database: Path) -> bool:
    if not database.is_file():
        return False
    with closing(sqlite3.connect(database)) as connection:
        return _is_ledger(connection)


def _is_ledger(connection: sqlite3.Connection) -> bool:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return {"decisions", "outcomes"} <= tables
