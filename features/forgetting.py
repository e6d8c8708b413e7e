"""Taking one person out of what lies outside the database: files of the lake, rows of the online store.

Each function removes what is still there and says how much that was, so that doing it again is harmless.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.database import empty_journal
from features.feast_loading import load_feast
from features.lake import Lake
from features.lake_manifest import sync_folder
from features.lake_rewriting import forget, purge
from features.workspace import Workspace

KEY = "customer_key"
_SPILL_SECONDS = 86_400.0  # no query runs longer
_NOT_TABLES = ("events", "staging", "spill", "quarantine", "by_customer")


def forget_lake(workspace: Workspace, customer_keys: Sequence[int]) -> int:
    """Their events, in every version, and the files that held them; gives how many rows.

    Raises:
        CallersMistake: another process is writing to the lake.
    """
    lake = Lake(workspace.lake)
    n_rows = forget(lake, customer_keys)
    purge(lake)
    return n_rows


def forget_tables(workspace: Workspace, customer_keys: Sequence[int]) -> Counter[str]:
    """Their rows in snapshots, scores, vectors and whatever else lies beside the events; gives how many by folder."""
    _sweep(workspace)
    removed: Counter[str] = Counter()
    for path in tables_of(workspace):
        n_rows = _leave_out(path, customer_keys)
        if n_rows:
            removed[path.relative_to(workspace.lake).parts[0]] += n_rows
    return removed


def tables_of(workspace: Workspace) -> Iterator[Path]:
    """Every Parquet file beside the events that has rows of customers."""
    for path in sorted(workspace.lake.rglob("*.parquet")):
        if path.relative_to(workspace.lake).parts[0] not in _NOT_TABLES:
            try:
                names = pq.read_schema(path).names
            except (OSError, pa.ArrowInvalid):
                continue  # it is being replaced, or is half of a file whose writer was killed: nobody reads that
            if KEY in names:
                yield path


def replace_table(path: Path, table: pa.Table) -> None:
    """Replaces a Parquet file; after this returns the new one is on disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    pq.write_table(table, partial, compression="zstd", compression_level=1, use_dictionary=False)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def _sweep(workspace: Workspace) -> None:
    """Removes what killed processes left half written, and what DuckDB left behind of queries of days past."""
    for path in workspace.lake.rglob(".*.parquet.*"):
        owner = path.suffix[1:]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            path.unlink(missing_ok=True)
    for path in (workspace.lake / "spill").glob("*"):
        if path.is_file() and time.time() - path.stat().st_mtime > _SPILL_SECONDS:
            path.unlink(missing_ok=True)


def _leave_out(path: Path, customer_keys: Sequence[int]) -> int:
    keys = pa.array([int(key) for key in customer_keys], pa.int64())
    held = pq.read_table(path, columns=[KEY], partitioning=None, filters=[(KEY, "in", set(keys.to_pylist()))])
    if held.num_rows:
        table = pq.read_table(path, partitioning=None)
        replace_table(path, table.filter(pc.invert(pc.is_in(table[KEY], keys))))
    return int(held.num_rows)


def forget_quarantine(workspace: Workspace, customer_ids: Sequence[str]) -> int:
    """Rows that an import refused and that name one of these ids anywhere; gives how many."""
    removed = 0
    for path in sorted((workspace.lake / "quarantine").glob("*.parquet")):
        table = pq.read_table(path, partitioning=None)
        names = [_names_any(row, customer_ids) for row in table.to_pylist()]
        if any(names):
            replace_table(path, table.filter(pa.array([not one for one in names])))
            removed += sum(names)
    return removed


def forget_online(workspace: Workspace, customer_keys: Sequence[int]) -> int:
    """Their rows in the online store, of whichever schema, overwritten on disk; gives how many there were.

    Feast deletes no single row, so that this speaks to its SQLite file itself, in the format that its keys have.
    """
    from features.definitions import online_path

    path = online_path(workspace)
    if not path.is_file():
        return 0
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        tables = _keyed_tables(connection)
        if not tables:
            return 0
        removed = 0
        with connection:
            for entity in _entity_keys(customer_keys):
                for table in tables:
                    removed += connection.execute(f'DELETE FROM "{table}" WHERE entity_key = ?', (entity,)).rowcount
    return removed


def empty_online_journal(workspace: Workspace) -> bool:
    """Whether what was deleted from the online store stands in its journal no longer; made so where nobody reads."""
    from features.definitions import online_path

    path = online_path(workspace)
    if not path.is_file():
        return True
    with closing(sqlite3.connect(path)) as connection:
        return empty_journal(connection)


def _keyed_tables(connection: sqlite3.Connection) -> list[str]:
    query = (
        "SELECT m.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c "
        "WHERE m.type = 'table' AND c.name = 'entity_key' ORDER BY m.name"
    )
    return [row[0] for row in connection.execute(query)]


def _entity_keys(customer_keys: Sequence[int]) -> list[bytes]:
    load_feast()
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    return [
        serialize_entity_key(
            EntityKey(join_keys=[KEY], entity_values=[Value(int64_val=int(key))]), entity_key_serialization_version=3
        )
        for key in customer_keys
    ]


def _names_any(row: dict[str, Any], customer_ids: Sequence[str]) -> bool:
    """Whether a refused row names one of the ids: as a value of its JSON, or as a word of a line that is none."""
    texts = [str(value) for name, value in row.items() if name not in ("file", "row_number") and value is not None]
    for text in texts:
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if isinstance(said, dict):
            if not {str(value) for value in said.values()}.isdisjoint(customer_ids):
                return True
        elif any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text) for one in customer_ids):
            return True
    return False
