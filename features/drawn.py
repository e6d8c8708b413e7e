"""Some of a brand's customers, drawn by their key: the same ones at every instant, in numpy and in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.lake import Lake
from features.owners import persons, persons_table
from features.snapshot_origin import event_log_table
from features.workspace import Workspace

LOTS = 4_096
_SPREAD = 0x6C8E9CF5  # times a key, the high bits of the low 31 deal consecutive keys evenly; other than in folds
_BITS = 0x7FFFFFFF
_SHIFT = 19  # leaves twelve of 31 bits: a lot


@dataclass(frozen=True, slots=True)
class Draw:
    """Customers whose key has one of the first lots; a smaller draw lies inside every larger one.

    Attributes:
        lots: how many of LOTS.
        n_customers: of how many it was drawn.
    """

    lots: int
    n_customers: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.lots <= LOTS:
            raise ValueError(f"A draw has 1 to {LOTS} lots; got {self.lots}.")

    def holds(self, customer_keys: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whose keys were drawn, shape as given."""
        spread = (customer_keys & _BITS) * np.int64(_SPREAD) & _BITS  # at most 62 bits: nothing overflows
        return np.asarray((spread >> _SHIFT) < self.lots)

    def sql(self, column: str) -> str:
        """The same as a condition in DuckDB's SQL."""
        return f"(((({column} & {_BITS}) * {_SPREAD}) & {_BITS}) >> {_SHIFT}) < {self.lots}"


def draw_of(workspace: Workspace, *, as_of: datetime, most: int) -> Draw | None:
    """At most about so many of the customers who were known before an instant; None where there are no more.

    Args:
        workspace: of the brand.
        as_of: aware.
        most: how many.
    """
    log = event_log_table(workspace)  # before the lake: a sync in between hides nothing
    lake = Lake(workspace.lake)
    if lake.n_events() + log.num_rows <= most:
        return None  # a customer has an event
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        lake.register(connection, as_of=as_of)
        connection.register("log_events", log)
        connection.register("joined", persons_table(persons(workspace)))
        ((n_customers,),) = connection.execute(_COUNT, {"until": as_of.replace(tzinfo=None)}).fetchall()
    return None if n_customers <= most else Draw(max(LOTS * most // n_customers, 1), n_customers)


_COUNT = """
    SELECT count(DISTINCT coalesce(person, customer_key))
    FROM (
        SELECT customer_key FROM events
        UNION ALL
        SELECT customer_key FROM log_events WHERE occurred_at < $until AND received_at < $until
    )
    LEFT JOIN joined ON customer_key = from_key
"""


def read_rows(path: Path, draw: Draw | None, *, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a snapshot's file; of the customers who were drawn, in memory for hardly more than them."""
    chosen = None if columns is None else list(columns)
    if draw is None:
        return pq.read_table(path, columns=chosen)
    with pq.ParquetFile(path) as file:
        batches = [
            batch.filter(pa.array(draw.holds(batch["customer_key"].to_numpy().astype(np.int64))))
            for batch in file.iter_batches(columns=chosen)
        ]
        return pa.Table.from_batches(batches) if batches else file.read(columns=chosen)
