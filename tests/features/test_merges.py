"""The merges of some people are read without those of everybody else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from features.database import connect
from features.identity import IdentityTable
from features.merges import Merge, merges_of
from features.online import OnlineFeatures
from features.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

MERGE = "INSERT INTO customer_merges (from_key, into_key, merged_at, why) VALUES (?, ?, ?, 'alias')"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "rapport.db")) as opened:
        IdentityTable(opened)
        yield opened


def steps_of(connection: sqlite3.Connection, work: Callable[[], object]) -> int:
    """How many steps SQLite's machine takes for that work."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    connection.set_progress_handler(count, 1)
    try:
        work()
    finally:
        connection.set_progress_handler(None, 1)
    return counted


def merge_others(connection: sqlite3.Connection, n: int, *, start: int) -> None:
    connection.executemany(MERGE, ((start + 2 * k, start + 2 * k + 1, k) for k in range(n)))


def test_merges_of_some_keys_come_in_the_order_in_which_they_happened(connection: sqlite3.Connection) -> None:
    connection.executemany(MERGE, [(9, 5, 100), (3, 4, 150), (5, 1, 200), (2, 1, 200)])
    assert merges_of(connection, [1, 2, 5, 9]) == [Merge(9, 5, 100), Merge(5, 1, 200), Merge(2, 1, 200)]
    assert merges_of(connection, [1]) == merges_of(connection, []) == []


def test_a_recompute_does_not_read_the_merges_of_everybody_else(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Any], noon: datetime
) -> None:
    workspace = a_workspace([an_event(1, "Page Viewed")])
    online = OnlineFeatures.open(workspace)
    try:
        with online.transaction() as connection:
            connection.executemany(MERGE, [(2, 1, 100)])

        def recompute() -> None:
            online.recompute([(1, 2)], at=noon)

        recompute()
        few = steps_of(connection, recompute)
        with online.transaction() as connection:
            merge_others(connection, 2_000, start=100)
        assert steps_of(connection, recompute) < few + 20
    finally:
        online.close()
