"""One import: a shop's files become events in the lake, whole or not at all.

The mapping's own SQL runs behind closed doors: its connection reads the imported files, writes into the staging folder,
and reaches nothing else. What the lake holds already is compared by another connection, which runs no text of the
mapping's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from features.brand import Brand
from features.importing.files import Export, as_pattern, find_exports, fingerprint_of
from features.importing.loading import Loading
from features.importing.mapping_file import MappingFile
from features.importing.report import ImportReport
from features.importing.rows import table_exports
from features.importing.staging import failing_rows, stage
from features.lake import Lake, quoted
from features.lake_writer import LakeWriter, limited_connection
from features.workspace import Workspace

Progress = Callable[[str, float], None]
STEPS = ("reading", "mapping", "customers", "comparing", "writing", "done")


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
        with limited_connection(database, spill=writer.staging / "spill") as connection, failing_rows(asked.mapped):
            _close_doors(connection, [*exports, *(export for table in tables.values() for export in table)], writer)
            rows = stage(
                connection, asked.mapped, asked.brand, exports, tables, folder=writer.staging, progress=progress
            )
            loading = Loading(connection, asked.workspace.database, writer, now or datetime.now(UTC), progress)
            report = loading.load(rows)
        report = replace(report, quarantine_file=_keep_quarantine(asked, exports, writer))
        progress("done", 1.0)
    return report


def _close_doors(connection: duckdb.DuckDBPyConnection, exports: Sequence[Export], writer: LakeWriter) -> None:
    """From here on this connection reads the exports, writes into the staging folder, and reaches nothing else."""
    files = {name for export in exports for path in export.files for name in (str(path), as_pattern(path))}
    paths = ", ".join(quoted(name) for name in sorted(files))
    # Lines of text are numbered by the order in which they are kept; Parquet files number their rows themselves.
    is_text = any(export.format != "parquet" for export in exports)
    connection.execute(f"SET preserve_insertion_order = {str(is_text).lower()}")
    connection.execute(f"SET allowed_paths = [{paths}]; SET allowed_directories = [{quoted(writer.staging.resolve())}]")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


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
