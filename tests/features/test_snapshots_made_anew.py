"""A snapshot is made anew where what it was made from has changed or cannot be told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq
import pytest

from features.contract import EVENT_SCHEMA
from features.lake import Lake
from features.snapshots import build_snapshot
from features.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def test_a_snapshot_whose_origin_nobody_can_read_is_made_anew(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Any], noon: Any
) -> None:
    workspace = a_workspace([an_event(1, "Page Viewed")])
    path = build_snapshot(workspace, noon)
    (path.parent / "made_from.json").write_text('{"schema": "cut o', "utf-8")
    written = path.stat().st_mtime_ns
    assert build_snapshot(workspace, noon).stat().st_mtime_ns != written
    assert sorted(file.name for file in path.parent.iterdir()) == ["made_from.json", "snapshot.parquet"]


def test_a_snapshot_is_made_anew_when_the_lake_has_changed(
    a_workspace: Callable[..., Workspace],
    an_order: Callable[..., Any],
    events_table: Callable[..., Any],
    noon: datetime,
) -> None:
    workspace = a_workspace([an_order(1)])
    path = build_snapshot(workspace, noon)
    written = path.stat().st_mtime_ns
    assert build_snapshot(workspace, noon).stat().st_mtime_ns == written
    with Lake(workspace.lake).writer() as writer:
        writer.write(events_table([an_order(2)], EVENT_SCHEMA))
    assert pq.read_table(build_snapshot(workspace, noon))["customer_key"].to_pylist() == [1, 2]
