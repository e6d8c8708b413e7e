"""Whether a chat's session window is open, by what we know ourselves: when the customer last wrote there.

They wrote where a decision was asked for in a placement that customers initiate, on that channel alone: of several the
record knows which one we answered on, and nobody which one they wrote on. Or a reply was reported to what was said
there. Where quiet hours make a message wait, the window has to be open when it is sent. Only what lies within the
window is read, by the index on the customer: the cost does not grow with their past.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from features.brand import Brand
from serving.ledger_rows import microseconds
from serving.schemas import DecisionRequest
from serving.shelf import CHAT

_WROTE = """
SELECT max(at) FROM (
    SELECT decided_at AS at FROM decisions AS wrote
    WHERE customer_key = :key AND decided_at > :since AND decided_at <= :now
      AND initiated_by = 'customer' AND channel = :channel AND json_array_length(record, '$.channels') = 1
      AND NOT EXISTS (
          SELECT 1 FROM decisions AS beside  -- of the same request
          WHERE beside.customer_key = wrote.customer_key AND beside.decided_at = wrote.decided_at
            AND beside.initiated_by = 'customer' AND beside.channel <> :channel
      )
    UNION ALL
    SELECT replied.occurred_at FROM outcomes AS replied JOIN decisions USING (decision_id)
    WHERE replied.customer_key = :key AND replied.occurred_at > :since AND replied.occurred_at <= :now
      AND replied.outcome = 'replied' AND :channel = coalesce(
          (SELECT contacts.channel FROM contacts
           WHERE contacts.decision_id = replied.decision_id AND contacts.slot = coalesce(replied.slot, 0)),
          decisions.channel
      )
)
"""


def with_session(
    request: DecisionRequest,
    *,
    brand: Brand,
    connection: sqlite3.Connection,
    keys: Sequence[int],
    at: datetime,
    sent_at: Callable[[str], datetime],
) -> DecisionRequest:
    """The request, saying whether the session is open where we know it; itself where it says so, or where nothing asks.

    Args:
        request: checked against the brand; that it says so means that the customer has just written.
        brand: whose channels have windows.
        connection: to the ledger.
        keys: every key of the person.
        at: the instant of the decision.
        sent_at: when the brand's own message may leave on a channel.
    """
    ours = [place for place in request.asked if brand.placements[place.placement].initiated_by == "brand"]
    if not ours:
        return request
    windows = {
        channel: timedelta(hours=hours)
        for place in ours
        for channel in place.channels
        if brand.channels[channel].kind == CHAT and (hours := brand.channels[channel].session_window_hours) is not None
    }
    said = request.context.session_open
    is_open = bool(windows) and all(
        since < at and (said or _wrote_since(connection, keys, channel=channel, since=since, at=at))
        for channel, window in windows.items()
        for since in (sent_at(channel) - window,)
    )
    if is_open == said or not windows:
        return request
    return request.model_copy(update={"context": request.context.model_copy(update={"session_open": is_open})})


def _wrote_since(
    connection: sqlite3.Connection, keys: Sequence[int], *, channel: str, since: datetime, at: datetime
) -> bool:
    said = {"since": microseconds(since), "now": microseconds(at), "channel": channel}
    return any(connection.execute(_WROTE, said | {"key": key}).fetchone()[0] is not None for key in keys)
