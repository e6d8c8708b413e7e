"""The lake: every event of the brand as Parquet, by month and bucket of customers.

Files lie in `lake/events/month=YYYY-MM/bucket=NN/`, sorted by customer_key, then occurred_at, with the columns of
`features.contract.EVENT_SCHEMA`. Live is what `lake/events.json` names. An event can stand in several versions: a
correction closes the version before it (`superseded_at`) at the instant at which it became known itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from features.contract import EVENT_SCHEMA
from features.faults import CallersMistake
from features.lake_manifest import LakeFile, Manifest, read_manifest

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import duckdb

    from features.lake_writer import LakeWriter

N_BUCKETS = 8

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VISIBLE = [name for name in EVENT_SCHEMA.names if name != "superseded_at"]

SQL_TYPES: dict[str, str] = {
    "products": "STRUCT(product_id VARCHAR, name VARCHAR, category VARCHAR, quantity DOUBLE, price DOUBLE)[]"
} | {
    field.name: {
        pa.string(): "VARCHAR",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        pa.timestamp("us"): "TIMESTAMP",
    }[field.type]
    for field in EVENT_SCHEMA
    if field.name != "products"
}
"""The event table's columns as DuckDB types."""


class Lake:
    """The events of one workspace, read as of any instant, written by commits that happen whole or not at all."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def manifest_path(self) -> Path:
        """Where the manifest is, whether or not there is one yet."""
        return self.root / "events.json"

    def manifest(self) -> Manifest:
        """Which files are live now."""
        return read_manifest(self.manifest_path)

    def register(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        as_of: datetime | None = None,
        customers: Sequence[int] | None = None,
        buckets: Collection[int] | None = None,
        name: str = "events",
    ) -> None:
        """Creates (or replaces) a temporary view of events, with EVENT_SCHEMA's columns except `superseded_at`.

        Args:
            connection: where the view is made; its TimeZone should be UTC.
            as_of: aware; only what had happened *and* was known before it, in the version known then. None: all, in
                the versions that stand now.
            customers: only these customer keys.
            buckets: only events written under keys of these, as `bucket_of` says.
            name: of the view.

        Raises:
            CallersMistake: `as_of` has no zone.
        """
        as_of_us = None if as_of is None else instant_us(as_of)
        files = [file for file in self.manifest().files if _may_hold(file, as_of_us=as_of_us, customers=customers)]
        files = [file for file in files if buckets is None or file.bucket in buckets]
        columns = ", ".join(_VISIBLE)
        rows = f"SELECT {columns} FROM {self._scan(files)} WHERE {_condition(as_of_us, customers)}"
        connection.execute(f'CREATE OR REPLACE TEMP VIEW "{name}" AS {rows}')

    def register_versions(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        customers: Sequence[int] | None = None,
        name: str = "event_versions",
    ) -> None:
        """Creates (or replaces) a temporary view of all versions of events, `superseded_at` and file included.

        `customers`: only the events written under these keys; None: everyone's.
        """
        files = [file for file in self.manifest().files if _may_hold(file, as_of_us=None, customers=customers)]
        whose = "true" if customers is None else _of_customers(customers)
        connection.execute(
            f'CREATE OR REPLACE TEMP VIEW "{name}" AS SELECT * FROM {self._scan(files, filename=True)} WHERE {whose}'
        )

    def writer(self) -> AbstractContextManager[LakeWriter]:
        """A context in which rows are gathered; they appear in the lake, all at once, when it is left without an error.

        Raises:
            CallersMistake: another process is writing to this lake.
        """
        from features.lake_writer import open_writer

        return open_writer(self)

    def span(self) -> tuple[datetime, datetime] | None:
        """The earliest and the latest occurred_at (aware, UTC), or None for an empty lake."""
        files = self.manifest().files
        if not files:
            return None
        first, last = min(file.first_us for file in files), max(file.last_us for file in files)
        return _EPOCH + timedelta(microseconds=first), _EPOCH + timedelta(microseconds=last)

    def n_events(self) -> int:
        """How many events there are, each counted in the version that stands."""
        return sum(file.n_rows - file.n_superseded for file in self.manifest().files)

    def fingerprint(self) -> str:
        """Sha256 (hex) of what is in the lake: it changes when, and only when, the lake's files do."""
        return self.manifest().fingerprint()

    def _scan(self, files: Sequence[LakeFile], *, filename: bool = False) -> str:
        if not files:
            columns = ", ".join(f"NULL::{SQL_TYPES[column]} AS {column}" for column in EVENT_SCHEMA.names)
            extra = ", NULL::VARCHAR AS filename" if filename else ""
            return f"(SELECT {columns}{extra} WHERE false)"
        paths = ", ".join(quoted(self.root / file.path) for file in files)
        return f"read_parquet([{paths}], hive_partitioning = false, filename = {str(filename).lower()})"


def bucket_of(customer_key: int) -> int:
    """Which bucket holds a customer."""
    return customer_key % N_BUCKETS


def quoted(text: object) -> str:
    """A text (or path) as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


def instant_us(instant: datetime) -> int:
    """An aware instant in whole microseconds since the epoch.

    Raises:
        CallersMistake: the instant has no zone.
    """
    if instant.tzinfo is None:
        raise CallersMistake(
            f"Asked for the lake as of {instant}, which has no time zone. Instants are aware: add UTC."
        )
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _may_hold(file: LakeFile, *, as_of_us: int | None, customers: Sequence[int] | None) -> bool:
    is_early_enough = as_of_us is None or file.first_us < as_of_us
    return is_early_enough and (customers is None or file.bucket in {bucket_of(key) for key in customers})


def _condition(as_of_us: int | None, customers: Sequence[int] | None) -> str:
    conditions = ["superseded_at IS NULL"]
    if as_of_us is not None:
        as_of = f"make_timestamp({as_of_us})"
        conditions = [
            f"occurred_at < {as_of}",
            f"received_at < {as_of}",
            f"(superseded_at IS NULL OR superseded_at >= {as_of})",
        ]
    if customers is not None:
        conditions.append(_of_customers(customers))
    return " AND ".join(conditions)


def _of_customers(customers: Sequence[int]) -> str:
    keys = ", ".join(str(int(key)) for key in customers)
    return f"customer_key IN ({keys})" if keys else "false"
