"""A snapshot from the one before it: only customers of whom something changed are computed anew.

Design. Between two instants a row changes only where the customer is *touched*: an event became visible or was
corrected, one crossed an edge of a window, a late row of the log came, or customers were joined. Those are computed by
the same SQL from all of their events; everybody else's row is copied with the new instant. A brand's own SQL may say
anything about everyone, so that its columns are computed for everyone.

Invariant: the outcome is the snapshot that a full build makes, value by value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.aggregation import MEMORY_LIMIT, Sources, aggregate, aggregate_own
from features.brand import Brand
from features.columns import WINDOWS_DAYS
from features.lake import Lake, instant_us
from features.merges import Merge, survivors
from features.schema import FeatureSchema
from features.snapshot_origin import Standing, as_of_of, merges_digest, said_of, stored_snapshots
from features.workspace import Workspace

MOST_TOUCHED = 0.5  # beyond this share of the rows a full build costs no more

Keys = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Base:
    """A stored snapshot that another can be made from."""

    path: Path
    as_of: datetime
    log_seq: int  # where it stands in the log


class _LakeOf(Lake):
    """The lake as if it held only the events written under some keys, read once into memory that spills."""

    def __init__(self, root: Path, keys: Keys) -> None:
        super().__init__(root)
        self._keys = keys

    def register_versions(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        customers: Sequence[int] | None = None,
        name: str = "event_versions",
    ) -> None:
        """As the lake's, of these keys alone."""
        super().register_versions(connection, customers=customers, name=f"{name}_of_all")
        connection.register("chosen_keys", pa.table({"customer_key": self._keys}))
        connection.execute(
            f'CREATE OR REPLACE TEMP TABLE "{name}" AS SELECT * FROM "{name}_of_all" '
            "WHERE customer_key IN (SELECT customer_key FROM chosen_keys)"
        )
        connection.unregister("chosen_keys")


def base_for(workspace: Workspace, as_of: datetime, *, stands: Standing) -> Base | None:
    """The newest stored snapshot before an instant that lacks nothing but rows of the log; None where there is none."""
    for path in reversed(list(stored_snapshots(workspace))):
        at = as_of_of(path)
        if at >= as_of or not path.is_file():
            continue
        said = said_of(path)
        is_alike = all(said.get(name) == value for name, value in stands.how.items())
        if is_alike and said["merges"] == merges_digest(stands.merges, at) and not stands.is_behind(said, at):
            return Base(path, at, said["log_seq"])
    return None


def updated(
    workspace: Workspace,
    as_of: datetime,
    *,
    base: Base,
    stands: Standing,
    brand: Brand,
    schema: FeatureSchema,
    most_touched: float = MOST_TOUCHED,
) -> pa.Table | None:
    """The rows of an instant from those of the base; None where so many changed that a full build is no dearer."""
    known, touched = _touched(workspace, as_of, base=base, stands=stands)
    keys = _whole_groups(touched, stands.merges)
    before = pq.read_table(base.path)
    if len(keys) > most_touched * max(before.num_rows, 1):
        return None
    spill = workspace.lake / "spill"
    log = stands.log.filter(pc.is_in(stands.log["customer_key"], pa.array(keys, pa.int64())))
    sources = Sources(_LakeOf(workspace.lake, keys), log=log, merges=stands.merges)
    anew = next(iter(aggregate(sources, [as_of], brand=brand, schema=schema, spill=spill)))
    rows = _copied(before, as_of, gone=keys, known=_whole_groups(known, stands.merges))
    together = pa.concat_tables([rows, anew.cast(rows.schema)]).sort_by("customer_key")
    if not schema.own:
        return together
    everyone = Sources(Lake(workspace.lake), log=stands.log, merges=stands.merges)
    for view in aggregate_own(everyone, as_of, schema=schema, spill=spill):
        together = _with_columns(together, view)
    return together


def _touched(workspace: Workspace, as_of: datetime, *, base: Base, stands: Standing) -> tuple[Keys, Keys]:
    """Every key with an event, and those of whom something changed between the base and an instant."""
    start, end = instant_us(base.as_of), instant_us(as_of)
    day = 86_400_000_000
    became = f"(epoch_us(greatest(occurred_at, received_at)) >= {start} AND epoch_us(received_at) < {end})"
    closed = f"coalesce(epoch_us(superseded_at) >= {start} AND epoch_us(superseded_at) < {end}, false)"
    crossed = " OR ".join(
        f"(epoch_us(occurred_at) >= {start - days * day} AND epoch_us(occurred_at) < {end - days * day})"
        for days in WINDOWS_DAYS
    )
    with duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        Lake(workspace.lake).register_versions(connection, name="versions")
        connection.register("log_events", stands.log)
        columns = "customer_key, occurred_at, received_at, superseded_at"
        found = connection.execute(
            f"SELECT customer_key, bool_or({became} OR {closed} OR {crossed} OR coalesce(log_seq > {base.log_seq}, "
            f"false)) AS is_touched FROM (SELECT {columns}, NULL AS log_seq FROM versions "
            f"UNION ALL SELECT {columns}, log_seq FROM log_events) GROUP BY customer_key"
        ).fetchnumpy()
    keys = np.asarray(found["customer_key"], dtype=np.int64)
    joined = [
        key for merge in stands.merges if start <= merge.merged_at_us < end for key in (merge.from_key, merge.into_key)
    ]
    touched = keys[np.asarray(found["is_touched"], dtype=bool)]
    return keys, np.union1d(touched, np.asarray(joined, dtype=np.int64))


def _whole_groups(keys: Keys, merges: Sequence[Merge]) -> Keys:
    """These keys and every key that is the same person as one of them, now."""
    ends = survivors(merges)
    if not ends:
        return np.unique(keys)
    people = {ends.get(key, key) for key in keys.tolist()}
    others = [key for key, end in ends.items() if end in people]
    return np.unique(np.concatenate([keys, np.fromiter(people, np.int64), np.asarray(others, dtype=np.int64)]))


def _copied(before: pa.Table, as_of: datetime, *, gone: Keys, known: Keys) -> pa.Table:
    """The base's rows of everybody else who still has events, with the new instant."""
    keys = before["customer_key"]
    is_kept = pc.and_(
        pc.invert(pc.is_in(keys, pa.array(gone, pa.int64()))), pc.is_in(keys, pa.array(known, pa.int64()))
    )
    rows = before.filter(is_kept)
    at = pa.array([as_of.astimezone(UTC).replace(tzinfo=None)] * rows.num_rows, pa.timestamp("us"))
    for name in ("event_timestamp", "created_timestamp"):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), at)
    return rows


def _with_columns(rows: pa.Table, view: pa.Table) -> pa.Table:
    """Rows with the columns of a view in place of theirs; null for customers of whom the view says nothing."""
    places = pc.index_in(rows["customer_key"], value_set=view["customer_key"].combine_chunks())
    for name in view.column_names:
        if name != "customer_key":
            place = rows.schema.get_field_index(name)
            rows = rows.set_column(place, rows.schema.field(place), view[name].take(places))
    return rows
