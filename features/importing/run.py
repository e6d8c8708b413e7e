"""One import: a shop's files become events in the lake, whole or not at all.

Two connections share one working database. The first runs the mapping's own SQL behind closed doors: it can read the
imported files and nothing else. The second, which runs no text of the mapping's, gives customers their keys, compares
with the lake and writes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from features.brand import Brand
from features.database import connect
from features.faults import CallersMistake
from features.identity import IdentityTable
from features.importing.files import Export, as_pattern, find_exports, fingerprint_of
from features.importing.mapping_file import MappingFile
from features.importing.records import RecordSql
from features.importing.report import ImportReport
from features.importing.rows import Rows, table_exports
from features.lake import Lake, instant_us, quoted
from features.lake_writer import LakeWriter, limited_connection
from features.workspace import Workspace

Progress = Callable[[str, float], None]
STEPS = ("reading", "mapping", "customers", "comparing", "writing", "done")

_CONTENT = (
    "hash(customer_key, event, occurred_at, order_id, total, currency, products, trait, answer, channel, campaign, "
    "action_id, arm, action_probability, outcome, value, window_days, properties)"
)


@dataclass(frozen=True, slots=True)
class Import:
    """What one import is asked to do."""

    workspace: Workspace
    brand: Brand
    mapped: MappingFile
    files: tuple[str | Path, ...]
    tables: tuple[tuple[str, Path], ...] = ()


def run_import(
    asked: Import, *, now: datetime | None = None, progress: Progress = lambda step, share: None
) -> ImportReport:
    """Imports the files; when this returns, the events are in the lake.

    Args:
        asked: files, mapping and where to.
        now: the instant at which corrections became known; the clock's if not given.
        progress: told which of STEPS is going on, and which share of it is done.

    Raises:
        CallersMistake: files that are not there or not readable, a mapping that does not fit them, another import
            running.
    """
    mapping = asked.mapped.mapping
    exports = find_exports(asked.files, mapping.read)
    near = [exports[0].path.resolve().parent, asked.mapped.path.resolve().parent]
    tables = table_exports(mapping, given=dict(asked.tables), near=near)
    lake = Lake(asked.workspace.lake)
    with lake.writer() as writer:
        database = writer.staging / "work.duckdb"
        with limited_connection(database, spill=writer.staging / "spill") as connection:
            _close_doors(connection, [*exports, *(export for table in tables.values() for export in table)], writer)
            staged = _stage(connection, asked, exports, tables, folder=writer.staging, progress=progress)
        with limited_connection(database, spill=writer.staging / "spill") as connection:
            report = _Loading(connection, asked, writer, now or datetime.now(UTC), progress).load(staged)
        report = replace(report, quarantine_file=_keep_quarantine(asked, exports, writer))
        progress("done", 1.0)
    return report


def _close_doors(connection: duckdb.DuckDBPyConnection, exports: Sequence[Export], writer: LakeWriter) -> None:
    """From here on this connection reads the exports, writes into the staging folder, and reaches nothing else."""
    files = {name for export in exports for path in export.files for name in (str(path), as_pattern(path))}
    paths = ", ".join(quoted(name) for name in sorted(files))
    connection.execute("SET preserve_insertion_order = true")
    connection.execute(f"SET allowed_paths = [{paths}]; SET allowed_directories = [{quoted(writer.staging.resolve())}]")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


def _stage(
    connection: duckdb.DuckDBPyConnection,
    asked: Import,
    exports: Sequence[Export],
    tables: dict[str, list[Export]],
    *,
    folder: Path,
    progress: Progress,
) -> ImportReport:
    """Makes the table `staged` of events without keys; the report has its rows counted, its events not yet."""
    rows = Rows(connection, asked.mapped)
    rows.read(exports, tables, progress=lambda share: progress("reading", share))
    columns = rows.shape()
    mapping = asked.mapped.mapping
    records = [
        RecordSql(mapping, asked.brand, columns, tuple(rows.source_columns), n) for n in range(len(mapping.events))
    ]
    for n, record in enumerate(records):
        progress("mapping", n / (len(records) + 1))
        _run(connection, record.stage(), asked.mapped)
        mixed = record.refuse_mixed_groups()
        if mixed is not None:
            connection.execute(mixed)
    progress("mapping", len(records) / (len(records) + 1))
    n_bad = _gather_bad(connection, records)
    good = "_id NOT IN (SELECT _id FROM bad)" if n_bad else "true"
    queries = []
    for record in records:
        # Groups are made once; what is made line by line is cheaper made again where it is read than kept.
        kind = "TABLE" if record.record.group_by else "VIEW"
        connection.execute(f"CREATE {kind} events_{record.number} AS {record.events(good=good)}")
        queries.append(f"SELECT * FROM events_{record.number}")
    connection.execute(f"CREATE VIEW staged AS {' UNION ALL '.join(queries)}")
    return _count_rows(connection, rows, records, folder=folder)


def _run(connection: duckdb.DuckDBPyConnection, sql: str, mapped: MappingFile) -> None:
    """Runs SQL that has the mapping's expressions in it: what fails in it fails for its rows."""
    try:
        connection.execute(sql)
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
        said = str(error).strip().splitlines()[0]
        raise CallersMistake(
            f"Asked to import with {mapped.path}, but one of its expressions fails on a row: {said}. Write it so that it "
            "gives null there, with TRY_CAST or TRY(…)."
        ) from error


