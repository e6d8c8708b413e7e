"""Taking something back out of the lake: rows of a few customers are edited or left out, in every version and file.

What a commit writes anew replaces what it was made from, and `purge` removes that from the disk: after both, no file of
the lake holds it. Rewriting changes the past without outdating the snapshots: whoever rewrites mends those themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import duckdb
import pyarrow as pa

from features.contract import EVENT_SCHEMA
from features.lake import N_BUCKETS, SQL_TYPES, Lake, quoted
from features.lake_manifest import LakeFile
from features.lake_writer import LakeWriter, limited_connection

Edit = Callable[[pa.Table], pa.Table]
"""What becomes of the rows of one file; those that it leaves out are gone."""

_COLUMNS = ", ".join(f"{name}::{SQL_TYPES[name]} AS {name}" for name in EVENT_SCHEMA.names)


def forget(lake: Lake, customer_keys: Sequence[int]) -> int:
    """Leaves every event of these customers out of the lake, in every version; gives how many rows that were."""
    return rewrite(lake, customer_keys, where="true", edit=lambda rows: rows.slice(0, 0))


def rewrite(lake: Lake, customer_keys: Sequence[int], *, where: str, edit: Edit) -> int:
    """Edits certain rows of these customers, in every version, as one commit; gives how many rows.

    Args:
        lake: which one; nobody else may be writing to it.
        customer_keys: whose rows.
        where: an SQL condition over EVENT_SCHEMA's columns that says which of them.
        edit: what becomes of them.

    Raises:
        CallersMistake: another process is writing to this lake.
    """
    buckets = {int(key) % N_BUCKETS for key in customer_keys}
    keys = ", ".join(str(int(key)) for key in customer_keys)
    condition = f"(customer_key IN ({keys}) AND coalesce({where}, false))"
    files = [file for file in lake.manifest().files if file.bucket in buckets]
    if not files or not _holds(lake, files, condition):
        return 0  # without taking the writer's lock: an import may be running
    with lake.writer() as writer:
        files = [file for file in lake.manifest().files if file.bucket in buckets]
        with limited_connection(None, spill=writer.staging / "spill") as connection:
            return sum(_rewritten(writer, connection, file, condition=condition, edit=edit) for file in files)


def purge(lake: Lake) -> None:
    """Removes every file that is not live, also those that readers of the manifest before may still look for.

    For what has to be gone now. Who reads meanwhile is told that a file is missing, and reads again.
    """
    if not lake.manifest().files and not (lake.root / "events").is_dir():
        return
    with lake.writer():  # alone; what a killed writer left is swept on the way
        kept = {file.path for file in lake.manifest().files}
        for path in (lake.root / "events").glob("month=*/bucket=*/*"):
            if path.relative_to(lake.root).as_posix() not in kept:
                path.unlink(missing_ok=True)


def _holds(lake: Lake, files: Sequence[LakeFile], condition: str) -> bool:
    paths = ", ".join(quoted(lake.root / file.path) for file in files)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2")
        scan = f"read_parquet([{paths}], hive_partitioning = false)"
        return connection.execute(f"SELECT 1 FROM {scan} WHERE {condition} LIMIT 1").fetchone() is not None


def _rewritten(
    writer: LakeWriter, connection: duckdb.DuckDBPyConnection, file: LakeFile, *, condition: str, edit: Edit
) -> int:
    scan = f"read_parquet({quoted(writer.lake.root / file.path)}, hive_partitioning = false)"
    rows = connection.execute(f"SELECT {_COLUMNS} FROM {scan} WHERE {condition}").to_arrow_table()
    if rows.num_rows:
        connection.register("edited", edit(rows))
        others = f"SELECT {_COLUMNS} FROM {scan} WHERE NOT {condition}"
        query = f"{others} UNION ALL BY NAME SELECT {_COLUMNS} FROM edited"
        writer.replace_file(connection, file, query)
        connection.unregister("edited")
    return int(rows.num_rows)
