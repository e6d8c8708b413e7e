"""From the log to what waits: every trigger in the log arms its moment, once, by a watermark kept in the database.

The watermark moves in the transaction that arms, so that a crash repeats nothing and leaves nothing out. Whoever
prunes the log keeps what is above `log_state.moments_through`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from features.event_log import EventLog
from features.merges import survivor_of
from features.moments.rules import MomentRule
from features.moments.table import Trigger, adopt, arm

THROUGH = "moments_through"
MERGED_THROUGH = "moments_merged_through"
AT_ONCE = 500  # rows of the log a transaction: a few milliseconds, which other writers wait behind it
CONTROL = "nothing"

_TRIGGERS = """
SELECT json_extract(payload, '$.event') AS event, customer_key, max(occurred_at), max(into_key)
FROM event_log LEFT JOIN customer_merges ON from_key = customer_key
WHERE log_seq > :after AND log_seq <= :through AND event IN (SELECT value FROM json_each(:events))
  AND NOT (event IN (SELECT value FROM json_each(:sent)) AND json_extract(payload, '$.action_id') IS :control)
GROUP BY 1, customer_key
"""


class Followed(NamedTuple):
    """How far the log has been followed: through which log_seq, how many rows that armed, and whether there is more."""

    through: int
    n_armed: int
    is_behind: bool


def is_behind(connection: sqlite3.Connection) -> bool:
    """Whether the log or the merges hold anything that was not followed yet; a look without a transaction."""
    log = EventLog(connection)
    return log.newest() > log.state(THROUGH) or _newest_merge(connection) > log.state(MERGED_THROUGH)


def follow(connection: sqlite3.Connection, rules: Mapping[str, MomentRule], *, now: int) -> Followed:
    """Arms the moments of the next events in the log: one piece of work inside somebody's transaction.

    Args:
        connection: in a transaction that may write.
        rules: of the brand's moments; without any, the watermark moves all the same.
        now: microseconds since the epoch, UTC.
    """
    log = EventLog(connection)
    after, newest = log.state(THROUGH), log.newest()
    through = min(after + AT_ONCE, newest)
    n_armed = 0
    if through > after:
        n_armed = arm(connection, _triggers(connection, rules, after=after, through=through), rules, now=now)
        log.set_state(THROUGH, through)
    more_merges = _follow_merges(connection, log)
    return Followed(through, n_armed, through < newest or more_merges)


def _triggers(
    connection: sqlite3.Connection, rules: Mapping[str, MomentRule], *, after: int, through: int
) -> list[Trigger]:
    moments: dict[str, list[str]] = {}
    for rule in rules.values():
        moments.setdefault(rule.event, []).append(rule.name)
    sent = sorted({rule.event for rule in rules.values() if rule.skips_controls})
    events = {"events": json.dumps(sorted(moments)), "sent": json.dumps(sent), "control": CONTROL}
    found = connection.execute(_TRIGGERS, {"after": after, "through": through, **events}).fetchall()
    return [
        Trigger(moment, key if into is None else survivor_of(connection, key), at)
        for event, key, at, into in found
        for moment in moments[event]
    ]


def _follow_merges(connection: sqlite3.Connection, log: EventLog) -> bool:
    """What waits for joined customers waits for their survivors; gives whether there are more merges."""
    query = "SELECT merge_seq, from_key FROM customer_merges WHERE merge_seq > ? ORDER BY merge_seq LIMIT ?"
    merges = connection.execute(query, (log.state(MERGED_THROUGH), AT_ONCE)).fetchall()
    for _, from_key in merges:
        adopt(connection, from_key=from_key, into_key=survivor_of(connection, from_key))
    if merges:
        log.set_state(MERGED_THROUGH, merges[-1][0])
    return len(merges) == AT_ONCE


def _newest_merge(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT max(merge_seq) FROM customer_merges").fetchone()
    return int(row[0] or 0)