def _gather_bad(connection: duckdb.DuckDBPyConnection, records: Sequence[RecordSql]) -> int:
    """Makes the table `bad`: each row that is refused, once, by the first reason found."""
    refused = ["SELECT _id, -1 AS record, _bad AS reason FROM input WHERE _bad IS NOT NULL"]
    refused += [
        f"SELECT _id, {record.number}, reason FROM {record.table} WHERE reason IS NOT NULL" for record in records
    ]
    union = " UNION ALL ".join(refused)
    connection.execute(f"CREATE TABLE bad AS SELECT _id, arg_min(reason, record) AS reason FROM ({union}) GROUP BY _id")
    return _number(connection, "SELECT count(*) FROM bad")


def _count_rows(
    connection: duckdb.DuckDBPyConnection, rows: Rows, records: Sequence[RecordSql], *, folder: Path
) -> ImportReport:
    taken = " UNION ALL ".join(f"SELECT _id FROM {record.table} WHERE reason IS NULL" for record in records)
    distinct = "count(*)" if len(records) == 1 else "count(DISTINCT _id)"
    n_used = _number(connection, f"SELECT {distinct} FROM ({taken}) WHERE _id NOT IN (SELECT _id FROM bad)")
    reasons = "SELECT reason FROM bad UNION ALL SELECT reason FROM malformed"
    counts = connection.execute(
        f"SELECT reason, count(*) FROM ({reasons}) GROUP BY reason ORDER BY 2 DESC, 1"
    ).fetchall()
    n_bad = _number(connection, "SELECT count(*) FROM bad")
    if counts:
        connection.execute(f"COPY ({_refused_rows(rows)}) TO {quoted(folder / 'quarantine.parquet')} (FORMAT parquet)")
    return ImportReport(
        n_read=rows.n_read,
        n_rows=rows.n_source + rows.n_malformed,
        n_used=n_used,
        n_left_out=rows.n_source - n_used - n_bad,
        quarantined=dict(counts),
    )


def _refused_rows(rows: Rows) -> str:
    """Each refused row as it was; an answer in free text is not kept, since nobody could delete it here."""
    named = ", ".join(f"{quoted(name)}, source.{name_sql}" for name, name_sql in rows.source_identifiers())
    return (
        "SELECT source._file AS file, source._row AS row_number, reason, NULL::VARCHAR AS detail, "
        f"CASE WHEN starts_with(reason, 'free_text_') THEN NULL ELSE CAST(json_object({named}) AS VARCHAR) END AS original "
        "FROM source JOIN bad USING (_id) UNION ALL SELECT _file, _row, reason, detail, original FROM malformed"
    )


