"""Snapshots: the features of everyone as of one instant, as Parquet, one row a customer.

They lie in `lake/snapshots/as_of=…/snapshot.parquet`, with `event_timestamp` = as_of in microseconds. What a snapshot
was made from is written beside it (`features.snapshot_origin`): one that would come out otherwise now is made anew when
it is asked for.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from features.aggregation import Sources, aggregate
from features.brand import Brand, load_brand
from features.by_customer_meta import sync_file
from features.faults import CallersMistake
from features.forgetting import replace_table
from features.lake import Lake, instant_us
from features.lake_manifest import sync_folder
from features.schema import FeatureSchema, feature_schema
from features.snapshot_origin import (
    FILE,
    MADE_FROM,
    Standing,
    event_log_table,
    said_of,
    snapshots_folder,
    standing,
    stored_snapshots,
)
from features.workspace import Workspace

__all__ = [
    "build_snapshot",
    "build_snapshots",
    "check_as_of",
    "event_log_table",
    "snapshot_path",
    "snapshots_folder",
    "weekly",
]


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
    incremental: bool = False,
    on_progress: Callable[[datetime], None] | None = None,
) -> list[Path]:
    """The snapshots of many instants in one pass over the lake; only those that are missing or outdated are made.

    Args:
        workspace: of the brand.
        as_ofs: aware instants, in any order.
        brand: where it is loaded already.
        incremental: from the snapshot before each instant, where there is one, instead of from all events; the same
            rows come out.
        on_progress: called after each instant.

    Returns:
        The Parquet files in the order of `as_ofs`.

    Raises:
        CallersMistake: an instant has no zone, or one of the brand's own files is wrong.
    """
    brand = brand or load_brand(workspace)
    schema = feature_schema(brand, workspace)
    stands = standing(workspace, brand=brand, schema=schema)
    _sweep(workspace, schema_version=schema.version)
    missing = sorted({as_of for as_of in as_ofs if instant_us(as_of) and not _is_current(workspace, as_of, stands)})
    tell = on_progress or (lambda as_of: None)
    if incremental:
        missing = _update(workspace, missing, stands=stands, brand=brand, schema=schema, tell=tell)
    tables = _tables(workspace, missing, stands=stands, brand=brand, schema=schema)
    for as_of, table in zip(missing, tables, strict=True):
        _write(workspace, as_of, table=table, stands=stands)
        tell(as_of)
    return [snapshot_path(workspace, as_of) for as_of in as_ofs]


def _update(
    workspace: Workspace,
    missing: Sequence[datetime],
    *,
    stands: Standing,
    brand: Brand,
    schema: FeatureSchema,
    tell: Callable[[datetime], None],
) -> list[datetime]:
    """Makes those that can be made from the snapshot before them; gives the others."""
    from features.incremental import base_for, updated

    others = []
    for as_of in missing:
        base = base_for(workspace, as_of, stands=stands)
        table = base and updated(workspace, as_of, base=base, stands=stands, brand=brand, schema=schema)
        if table is None:
            others.append(as_of)
            continue
        _write(workspace, as_of, table=table, stands=stands)
        tell(as_of)
    return others


def _tables(
    workspace: Workspace, as_ofs: Sequence[datetime], *, stands: Standing, brand: Brand, schema: FeatureSchema
) -> Iterable[pa.Table]:
    if not as_ofs:
        return []
    spill = workspace.lake / "spill"
    sources = Sources(Lake(workspace.lake), log=stands.log, merges=stands.merges)
    return aggregate(sources, as_ofs, brand=brand, schema=schema, spill=spill)


def _is_current(workspace: Workspace, as_of: datetime, stands: Standing) -> bool:
    path = snapshot_path(workspace, as_of)
    if not path.is_file() or not stands.is_current(said_of(path), as_of):
        return False
    os.utime(path.with_name(MADE_FROM))  # asked for: features.snapshot_keeping keeps it
    return True


def _write(workspace: Workspace, as_of: datetime, *, table: pa.Table, stands: Standing) -> None:
    """Replaces a snapshot; it is current only once its Parquet file is whole and on disk."""
    path = snapshot_path(workspace, as_of)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(MADE_FROM)
    beside.unlink(missing_ok=True)
    replace_table(path, table)
    written = beside.with_name(f".{MADE_FROM}.{os.getpid()}")
    written.write_text(json.dumps(stands.made_from(as_of)), "utf-8")
    sync_file(written)
    written.replace(beside)
    sync_folder(path.parent)


def _sweep(workspace: Workspace, *, schema_version: str) -> None:
    """Removes snapshots of another schema: one folder holds files of the same columns only."""
    for path in stored_snapshots(workspace):
        if said_of(path).get("schema") != schema_version:
            shutil.rmtree(path.parent, ignore_errors=True)


def check_as_of(as_of: datetime) -> datetime:
    """The instant itself, in UTC.

    Raises:
        CallersMistake: it has no zone.
    """
    if as_of.tzinfo is None:
        raise CallersMistake(f"Asked for features as of {as_of}, which has no time zone. Instants are aware: add UTC.")
    return as_of.astimezone(UTC)
