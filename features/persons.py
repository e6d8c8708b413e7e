"""Every event of one person, wherever it lies: in the lake, in the event log, under each of their keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from features.by_customer import ByCustomer
from features.contract import EVENT_SCHEMA
from features.event_log import EventLog
from features.workspace import Workspace

COLUMNS = [name for name in EVENT_SCHEMA.names if name != "superseded_at"]
SCHEMA = pa.schema([EVENT_SCHEMA.field(name) for name in COLUMNS])


def events_of(
    workspace: Workspace, connection: sqlite3.Connection, customer_keys: Sequence[int], *, names: Sequence[str] = ()
) -> pa.Table:
    """The events of these customers as they stand, oldest first, with EVENT_SCHEMA's columns but `superseded_at`.

    Args:
        workspace: whose lake is read.
        connection: to the workspace's database, for the log.
        customer_keys: all keys of one person, or of several.
        names: only events of these names; all where none is named.
    """
    # The log first: what leaves it meanwhile is in the lake by then, and what is in both is told once.
    log = EventLog(connection).of_customers(customer_keys).select(COLUMNS)
    stored = ByCustomer.open(workspace).events(customer_keys)
    stored = stored.filter(pc.is_null(stored["superseded_at"])).select(COLUMNS)
    log = log.filter(pc.invert(pc.is_in(log["event_id"], stored["event_id"].combine_chunks())))
    events = pa.concat_tables([stored, log]).cast(SCHEMA)
    if names:
        events = events.filter(pc.is_in(events["event"], pa.array(names, pa.string())))
    return events.sort_by([("occurred_at", "ascending"), ("received_at", "ascending"), ("event_id", "ascending")])
