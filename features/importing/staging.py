"""From rows to events that have no customer keys yet: each row used, left out, or refused for one reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb

from features.brand import Brand
from features.faults import CallersMistake
from features.importing.files import Export
from features.importing.mapping_file import MappingFile
from features.importing.reading import number_of
from features.importing.records import RecordSql
from features.importing.report import ImportReport
from features.importing.rows import Rows
from features.importing.unmatched import unmatched_maps
from features.lake import quoted


def stage(
    connection: duckdb.DuckDBPyConnection,
    mapped: MappingFile,
    brand: Brand,
    exports: Sequence[Export],
    tables: dict[str, list[Export]],
    *,
    folder: Path,
    progress: Callable[[str, float], None],
) -> ImportReport:
    """Makes the view `staged` of events without keys; the report has its rows counted, its events not yet."""
    rows = Rows(connection, mapped, folder=folder)
    rows.read(exports, tables, progress=lambda share: progress("reading", share))
    columns = rows.shape()
    mapping = mapped.mapping
    n_exports = len(exports) if mapping.query is None else 1  # what a query makes is of no file
    source_columns = tuple(rows.source_columns)
    records = [RecordSql(mapping, brand, columns, source_columns, n, n_exports) for n in range(len(mapping.events))]
    for n, record in enumerate(records):
        progress("mapping", n / (len(records) + 1))
        connection.execute(record.stage())
        mixed = record.refuse_mixed_groups()
        if mixed is not None:
            connection.execute(mixed)
    progress("mapping", len(records) / (len(records) + 1))
    n_bad = _gather_bad(connection, records)
    good = "__rapport_id NOT IN (SELECT __rapport_id FROM bad)" if n_bad else "true"
    queries = []
    for record in records:
        # Groups are made once; what is made line by line is cheaper made again where it is read than kept.
        kind = "TABLE" if record.record.group_by else "VIEW"
        connection.execute(f"CREATE {kind} events_{record.number} AS {record.events(good=good)}")
        queries.append(f"SELECT * FROM events_{record.number}")
    connection.execute(f"CREATE VIEW staged AS {' UNION ALL '.join(queries)}")
    report = _count_rows(connection, rows, records, folder=folder)
    return replace(report, warnings=unmatched_maps(connection, mapping))


@contextmanager
def failing_rows(mapped: MappingFile) -> Iterator[None]:
    """Where the mapping's expressions run: what fails in them is the mapping's to mend."""
    try:
        yield
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
        said = str(error).strip().splitlines()[0]
        raise CallersMistake(
            f"Asked to import with {mapped.path}, but one of its expressions fails on a row: {said}. Write it so that "
            "it gives null there, with TRY_CAST or TRY(…)."
        ) from error


def _gather_bad(connection: duckdb.DuckDBPyConnection, records: Sequence[RecordSql]) -> int:
    """Makes the table `bad`: each row that is refused, once, by the first reason found."""
    refused = ["SELECT __rapport_id, -1 AS record, __rapport_bad AS reason FROM input WHERE __rapport_bad IS NOT NULL"]
    refused += [
        f"SELECT __rapport_id, {record.number}, reason FROM {record.table} WHERE reason IS NOT NULL"
        for record in records
    ]
    union = " UNION ALL ".join(refused)
    connection.execute(
        "CREATE TABLE bad AS SELECT __rapport_id, min(record) AS record, arg_min(reason, record) AS reason "
        f"FROM ({union}) GROUP BY __rapport_id"
    )
    return number_of(connection, "SELECT count(*) FROM bad")


def _count_rows(
    connection: duckdb.DuckDBPyConnection, rows: Rows, records: Sequence[RecordSql], *, folder: Path
) -> ImportReport:
    taken = " OR ".join(record.takes() for record in records)
    n_taken = number_of(connection, f"SELECT count(*) FROM input WHERE {taken}")
    n_used = n_taken - number_of(connection, "SELECT count(*) FROM bad WHERE record >= 0")
    reasons = "SELECT reason FROM bad UNION ALL SELECT reason FROM malformed"
    counts = connection.execute(
        f"SELECT reason, count(*) FROM ({reasons}) GROUP BY reason ORDER BY 2 DESC, 1"
    ).fetchall()
    n_bad = number_of(connection, "SELECT count(*) FROM bad")
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
        "SELECT source.__rapport_file AS file, source.__rapport_row AS row_number, reason, NULL::VARCHAR AS detail, "
        f"CASE WHEN NOT starts_with(reason, 'free_text_') THEN CAST(json_object({named}) AS VARCHAR) END AS original "
        "FROM source JOIN bad USING (__rapport_id) "
        "UNION ALL SELECT __rapport_file, __rapport_row, reason, detail, original FROM malformed"
    )
