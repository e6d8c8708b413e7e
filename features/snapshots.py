"""Snapshots: the features of everyone as of one instant, as Parquet, one row a customer.

They lie in `lake/snapshots/as_of=…/snapshot.parquet`, with `event_timestamp` = as_of in microseconds. What a snapshot
was made from (lake, log, SQL, schema) is written beside it: one made from something else is made anew when asked for.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.aggregation import Sources, aggregate, sql_fingerprint
from features.brand import Brand, load_brand
from features.database import connect
from features.event_log import LOG_SCHEMA, EventLog
from features.faults import CallersMistake
from features.lake import Lake, instant_us
from features.schema import FeatureSchema, feature_schema
from features.workspace import Workspace

FILE = "snapshot.parquet"
MADE_FROM = "made_from.json"


def snapshots_folder(workspace: Workspace) -> Path:
    """Where all snapshots of a workspace lie."""
    return workspace.lake / "snapshots"


def snapshot_path(workspace: Workspace, as_of: datetime) -> Path:
    """Where the snapshot of an instant is, whether or not it has been made."""
    return snapshots_folder(workspace) / f"as_of={as_of.astimezone(UTC):%Y-%m-%dT%H-%M-%S.%f}" / FILE


def weekly(as_of: datetime, *, weeks: int) -> list[datetime]:
    """An instant and those whole weeks before it, ascending: `weeks` in all, at least one."""
    return [as_of - timedelta(days=7 * back) for back in range(max(weeks, 1))][::-1]


def build_snapshot(workspace: Workspace, as_of: datetime) -> Path:
    """The snapshot of an instant; made now if it is missing or was made from other data. Returns its Parquet file."""
    return build_snapshots(workspace, [as_of])[0]


def build_snapshots(
    workspace: Workspace,
    as_ofs: Sequence[datetime],
    *,
    brand: Brand | None = None,
    on_progress: Callable[[datetime], None] | None = None,
) -> list[Path]:
    """The snapshots of many instants in one pass over the lake; only those that are missing or outdated are made.

    Args:
        workspace: of the brand.
        as_ofs: aware instants, in any order.
        brand: where it is loaded already.
        on_progress: called after each instant.

    Returns:
        The Parquet files in the order of `as_ofs`.

    Raises:
        CallersMistake: an instant has no zone, or one of the brand's own files is wrong.
    """
    brand = brand or load_brand(workspace)
    schema = feature_schema(brand, workspace)
    made_from = _made_from(workspace, brand=brand, schema=schema)
    _sweep(workspace, schema_version=schema.version)
    missing = sorted({as_of for as_of in as_ofs if instant_us(as_of) and not _is_current(workspace, as_of, made_from)})
    for as_of, table in zip(missing, _tables(workspace, missing, brand=brand, schema=schema), strict=True):
        _write(workspace, as_of, table=table, made_from=made_from)
        if on_progress is not None:
            on_progress(as_of)
    return [snapshot_path(workspace, as_of) for as_of in as_ofs]


def rows_of(
    workspace: Workspace,
    customers: Sequence[int],
    *,
    as_of: datetime,
    brand: Brand,
    schema: FeatureSchema,
    log: pa.Table,
) -> pa.Table:
    """The rows of a few customers as of an instant, computed now from all of their history by the snapshots' SQL.

    `log` holds these customers' events of the log, with the columns of LOG_SCHEMA.
    """
    keys = tuple(int(key) for key in customers)
    sources = Sources(Lake(workspace.lake), log=log, customers=keys)
    return next(iter(aggregate(sources, [as_of], brand=brand, schema=schema)))


def _tables(
    workspace: Workspace, as_ofs: Sequence[datetime], *, brand: Brand, schema: FeatureSchema
) -> Iterable[pa.Table]:
    if not as_ofs:
        return []
    spill = workspace.lake / "spill"
    return aggregate(
        Sources(Lake(workspace.lake), log=event_log_table(workspace)), as_ofs, brand=brand, schema=schema, spill=spill
    )


def event_log_table(workspace: Workspace) -> pa.Table:
    """Everything in the workspace's event log, with the columns of LOG_SCHEMA."""
    if not workspace.database.is_file():
        return LOG_SCHEMA.empty_table()
    connection = connect(workspace.database)
    try:
        return EventLog(connection).since(0)
    finally:
        connection.close()


def _made_from(workspace: Workspace, *, brand: Brand, schema: FeatureSchema) -> dict[str, object]:
    log = event_log_table(workspace)
    return {
        "schema": schema.version,
        "lake": Lake(workspace.lake).fingerprint(),
        "log_seq": log["log_seq"][-1].as_py() if log.num_rows else 0,
        "sql": sql_fingerprint(),
        "time_zone": brand.time_zone,
        "events": brand.events.model_dump(),
        "traits": {name: [trait.type, list(trait.choices), trait.purpose] for name, trait in brand.traits.items()},
    }


def _is_current(workspace: Workspace, as_of: datetime, made_from: dict[str, object]) -> bool:
    path = snapshot_path(workspace, as_of)
    beside = path.with_name(MADE_FROM)
    return path.is_file() and _said(beside) == made_from


def _said(beside: Path) -> dict[str, object]:
    """What a snapshot was made from; nothing where nobody can read it."""
    try:
        said = json.loads(beside.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _write(workspace: Workspace, as_of: datetime, *, table: pa.Table, made_from: dict[str, object]) -> None:
    """Replaces a snapshot; it is current only once its Parquet file is whole."""
    path = snapshot_path(workspace, as_of)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(MADE_FROM)
    beside.unlink(missing_ok=True)
    partial = path.with_name(f".{FILE}.{os.getpid()}")
    pq.write_table(table, partial, compression="zstd", compression_level=1, use_dictionary=False)
    partial.replace(path)
    written = beside.with_name(f".{MADE_FROM}.{os.getpid()}")
    written.write_text(json.dumps(made_from), "utf-8")
    written.replace(beside)


def _sweep(workspace: Workspace, *, schema_version: str) -> None:
    """Removes snapshots of another schema: one folder holds files of the same columns only."""
    for beside in snapshots_folder(workspace).glob(f"as_of=*/{MADE_FROM}"):
        if _said(beside).get("schema") != schema_version:
            shutil.rmtree(beside.parent, ignore_errors=True)


def check_as_of(as_of: datetime) -> datetime:
    """The instant itself, in UTC.

    Raises:
        CallersMistake: it has no zone.
    """
    if as_of.tzinfo is None:
        raise CallersMistake(f"Asked for features as of {as_of}, which has no time zone. Instants are aware: add UTC.")
    return as_of.astimezone(UTC)
