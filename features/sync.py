"""`rapport features sync`: the event log into the lake, once, however often it is killed on the way.

Design. The lake's manifest says up to which log_seq the log is in its files, and is replaced together with them: an
export reads what lies beyond and commits both at once. What the log holds and an import has brought already is left
out. Rows are removed from the log only once nobody needs them there (`prunable_through`), and by a later sync than the
one that exported them: a reader that began before the manifest moved still finds its rows in the log.

Invariant: each event of the log counts in the lake exactly once after a sync that ends, and before it not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from features.by_customer import ByCustomer, ensure_by_customer
from features.contract import EVENT_SCHEMA
from features.database import connect
from features.event_log import MATERIALIZED_THROUGH, EventLog
from features.lake import Lake, instant_us
from features.lake_changes import LogStretch, log_steps
from features.log_batches import log_batches
from features.moments import catch_up as catch_up_moments
from features.snapshot_origin import log_seqs_of_snapshots
from features.workspace import Workspace

KEPT_IN_LOG = timedelta(hours=1)  # younger ones are looked for there first


@dataclass(frozen=True, slots=True)
class Synced:
    """What one sync did."""

    n_events: int  # that are in the lake now and were not before
    n_left_out: int  # that an import had brought already
    log_through: int
    n_pruned: int
    n_files: int  # of the lake, afterwards

    def as_dict(self) -> dict[str, int]:
        """For `--json`."""
        return asdict(self)


def sync(
    workspace: Workspace, *, now: datetime | None = None, on_rows: Callable[[int], None] = lambda n_rows: None
) -> Synced:
    """Exports what the log has beyond the lake, then removes from the log what was in every place that needs it before.

    Args:
        workspace: of the brand.
        now: what the time is; None to look at the clock.
        on_rows: told after each batch how many rows were read.

    Raises:
        CallersMistake: another process is writing to the lake.
    """
    with closing(connect(workspace.database)) as connection:
        log = EventLog(connection)
        through_before = prunable_through(workspace, log)
        n_events, n_left_out = _export(workspace, connection, log, on_rows)
        ensure_by_customer(workspace)
        catch_up_moments(workspace, now=now)  # what an event starts is started before the event goes
        through = min(through_before, prunable_through(workspace, log))
        older_than_us = instant_us((now or datetime.now(UTC)) - KEPT_IN_LOG)
        n_pruned = log.prune(through, older_than_us=older_than_us) if through else 0
    manifest = Lake(workspace.lake).manifest()
    return Synced(n_events, n_left_out, manifest.log_through, n_pruned, len(manifest.files))


def prunable_through(workspace: Workspace, log: EventLog) -> int:
    """Up to which log_seq rows of the log are in the lake, in the customers' files and in the online rows."""
    in_lake = Lake(workspace.lake).manifest().log_through
    return min(in_lake, ByCustomer.open(workspace).log_through, log.state(MATERIALIZED_THROUGH))


def _export(
    workspace: Workspace, connection: sqlite3.Connection, log: EventLog, on_rows: Callable[[int], None]
) -> tuple[int, int]:
    lake = Lake(workspace.lake)
    if log.newest() <= lake.manifest().log_through:
        return 0, 0  # nothing came: no lock to take, no file to touch
    with lake.writer() as writer:
        after, through = writer.log_through, log.newest()
        if through <= after:
            return 0, 0
        stretch = LogStretch(through)
        batches = log_batches(connection, after=after, through=through)
        counted = _counted(batches, stretch, cuts=log_seqs_of_snapshots(workspace), on_rows=on_rows)
        writer.export(stretch, counted)
        writer.commit()
        return writer.n_exported, writer.n_left_out


def _counted(
    batches: Iterable[pa.Table], stretch: LogStretch, *, cuts: list[int], on_rows: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    """The lake's columns of each batch; what it adds to the past is noted on the way."""
    for table in batches:
        stretch.steps += log_steps(table, cuts=cuts)
        yield from table.select(EVENT_SCHEMA.names).to_batches()
        on_rows(table.num_rows)
