"""A snapshot can always be made again: those that nobody asks for go, and never the newest."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.snapshot_keeping import KEPT_FOR, KEPT_FOR_OFF_MIDNIGHT, prune_snapshots
from features.snapshot_origin import MADE_FROM, as_of_of, stored_snapshots
from features.snapshots import build_snapshots, snapshot_path
from features.workspace import Workspace

MIDNIGHT = datetime(2024, 5, 1, tzinfo=UTC)
OFF = datetime(2024, 5, 2, 9, 30, 12, tzinfo=UTC)
NEWEST = datetime(2024, 5, 3, 9, 30, tzinfo=UTC)


@pytest.fixture
def shop(a_workspace: Callable[..., Workspace], an_order: Callable[..., dict[str, Any]]) -> Workspace:
    workspace = a_workspace([an_order(1, days_ago=60)])
    build_snapshots(workspace, [MIDNIGHT, OFF, NEWEST])
    return workspace


def asked_for(workspace: Workspace, *, at: datetime) -> None:
    for path in stored_snapshots(workspace):
        os.utime(path.with_name(MADE_FROM), (at.timestamp(), at.timestamp()))


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        (timedelta(hours=1), [MIDNIGHT, OFF, NEWEST]),
        (KEPT_FOR_OFF_MIDNIGHT + timedelta(hours=1), [MIDNIGHT, NEWEST]),
        (KEPT_FOR + timedelta(hours=1), [NEWEST]),
    ],
)
def test_what_nobody_asks_for_goes_and_the_newest_stays(
    shop: Workspace, later: timedelta, kept: list[datetime]
) -> None:
    asked_for(shop, at=NEWEST)
    assert prune_snapshots(shop, now=NEWEST + later) == 3 - len(kept)
    assert [as_of_of(path) for path in stored_snapshots(shop)] == kept


def test_who_asks_for_a_snapshot_keeps_it(shop: Workspace) -> None:
    asked_for(shop, at=NEWEST)
    before = snapshot_path(shop, MIDNIGHT).stat().st_mtime_ns
    build_snapshots(shop, [MIDNIGHT])
    assert snapshot_path(shop, MIDNIGHT).stat().st_mtime_ns == before  # asked for, not made anew
    assert prune_snapshots(shop, now=datetime.now(UTC)) == 1
    assert [as_of_of(path) for path in stored_snapshots(shop)] == [MIDNIGHT, NEWEST]


def test_a_snapshot_is_on_disk_before_it_is_said_to_be_there(shop: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    later = NEWEST + timedelta(days=1)
    build_snapshots(shop, [later])
    folder, mine = snapshot_path(shop, later).parent, str(os.getpid())
    assert synced == [f".snapshot.parquet.{mine}", folder.name, f".{MADE_FROM}.{mine}", folder.name]
