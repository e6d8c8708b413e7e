"""Where conversations end: for every step how many got there, and for how many it was the last."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from features.database import connect
from features.event_log import EventLog
from features.lake import Lake, instant_us
from features.workspace import Workspace

LOOKED_BACK = timedelta(days=90)
STILL_OPEN = timedelta(hours=24)  # a conversation may go on for a day: a chat's own session is that long
STEPS_SHOWN = 30

_LOG_SCHEMA = pa.schema([("conversation_id", pa.string()), ("step", pa.string()), ("occurred_at", pa.int64())])

# An id stands for one conversation, whoever the customer was known as in the middle of it.
_STEPS = """
WITH said AS (
    SELECT conversation_id, step, occurred_at FROM (
        SELECT conversation_id, step, epoch_us(occurred_at) AS occurred_at FROM events WHERE conversation_id IS NOT NULL
        UNION ALL
        SELECT conversation_id, step, occurred_at FROM log_said
    )
    WHERE occurred_at < $as_of
),
conversations AS (
    SELECT conversation_id, max(occurred_at) AS last_at,
           max({'at': occurred_at, 'step': step}) FILTER (WHERE step IS NOT NULL) AS last_step
    FROM said GROUP BY ALL
    HAVING last_at >= $since AND last_step IS NOT NULL
),
ended AS (SELECT conversation_id, last_step.step AS last_step FROM conversations WHERE last_at < $ended_before),
places AS (
    SELECT conversation_id, step, row_number() OVER (PARTITION BY conversation_id ORDER BY first_at, step) AS place
    FROM (
        SELECT conversation_id, step, min(occurred_at) AS first_at
        FROM said SEMI JOIN ended USING (conversation_id)
        WHERE step IS NOT NULL GROUP BY ALL
    )
)
SELECT step, count(*) AS n_reached, count(*) FILTER (WHERE step = last_step) AS n_left,
       (SELECT count(*) FROM ended) AS n_ended, (SELECT count(*) FROM conversations) AS n_all
FROM places JOIN ended USING (conversation_id)
GROUP BY step
ORDER BY avg(place), n_reached DESC, step
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: of the conversations that have ended, how many got there and for how many it was the last."""

    name: str
    n_reached: int
    n_left: int

    @property
    def left_rate(self) -> float:
        """The share of those who got there for whom it was the last."""
        return self.n_left / self.n_reached


@dataclass(frozen=True, slots=True)
class Conversations:
    """The conversations of the last days that named their steps, in the order in which people come to these.

    Attributes:
        n_ended: without an event for STILL_OPEN; only these are counted step by step.
        n_open: the others.
        steps: those that most got to, at most STEPS_SHOWN.
        n_steps: all of them.
    """

    n_ended: int
    n_open: int
    steps: tuple[Step, ...]
    n_steps: int


def read_conversations(workspace: Workspace, *, as_of: datetime | None = None) -> Conversations | None:
    """The conversations of the last LOOKED_BACK before an instant; None where none that named a step has ended.

    Args:
        workspace: whose lake and log.
        as_of: where to stand; default now.
    """
    stands_at = as_of or datetime.now(UTC)
    lake = Lake(workspace.lake)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; SET threads = 2")
        lake.register(database)
        database.register("log_said", _in_log(workspace, after=lake.manifest().log_through))
        rows = database.execute(
            _STEPS,
            {
                "as_of": instant_us(stands_at),
                "since": instant_us(stands_at - LOOKED_BACK),
                "ended_before": instant_us(stands_at - STILL_OPEN),
            },
        ).fetchall()
    if not rows:
        return None
    shown = {name for name, *_ in sorted(rows, key=lambda row: row[1], reverse=True)[:STEPS_SHOWN]}
    steps = tuple(Step(name, reached, left) for name, reached, left, _, _ in rows if name in shown)
    n_ended, n_all = rows[0][3:]
    return Conversations(n_ended=n_ended, n_open=n_all - n_ended, steps=steps, n_steps=len(rows))


def _in_log(workspace: Workspace, *, after: int) -> pa.Table:
    """What conversations have said since the log was last taken into the lake."""
    if not workspace.database.is_file():
        return _LOG_SCHEMA.empty_table()
    query = (
        "SELECT json_extract(payload, '$.conversation_id') AS conversation_id, json_extract(payload, '$.step'), "
        "occurred_at FROM event_log WHERE log_seq > ? AND conversation_id IS NOT NULL"
    )
    with closing(connect(workspace.database)) as connection:
        EventLog(connection)
        rows = connection.execute(query, (after,)).fetchall()
    named = [dict(zip(_LOG_SCHEMA.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(named, schema=_LOG_SCHEMA)
