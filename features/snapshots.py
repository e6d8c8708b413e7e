"""Snapshots: the features of everyone as of one instant, as Parquet, one row a customer.

They lie in `lake/snapshots/as_of=…/snapshot.parquet`, with `event_timestamp` = as_of in microseconds. What a snapshot
was made from is written beside it (`features.snapshot_origin`): one that would come out otherwise now is made anew when
it is asked for. Where only some customers are asked for, and there is no snapshot of everyone, theirs is made, in
`lake/snapshots/drawn/as_of=…`.
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
from features.drawn import Draw
from features.faults import CallersMistake
from features.forgetting import replace_table
from features.lake import Lake
from features.lake_manifest import sync_folder
from features.schema import FeatureSchema, feature_schema
from features.snapshot_origin import (
    FILE,
    MADE_FROM,
    Standing,
    drawn_folder,
    event_log_table,
    said_of,
    snapshots_folder,
    standing,
    stored_drawn,
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
    return _within(snapshots_folder(workspace), as_of)


def _within(folder: Path, as_of: datetime) -> Path:
    return folder / f"as_of={as_of.astimezone(UTC):%Y-%m-%dT%H-%M-%S.%f}" / FILE


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
    draw: Draw | None = None,
) -> list[Path]:
    """The snapshots of many instants in one pass over the lake; only those that are missing or outdated are made.

    Args:
        workspace: of the brand.
        as_ofs: aware instants, in any order.
        brand: where it is loaded already.
        incremental: from the snapshot before each instant, where there is one, instead of from all events; the same
            rows come out.
        on_progress: called after each instant.
        draw: these customers suffice: a file may hold no others, or everyone (`features.drawn.read_rows`); None for
            everyone. Not together with `incremental`.

    Returns:
        The Parquet files in the order of `as_ofs`.

    Raises:
        CallersMistake: an instant has no zone, or one of the brand's own files is wrong.
    """
    brand = brand or load_brand(workspace)
    schema = feature_schema(brand, workspace)
    stands = standing(workspace, brand=brand, schema=schema)
    _sweep(workspace, schema_version=schema.version)
    found = {as_of: _found(workspace, check_as_of(as_of), stands, draw=draw) for as_of in as_ofs}
    missing = sorted(as_of for as_of, path in found.items() if path is None)
    tell = on_progress or (lambda as_of: None)
    if incremental:
        missing = _update(workspace, missing, stands=stands, brand=brand, schema=schema, tell=tell)
    tables = _tables(workspace, missing, stands=stands, brand=brand, schema=schema, draw=draw)
    for as_of, table in zip(missing, tables, strict=True):
        _write(_place(workspace, as_of, draw), as_of, table=table, stands=stands, draw=draw)
        tell(as_of)
    return [found[as_of] or _place(workspace, as_of, draw) for as_of in as_ofs]


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
        _write(snapshot_path(workspace, as_of), as_of, table=table, stands=stands)
        tell(as_of)
    return others


def _tables(
    workspace: Workspace,
    as_ofs: Sequence[datetime],
    *,
    stands: Standing,
    brand: Brand,
    schema: FeatureSchema,
    draw: Draw | None,
) -> Iterable[pa.Table]:
    if not as_ofs:
        return []
    spill = workspace.lake / "spill"
    sources = Sources(Lake(workspace.lake), log=stands.log, merges=stands.merges, draw=draw)
    return aggregate(sources, as_ofs, brand=brand, schema=schema, spill=spill)


def _found(workspace: Workspace, as_of: datetime, stands: Standing, *, draw: Draw | None) -> Path | None:
    """The file that holds an instant's customers as they would come out now; None where there is none."""
    path = snapshot_path(workspace, as_of)
    if path.is_file() and stands.is_current(said_of(path), as_of):
        return _asked_for(path)
    drawn = _place(workspace, as_of, draw)
    if draw is None or not drawn.is_file():
        return None
    said = said_of(drawn)
    return _asked_for(drawn) if said.get("lots", 0) >= draw.lots and stands.is_current(said, as_of) else None


def _asked_for(path: Path) -> Path:
    os.utime(path.with_name(MADE_FROM))  # features.snapshot_keeping keeps it
    return path


def _place(workspace: Workspace, as_of: datetime, draw: Draw | None) -> Path:
    return snapshot_path(workspace, as_of) if draw is None else _within(drawn_folder(workspace), as_of)


def _write(path: Path, as_of: datetime, *, table: pa.Table, stands: Standing, draw: Draw | None = None) -> None:
    """Replaces a snapshot; it is current only once its Parquet file is whole and on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(MADE_FROM)
    beside.unlink(missing_ok=True)
    replace_table(path, table)
    written = beside.with_name(f".{MADE_FROM}.{os.getpid()}")
    said = stands.made_from(as_of) | ({} if draw is None else {"lots": draw.lots})
    written.write_text(json.dumps(said), "utf-8")
    sync_file(written)
    written.replace(beside)
    sync_folder(path.parent)


def _sweep(workspace: Workspace, *, schema_version: str) -> None:
    """Removes snapshots of another schema: one folder holds files of the same columns only."""
    for path in (*stored_snapshots(workspace), *stored_drawn(workspace)):
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
