"""Writing to the lake: rows are gathered aside, put in order, and become live by one replaced manifest.

A kill at any moment leaves the manifest as it was or as it will be. What was written in vain is swept by the next
writer, which is alone: an flock is held from the first row to the commit.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.compaction import worth_taking_in
from features.contract import EVENT_SCHEMA
from features.faults import CallersMistake
from features.lake import N_BUCKETS, SQL_TYPES, Lake, quoted
from features.lake_changes import LogStretch, Step, climbed
from features.lake_manifest import LakeFile, sha256_of, sync_folder, write_manifest
from features.lake_rows import as_events
from features.locks import alone

MEMORY_LIMIT = "3GB"
THREADS = 2
STAGED_ROW_GROUP = 8_192  # of each month and bucket so many rows wait in memory: DuckDB's usual 122,880 are gigabytes

_COLUMNS = ", ".join(f"{name}::{SQL_TYPES[name]} AS {name}" for name in EVENT_SCHEMA.names)


class LakeIsBusy(CallersMistake):
    """Another process is writing to the lake; it will have ended some time."""


@contextmanager
def open_writer(lake: Lake) -> Iterator[LakeWriter]:
    """The lake's only writer for as long as the context lasts; committed on leaving it without an error."""
    lake.root.mkdir(parents=True, exist_ok=True)
    with alone(lake.root / "writer.lock", busy=lambda process: _busy(lake.root, process)):
        sweep(lake)
        staging = lake.root / "staging"
        staging.mkdir()
        try:
            writer = LakeWriter(lake, staging=staging)
            yield writer
            writer.commit()
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def limited_connection(database: Path | None, *, spill: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection that stays within memory, spills to `spill`, and calls every time UTC."""
    connection = duckdb.connect(":memory:" if database is None else str(database))
    connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'; SET threads = {THREADS}; SET TimeZone = 'UTC'")
    connection.execute(f"SET preserve_insertion_order = false; SET temp_directory = {quoted(spill)}")
    connection.execute("SET partitioned_write_max_open_files = 2000; SET partitioned_write_flush_threshold = 500000")
    connection.execute("SET force_compression = 'uncompressed'")
    with suppress(duckdb.InvalidInputException):  # in a notebook without ipywidgets DuckDB has no bar, and says so
        connection.execute("SET enable_progress_bar = false")
    return connection


def sweep(lake: Lake) -> None:
    """Removes what no manifest names: leftovers of killed writers, and files retired before the last commit."""
    shutil.rmtree(lake.root / "staging", ignore_errors=True)
    manifest = lake.manifest()
    kept = {file.path for file in manifest.files} | set(manifest.retired)
    for path in (lake.root / "events").glob("month=*/bucket=*/*"):
        if path.relative_to(lake.root).as_posix() not in kept:
            path.unlink(missing_ok=True)


class LakeWriter:
    """Gathers rows for one commit."""

    def __init__(self, lake: Lake, *, staging: Path) -> None:
        self.lake = lake
        self.staging = staging
        self._rows = staging / "rows"
        self._rows.mkdir(exist_ok=True)
        self._partitions = staging / "partitions"
        self._manifest = lake.manifest()
        self._added: list[LakeFile] = []
        self._retired: set[str] = set()
        self._since_us: list[int] = []
        self._stretch: LogStretch | None = None
        self._replaces = False  # what stood in a file of the lake
        self._n_parts = 0
        self.n_exported = 0
        self.n_left_out = 0

    @property
    def log_through(self) -> int:
        """The log_seq up to which the event log is in the lake already."""
        return self._manifest.log_through

    def export(self, stretch: LogStretch, batches: Iterable[pa.RecordBatch]) -> None:
        """Adds a stretch of the event log; what of it an import has brought already is left out.

        The rows, how far the log is in the lake and what that changed become so by the same commit.
        """
        self.write(batches)
        self._stretch = stretch

    def write(self, rows: pa.Table | pa.RecordBatch | Iterable[pa.RecordBatch]) -> None:
        """Adds rows of EVENT_SCHEMA (columns may be in any order; nullable ones may be left out).

        Raises:
            CallersMistake: a column is missing, unknown, of another type, or null where it may not be.
        """
        if isinstance(rows, pa.Table):
            batches: Iterable[pa.RecordBatch] = rows.to_batches(max_chunksize=100_000)
        else:
            batches = [rows] if isinstance(rows, pa.RecordBatch) else rows
        with pq.ParquetWriter(self._next_part(), EVENT_SCHEMA, compression="snappy") as part:
            for batch in batches:
                part.write_batch(as_events(batch))

    def write_query(self, connection: duckdb.DuckDBPyConnection, query: str) -> None:
        """Adds the rows of a query that yields EVENT_SCHEMA's columns, over a `limited_connection`."""
        connection.execute(
            f"COPY (SELECT {_COLUMNS}, year(occurred_at) * 100 + month(occurred_at) AS month_, "
            f"customer_key % {N_BUCKETS} AS bucket_ FROM ({query})) "
            f"TO {quoted(self._partitions)} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE {STAGED_ROW_GROUP}, "
            "PARTITION_BY (month_, bucket_), APPEND true)"
        )

    def supersede(self, corrections: pa.Table) -> None:
        """Closes the standing versions of events; write their new versions too.

        Args:
            corrections: `event_id` and `known_at`, when the new version became known (naive UTC, microseconds).
        """
        with limited_connection(None, spill=self.staging / "spill") as connection:
            connection.register("corrections", corrections)
            self.lake.register_versions(connection)
            self._know_since(pc.min(corrections["known_at"].cast(pa.int64())).as_py())
            condition = "superseded_at IS NULL AND event_id IN (SELECT event_id FROM corrections)"
            found = connection.execute(f"SELECT DISTINCT filename FROM event_versions WHERE {condition}").fetchall()
            closed = "coalesce(superseded_at, known_at) AS superseded_at"
            names = {str(self.lake.root / file.path): file for file in self._manifest.files}
            for (filename,) in found:
                file = names[filename]
                scan = f"read_parquet({quoted(filename)}, hive_partitioning = false)"
                query = f"SELECT * REPLACE ({closed}) FROM {scan} LEFT JOIN corrections USING (event_id)"
                self.replace_file(connection, file, query)

    def replace_file(self, connection: duckdb.DuckDBPyConnection, file: LakeFile, query: str) -> None:
        """Writes a live file anew as the rows of a query, over a `limited_connection`; gone where it gives none."""
        written = self._written(connection, query, folder=Path(file.path).parent)
        self._added += [written] if written is not None else []
        self._retired.add(file.path)
        self._replaces = True

    def commit(self, *, progress: Callable[[float], None] = lambda share: None) -> None:
        """Puts what was gathered into the lake. Nothing gathered: nothing changes, not even the manifest."""
        with limited_connection(None, spill=self.staging / "spill") as connection:
            if self._n_parts:
                parts = f"read_parquet({quoted(self._rows / '*.parquet')}, hive_partitioning = false)"
                known = self._known_already(connection, parts) if self._stretch is not None else ""
                self.write_query(connection, f"SELECT * FROM {parts} {known}")
                self._n_parts = 0
            self._put_in_order(connection, progress)
        if self._added or self._retired or self._stretch is not None:
            self._replace_manifest()

    def _known_already(self, connection: duckdb.DuckDBPyConnection, parts: str) -> str:
        """The condition that leaves out what an import has brought too, be it under another customer's key.

        The log has each event once: what only the log has brought is in the lake by the stretches before.
        """
        if not self._manifest.imported:
            row = connection.execute(f"SELECT count(*) FROM {parts}").fetchone()
            self.n_exported, self.n_left_out = (row[0] if row else 0), 0
            return ""
        self.lake.register_versions(connection)
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE known_already AS SELECT DISTINCT event_id FROM event_versions "
            f"SEMI JOIN (SELECT event_id FROM {parts}) USING (event_id)"
        )
        counts = connection.execute(
            f"SELECT (SELECT count(*) FROM {parts}), (SELECT count(*) FROM known_already)"
        ).fetchone()
        n_rows, self.n_left_out = counts or (0, 0)
        self.n_exported = n_rows - self.n_left_out
        return "WHERE event_id NOT IN (SELECT event_id FROM known_already)"

    def _know_since(self, at_us: int | None) -> None:
        self._since_us += [at_us] if at_us is not None else []

    def _put_in_order(self, connection: duckdb.DuckDBPyConnection, progress: Callable[[float], None]) -> None:
        partitions = sorted(self._partitions.glob("month_=*/bucket_=*"))

        def put(partition: Path) -> tuple[LakeFile | None, int | None, Sequence[LakeFile]]:
            month, bucket = (part.partition("=")[2] for part in partition.parts[-2:])
            folder = Path("events") / f"month={month[:-2]}-{month[-2:]}" / f"bucket={int(bucket):02d}"
            parts = sorted(partition.glob("*.parquet"))
            taken = worth_taking_in(sum(pq.read_metadata(part).num_rows for part in parts), self._live_in(folder))
            listed = ", ".join(quoted(path) for path in (*parts, *(self.lake.root / file.path for file in taken)))
            with connection.cursor() as cursor:
                file = self._written(
                    cursor, f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false)", folder=folder
                )
                since_us = _known_since(cursor, partition)
            shutil.rmtree(partition)
            return file, since_us, taken

        with ThreadPoolExecutor(THREADS) as pool:
            for done, (file, since_us, taken) in enumerate(pool.map(put, partitions), start=1):
                self._added += [file] if file is not None else []
                self._retired |= {old.path for old in taken}
                self._know_since(since_us)
                progress(done / len(partitions))

    def _live_in(self, folder: Path) -> list[LakeFile]:
        return [
            file for file in self._manifest.files if file.path not in self._retired and Path(file.path).parent == folder
        ]

    def _replace_manifest(self) -> None:
        before, stretch = self._manifest, self._stretch
        for folder in {(self.lake.root / file.path).parent for file in self._added}:
            sync_folder(folder)
        manifest = replace(
            before,
            files=tuple(file for file in before.files if file.path not in self._retired) + tuple(self._added),
            retired=tuple(self._retired) if self._added or self._retired else before.retired,
            commit=before.commit + 1,
            origin=before.origin or uuid.uuid4().hex,
        )
        if stretch is None or self._replaces:
            manifest = replace(manifest, changed=manifest.commit)
        if stretch is not None:
            manifest = replace(manifest, log_through=stretch.through, logged=climbed(before.logged, stretch.steps))
        elif self._since_us:
            step = Step(manifest.commit, min(self._since_us))
            manifest = replace(manifest, imported=climbed(before.imported, [step]))
        write_manifest(self.lake.manifest_path, manifest)
        for path in set(before.retired) - set(manifest.retired):  # spared for one commit's readers, no longer
            (self.lake.root / path).unlink(missing_ok=True)
        self._manifest, self._added, self._retired = self.lake.manifest(), [], set()
        self._since_us, self._stretch, self._replaces = [], None, False

    def _next_part(self) -> Path:
        self._n_parts += 1
        return self._rows / f"{self._n_parts:06d}.parquet"

    def _written(self, connection: duckdb.DuckDBPyConnection, query: str, *, folder: Path) -> LakeFile | None:
        path = folder / f"{uuid.uuid4().hex}.parquet"
        target = self.lake.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        connection.execute(
            f"COPY (SELECT {_COLUMNS} FROM ({query}) ORDER BY customer_key, occurred_at, event_id, received_at) "
            f"TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PRESERVE_ORDER true)"
        )
        figures = connection.execute(
            "SELECT count(*), count(superseded_at), epoch_us(min(occurred_at)), epoch_us(max(occurred_at)), "
            f"min(customer_key) FROM read_parquet({quoted(target)})"
        ).fetchone()
        if figures is None or not figures[0]:
            target.unlink()
            return None
        n_rows, n_superseded, first_us, last_us, a_key = figures
        with target.open("rb") as file:
            os.fsync(file.fileno())
        return LakeFile(
            path=path.as_posix(),
            bucket=a_key % N_BUCKETS,
            n_rows=n_rows,
            n_superseded=n_superseded,
            first_us=first_us,
            last_us=last_us,
            n_bytes=target.stat().st_size,
            sha256=sha256_of(target),
        )


def _known_since(connection: duckdb.DuckDBPyConnection, partition: Path) -> int | None:
    """The earliest instant (microseconds) since which any of the new rows was known."""
    row = connection.execute(
        "SELECT epoch_us(min(greatest(occurred_at, received_at))) "
        f"FROM read_parquet({quoted(partition / '*.parquet')}, hive_partitioning = false)"
    ).fetchone()
    return row[0] if row else None


def _busy(root: Path, process: str) -> LakeIsBusy:
    return LakeIsBusy(
        f"Asked to write to the lake {root}, but process {process} is writing to it. One writes at a time: "
        "wait until it ends."
    )
