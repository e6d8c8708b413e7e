"""Fills the online store with everyone's row as of an instant, while events go on arriving.

How far a row covers the log is fixed *before* the snapshot is made: every event up to `covered` was in the log then and
had been received before the instant, so that the snapshot holds it. An event that comes meanwhile has a higher
log_seq than any row written here, also than one that is written over a newer one: its customer's next decision
recomputes the row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from features.by_customer import ensure_by_customer
from features.database import connect, transaction
from features.event_log import MATERIALIZED_THROUGH, PRUNED_THROUGH, EventLog
from features.lake import instant_us
from features.merges import Merge, survivors
from features.online_rows import stored_order
from features.packing import pack
from features.snapshots import build_snapshot
from features.workspace import Workspace

if TYPE_CHECKING:
    from features.online import OnlineFeatures

MATERIALIZED_AS_OF = "materialized_as_of"  # µs: with `materialized_through`, what the rows of the online store cover
PACKED_AT_ONCE = 10_000


def fill(online: OnlineFeatures, as_of: datetime) -> int:
    """Everyone's row as of an instant, then the rows of those with newer events; gives how many the first were."""
    ensure_by_customer(online.workspace)  # for whoever is recomputed from now on
    with online.transaction() as connection:
        covered = _covered(connection, instant_us(as_of), newest=online.log.newest())
        merges = [merge for merge in online.identity.merges() if merge.merged_at_us < instant_us(as_of)]
    table = pq.read_table(build_snapshot(online.workspace, as_of))
    table = table.take(stored_order(table["customer_key"].to_numpy()))
    joined = _joined(merges)
    for start in range(0, table.num_rows, PACKED_AT_ONCE):
        part = table.slice(start, PACKED_AT_ONCE)
        cells = pack(part, online.schema, log_seq=covered, joined=joined)
        online.rows.write((key, cell, as_of) for key, cell in zip(part["customer_key"].to_pylist(), cells, strict=True))
    _keep(online.workspace, covered=covered, as_of_us=instant_us(as_of))
    with online.transaction() as connection:
        behind = _customers_after(connection, covered, through=online.log.newest())
        behind += [merge.into_key for merge in online.identity.merges()[len(merges) :]]
    online.refresh(behind)
    return int(table.num_rows)


def _keep(workspace: Workspace, *, covered: int, as_of_us: int) -> None:
    """Says how far the rows go, in one short transaction among the other writers'."""
    with closing(connect(workspace.database)) as connection:
        log = EventLog(connection)
        with transaction(connection):
            log.set_state(MATERIALIZED_THROUGH, covered)
            log.set_state(MATERIALIZED_AS_OF, as_of_us)


def _covered(connection: sqlite3.Connection, as_of_us: int, *, newest: int) -> int:
    """The highest log_seq such that everything up to it had happened and arrived before an instant.

    What the materialisation before covers had arrived before its own instant and need not be looked at again. Rows of
    before that which were pruned cannot be: for an earlier instant nothing is known to be covered.
    """
    state = dict(connection.execute("SELECT name, value FROM log_state").fetchall())
    after = state.get(MATERIALIZED_THROUGH, 0) if as_of_us >= state.get(MATERIALIZED_AS_OF, 0) else 0
    if after < state.get(PRUNED_THROUGH, 0):
        return after
    query = "SELECT min(log_seq) FROM event_log WHERE log_seq > ? AND max(received_at, occurred_at) >= ?"
    first = connection.execute(query, (after, as_of_us)).fetchone()[0]
    return newest if first is None else int(first) - 1


def _customers_after(connection: sqlite3.Connection, log_seq: int, *, through: int) -> list[int]:
    query = "SELECT DISTINCT customer_key FROM event_log WHERE log_seq > ? AND log_seq <= ?"
    return [row[0] for row in connection.execute(query, (log_seq, through))]


def _joined(merges: Iterable[Merge]) -> dict[int, Sequence[int]]:
    """By survivor, the keys that were joined into it, rising."""
    joined: dict[int, list[int]] = {}
    for from_key, survivor in sorted(survivors(merges).items()):
        joined.setdefault(survivor, []).append(from_key)
    return dict(joined)
