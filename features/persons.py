"""Every event of one person, wherever it lies: in the lake, in the event log, under each of their keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from features.contract import EVENT_SCHEMA
from features.event_log import EventLog
from features.lake import Lake
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
    log = EventLog(connection).of_customers(customer_keys).select(COLUMNS)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; SET threads = 2")
        Lake(workspace.lake).register(database, customers=[int(key) for key in customer_keys])
        database.register("log_events", log)
        condition = f"event IN ({', '.join('?' * len(names))})" if names else "true"
        table = database.execute(
            f"""
            WITH stored AS (SELECT * FROM events WHERE {condition})
            SELECT * FROM stored
            UNION ALL BY NAME
            SELECT * FROM log_events WHERE {condition} AND event_id NOT IN (SELECT event_id FROM stored)
            ORDER BY occurred_at, received_at, event_id
            """,
            [*names, *names],
        ).to_arrow_table()
    return table.select(COLUMNS).cast(SCHEMA)