@dataclass(frozen=True, slots=True)
class _Loading:
    """From staged events to the lake."""

    connection: duckdb.DuckDBPyConnection
    asked: Import
    writer: LakeWriter
    now: datetime
    progress: Progress

    def load(self, report: ImportReport) -> ImportReport:
        self.progress("customers", 0.0)
        self._give_keys()
        self.progress("comparing", 0.0)
        n_repeated = self._choose_last()
        counts = self._compare()
        self.progress("writing", 0.0)
        self._write(n_corrected=counts.get("corrected", 0))
        by_event = self.connection.execute(
            "SELECT event, count(*) FROM chosen GROUP BY event ORDER BY 2 DESC, 1"
        ).fetchall()
        n_customers = _number(self.connection, "SELECT count(DISTINCT customer_key) FROM chosen")
        self.writer.commit(progress=lambda share: self.progress("writing", share))
        return replace(
            report,
            n_new=counts.get("new", 0),
            n_unchanged=counts.get("unchanged", 0),
            n_corrected=counts.get("corrected", 0),
            n_repeated=n_repeated,
            n_customers=n_customers,
            events=dict(by_event),
        )

    def _give_keys(self) -> None:
        """Keys in the order in which customers were first seen, so that the same import gives the same keys."""
        seen = self.connection.execute(
            "SELECT customer_id, kind, epoch_us(min(occurred_at)) FROM staged GROUP BY ALL ORDER BY 3, 1"
        ).fetchall()
        database = connect(self.asked.workspace.database)
        try:
            identity = IdentityTable(database)
            for kind in ("user", "anonymous"):
                first_seen_at = {row[0]: row[2] for row in seen if row[1] == kind}
                identity.keys_for(first_seen_at, kind, first_seen_at=first_seen_at)  # type: ignore[arg-type]
            known = identity.as_arrow()
        finally:
            database.close()
        self.connection.register("known_arrow", known)
        self.connection.execute("CREATE TABLE known AS SELECT customer_id, kind, customer_key FROM known_arrow")
        self.connection.unregister("known_arrow")

    def _choose_last(self) -> int:
        """Makes the view `chosen`: each event once, the last of those that share an id; gives how many were not."""
        keyed = "SELECT staged.*, known.customer_key FROM staged JOIN known USING (kind, customer_id)"
        repeated = "SELECT event_id, max(_id) AS last_id FROM staged GROUP BY event_id HAVING count(*) > 1"
        self.connection.execute(f"CREATE TABLE repeated AS {repeated}")
        if _number(self.connection, "SELECT count(*) FROM repeated") == 0:
            self.connection.execute(f"CREATE VIEW chosen AS {keyed}")
            return 0
        once = (
            f"SELECT keyed.* FROM ({keyed}) AS keyed LEFT JOIN repeated USING (event_id) WHERE last_id IS NULL OR last_id = _id "
            "QUALIFY last_id IS NULL OR row_number() OVER (PARTITION BY event_id ORDER BY record) = 1"
        )
        self.connection.execute(f"CREATE TABLE chosen AS {once}")
        return _number(self.connection, "SELECT (SELECT count(*) FROM staged) - (SELECT count(*) FROM chosen)")

    def _compare(self) -> dict[str, int]:
        """Makes the table `verdicts` of events that the lake knows; gives counts of new, unchanged and corrected."""
        self.writer.lake.register_versions(self.connection, name="versions")
        standing = (
            f"SELECT event_id, {_CONTENT} AS content FROM versions WHERE superseded_at IS NULL "
            "AND event_id IN (SELECT event_id FROM chosen)"
            if self.writer.lake.n_events()
            else "SELECT NULL::VARCHAR AS event_id, NULL::UBIGINT AS content WHERE false"
        )
        ours = f"SELECT event_id, {_CONTENT} AS content FROM chosen"
        self.connection.execute(
            "CREATE TABLE verdicts AS SELECT event_id, standing.content = ours.content AS is_unchanged "
            f"FROM ({standing}) AS standing JOIN ({ours}) AS ours USING (event_id)"
        )
        row = self.connection.execute(
            "SELECT count(*) FILTER (WHERE is_unchanged), count(*) FILTER (WHERE NOT is_unchanged) FROM verdicts"
        ).fetchone()
        unchanged, corrected = row or (0, 0)
        n_chosen = _number(self.connection, "SELECT count(*) FROM chosen")
        return {"new": n_chosen - unchanged - corrected, "unchanged": unchanged, "corrected": corrected}

    def _write(self, *, n_corrected: int) -> None:
        new = "SELECT * FROM chosen WHERE event_id NOT IN (SELECT event_id FROM verdicts)"
        if _number(self.connection, "SELECT count(*) FROM verdicts") == 0:
            new = "SELECT * FROM chosen"
        if _number(self.connection, f"SELECT count(*) FROM (SELECT 1 FROM ({new}) LIMIT 1)"):
            self.writer.write_query(self.connection, new)
        if not n_corrected:
            return
        changed = "SELECT event_id FROM verdicts WHERE NOT is_unchanged"
        known_at = f"make_timestamp({instant_us(self.now)})"
        self.writer.supersede(self.connection.execute(changed).to_arrow_table(), at=self.now)
        self.writer.write_query(
            self.connection,
            f"SELECT * REPLACE ({known_at} AS received_at, false AS backfilled) FROM chosen WHERE event_id IN ({changed})",
        )


def _keep_quarantine(asked: Import, exports: Sequence[Export], writer: LakeWriter) -> str | None:
    """Puts refused rows where they stay; the same import again puts the same rows in the same place."""
    fingerprint = fingerprint_of(exports, asked.mapped.path.read_bytes())
    name = f"{asked.mapped.path.stem}-{fingerprint[:12]}.parquet"
    target = writer.lake.root / "quarantine" / name
    refused = writer.staging / "quarantine.parquet"
    if not refused.exists():
        target.unlink(missing_ok=True)
        return None
    target.parent.mkdir(exist_ok=True)
    shutil.move(refused, target)
    return str(target)


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
