"""Where conversations end: for every step how many got there, and for how many it was the last."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa

from features.brand import Brand, load_brand
from features.database import connect
from features.event_log import EventLog
from features.lake import Lake, instant_us
from features.workspace import Workspace

LOOKED_BACK = timedelta(days=90)
STILL_OPEN = timedelta(hours=24)  # a conversation may go on for a day: a chat's own session is that long
STEPS_SHOWN = 30

_LOG_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("conversation_id", "step", "channel", "event")] + [("occurred_at", pa.int64())]
)

# An id stands for one conversation, whoever the customer was known as in the middle of it; its channel is the first one
# that it names. Bots and languages differ by channel: steps of one are not lined up with those of another.
_STEPS = """
WITH said AS (
    SELECT conversation_id, step, channel, event, occurred_at FROM (
        SELECT conversation_id, step, channel, event, epoch_us(occurred_at) AS occurred_at
        FROM events WHERE conversation_id IS NOT NULL
        UNION ALL
        SELECT conversation_id, step, channel, event, occurred_at FROM log_said
    )
    WHERE occurred_at < $as_of
),
conversations AS (
    SELECT conversation_id, max(occurred_at) AS last_at,
           max({'at': occurred_at, 'step': step}) FILTER (WHERE step IS NOT NULL) AS last_step,
           (min({'at': occurred_at, 'channel': channel}) FILTER (WHERE channel IS NOT NULL)).channel AS channel,
           bool_or(event IN (SELECT unnest($goal_events))) AS is_finished
    FROM said GROUP BY conversation_id
    HAVING last_at >= $since AND last_step IS NOT NULL
),
ended AS (
    SELECT conversation_id, channel, is_finished, last_step.step AS last_step
    FROM conversations WHERE last_at < $ended_before
),
flows AS (
    SELECT channel, count(*) AS n_ended, count(*) FILTER (WHERE is_finished) AS n_finished FROM ended GROUP BY channel
),
places AS (
    SELECT conversation_id, step, row_number() OVER (PARTITION BY conversation_id ORDER BY first_at, step) AS place
    FROM (
        SELECT conversation_id, step, min(occurred_at) AS first_at
        FROM said SEMI JOIN ended USING (conversation_id)
        WHERE step IS NOT NULL GROUP BY ALL
    )
)
SELECT ended.channel, any_value(flows.n_ended), any_value(flows.n_finished), step, count(*) AS n_reached,
       count(*) FILTER (WHERE step = last_step AND NOT is_finished) AS n_left,
       (SELECT count(*) FROM conversations) AS n_all
FROM places JOIN ended USING (conversation_id) JOIN flows ON flows.channel IS NOT DISTINCT FROM ended.channel
GROUP BY ended.channel, step
ORDER BY any_value(flows.n_ended) DESC, ended.channel NULLS LAST, avg(place), n_reached DESC, step
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: of the conversations that have ended, how many got there and for how many it was the last.

    Whoever reached a goal has finished, and did not stop anywhere.
    """

    name: str
    n_reached: int
    n_left: int

    @property
    def left_rate(self) -> float:
        """The share of those who got there for whom it was the last."""
        return self.n_left / self.n_reached


@dataclass(frozen=True, slots=True)
class Flow:
    """The conversations of one channel that have ended; those that name none have None."""

    channel: str | None
    n_ended: int
    n_finished: int
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Conversations:
    """The conversations of the last days that named their steps, in the order in which people come to these.

    Attributes:
        n_open: those with an event within STILL_OPEN; only the others are counted step by step.
        flows: by channel, the one with most conversations first; with the steps that most got to, at most STEPS_SHOWN.
        n_steps: all steps.
    """

    n_open: int
    flows: tuple[Flow, ...]
    n_steps: int

    @property
    def n_ended(self) -> int:
        """Those that have ended, on every channel."""
        return sum(flow.n_ended for flow in self.flows)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that are shown, of every channel."""
        return tuple(step for flow in self.flows for step in flow.steps)


def read_conversations(
    workspace: Workspace, *, brand: Brand | None = None, as_of: datetime | None = None
) -> Conversations | None:
    """The conversations of the last LOOKED_BACK before an instant; None where none that named a step has ended.

    Args:
        workspace: whose lake and log.
        brand: whose goals; default the workspace's.
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
                "goal_events": sorted({goal.event for goal in (brand or load_brand(workspace)).goals.values()}),
            },
        ).fetchall()
    if not rows:
        return None
    shown = sorted(range(len(rows)), key=lambda n: rows[n][4], reverse=True)[:STEPS_SHOWN]
    steps: dict[tuple[str | None, int, int], list[Step]] = {tuple(row[:3]): [] for row in rows}
    for n in sorted(shown):
        steps[tuple(rows[n][:3])].append(Step(*rows[n][3:6]))
    flows = tuple(Flow(*flow, tuple(found)) for flow, found in steps.items())
    n_ended = sum(flow.n_ended for flow in flows)
    return Conversations(n_open=rows[0][6] - n_ended, flows=flows, n_steps=len(rows))


def _in_log(workspace: Workspace, *, after: int) -> pa.Table:
    """What conversations have said since the log was last taken into the lake."""
    if not workspace.database.is_file():
        return _LOG_SCHEMA.empty_table()
    query = (
        "SELECT json_extract(payload, '$.conversation_id') AS conversation_id, json_extract(payload, '$.step'), "
        "json_extract(payload, '$.channel'), json_extract(payload, '$.event'), occurred_at "
        "FROM event_log WHERE log_seq > ? AND conversation_id IS NOT NULL"
    )
    with closing(connect(workspace.database)) as connection:
        EventLog(connection)
        rows = connection.execute(query, (after,)).fetchall()
    named = [dict(zip(_LOG_SCHEMA.names, row, strict=True)) for row in rows]
    return pa.Table.from_pylist(named, schema=_LOG_SCHEMA)
