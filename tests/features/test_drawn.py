"""Some customers' snapshots hold the rows that everybody's would hold of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from features.drawn import LOTS, Draw, draw_of, read_rows
from features.forgetting import forget_tables
from features.snapshot_origin import drawn_folder
from features.snapshots import build_snapshots, snapshot_path
from features.workspace import Workspace
from tests.features.test_feature_properties import NOON, histories
from tests.features.test_incremental import Event, WorkspaceOf, add_to_log, in_full, join, joins

HALF = Draw(LOTS // 2)
ALL_KEYS = np.arange(1, 101, dtype=np.int64)
DRAWN, NOT_DRAWN = (ALL_KEYS[HALF.holds(ALL_KEYS) == is_drawn] for is_drawn in (True, False))


def build_drawn(workspace: Workspace, draw: Draw, *, days_ago: float = 0.0) -> Any:
    (path,) = build_snapshots(workspace, [NOON - timedelta(days=days_ago)], draw=draw)
    return read_rows(path, draw)


@given(lots=st.integers(1, LOTS), keys=st.lists(st.integers(0, 2**62), min_size=1, max_size=50))
def test_numpy_and_sql_draw_the_same(lots: int, keys: list[int]) -> None:
    draw = Draw(lots)
    query = f"SELECT {draw.sql('key')} FROM (SELECT unnest($keys::BIGINT[]) AS key)"
    by_sql = [found for (found,) in duckdb.execute(query, {"keys": keys}).fetchall()]
    assert draw.holds(np.array(keys, dtype=np.int64)).tolist() == by_sql


@pytest.mark.parametrize("share", [0.02, 0.125, 0.5, 0.9])
def test_of_keys_in_a_row_the_share_asked_for_is_drawn(share: float) -> None:
    keys = np.arange(1, 200_001, dtype=np.int64)
    assert Draw(round(share * LOTS)).holds(keys).mean() == pytest.approx(share, rel=0.02)


@pytest.mark.parametrize("multiplier", [0x9E3779B97F4A7C15, 0xD1B54A32D192ED03])
def test_who_is_drawn_says_nothing_of_other_draws_by_the_key(multiplier: int) -> None:
    """Those of folds, and of the customers who choose a recipe."""
    keys = np.arange(1, 400_001, dtype=np.int64)
    others: NDArray[np.uint64] = (keys.astype(np.uint64) * np.uint64(multiplier)) >> np.uint64(40)
    drawn = Draw(LOTS // 8).holds(keys)
    for place in range(3):
        assert (others[drawn] % 3 == place).mean() == pytest.approx(1 / 3, abs=0.01)
    assert (others[drawn] % 4096 < 1_000).mean() == pytest.approx(1_000 / 4_096, abs=0.01)


@given(
    history=histories,
    merges=joins,
    n_lake=st.integers(0, 25),
    lots=st.sampled_from([LOTS // 4, LOTS // 2, 3 * LOTS // 4]),
)
@settings(max_examples=5)
def test_a_drawn_snapshot_has_everybodys_rows_of_those_who_were_drawn(
    a_workspace: WorkspaceOf, history: list[Event], merges: list[Any], n_lake: int, lots: int
) -> None:
    spread = [event | {"customer_key": event["customer_key"] + 3 * (n % 4)} for n, event in enumerate(history)]
    workspace = a_workspace(spread[:n_lake])
    add_to_log(workspace, spread[n_lake:])
    join(workspace, merges)
    draw = Draw(lots)

    found = build_drawn(workspace, draw)

    everybody = in_full(workspace, NOON)
    keys = everybody["customer_key"].to_numpy()
    assert found.to_pylist() == everybody.filter(draw.holds(keys.astype(np.int64))).to_pylist()


def test_the_brands_own_sql_sees_everybody(a_workspace: WorkspaceOf, an_order: Callable[..., Event]) -> None:
    keys = [int(DRAWN[0]), *map(int, NOT_DRAWN[:3])]
    workspace = a_workspace([an_order(key, days_ago=3) for key in keys])
    (workspace.sql_folder / "share.sql").write_text(
        "-- of_all: one part in so many [count]\n"
        "SELECT customer_key, (SELECT count(DISTINCT customer_key) FROM events) AS of_all FROM events GROUP BY ALL",
        "utf-8",
    )

    (row,) = build_drawn(workspace, HALF).to_pylist()

    assert (row["customer_key"], row["of_all"]) == (keys[0], 4)


def test_a_snapshot_of_everybody_is_used_where_there_is_one_and_no_other_is_made(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event]
) -> None:
    workspace = a_workspace([an_order(int(key), days_ago=3) for key in ALL_KEYS])
    build_snapshots(workspace, [NOON])

    drawn = build_drawn(workspace, HALF)

    assert drawn["customer_key"].to_pylist() == DRAWN.tolist()
    assert not drawn_folder(workspace).exists()


def test_a_snapshot_of_more_customers_serves_a_smaller_draw_and_a_larger_one_is_made_anew(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event]
) -> None:
    workspace = a_workspace([an_order(int(key), days_ago=3) for key in ALL_KEYS])
    (path,) = build_snapshots(workspace, [NOON], draw=HALF)
    made_at = path.stat().st_mtime_ns

    (smaller,) = build_snapshots(workspace, [NOON], draw=Draw(LOTS // 4))
    assert (smaller, smaller.stat().st_mtime_ns) == (path, made_at)
    assert set(read_rows(smaller, Draw(LOTS // 4))["customer_key"].to_pylist()) < set(DRAWN.tolist())

    (larger,) = build_snapshots(workspace, [NOON], draw=Draw(3 * LOTS // 4))
    assert larger.stat().st_mtime_ns > made_at
    assert not snapshot_path(workspace, NOON).exists()


def test_a_drawn_snapshot_that_would_come_out_otherwise_is_made_anew(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event]
) -> None:
    key = int(DRAWN[0])
    workspace = a_workspace([an_order(key, days_ago=3)])
    build_drawn(workspace, HALF)
    add_to_log(workspace, [an_order(key, days_ago=1)])
    assert build_drawn(workspace, HALF)["n_orders"].to_pylist() == [2]


def test_who_is_erased_leaves_drawn_snapshots_too(a_workspace: WorkspaceOf, an_order: Callable[..., Event]) -> None:
    first, second = int(DRAWN[0]), int(DRAWN[1])
    workspace = a_workspace([an_order(key, days_ago=3) for key in (first, second)])
    (path,) = build_snapshots(workspace, [NOON], draw=HALF)

    forget_tables(workspace, [first])

    assert pq.read_table(path, partitioning=None)["customer_key"].to_pylist() == [second]


def test_nobody_is_drawn_of_no_more_customers_than_asked_for_and_joined_ones_count_once(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event]
) -> None:
    workspace = a_workspace([an_order(key, days_ago=days) for key in (1, 2, 3) for days in (3, 5, 9)])
    assert draw_of(workspace, as_of=NOON, most=3) is None
    assert draw_of(workspace, as_of=NOON, most=2) == Draw(LOTS * 2 // 3, 3)
    assert draw_of(workspace, as_of=NOON - timedelta(days=20), most=2) is None  # nobody was known yet
    join(workspace, [(3, 2, NOON - timedelta(days=1))])
    assert draw_of(workspace, as_of=NOON, most=2) is None


def test_customers_of_the_log_count_too(a_workspace: WorkspaceOf, an_order: Callable[..., Event]) -> None:
    workspace = a_workspace([an_order(1, days_ago=3)])
    add_to_log(workspace, [an_order(2, days_ago=3), an_order(3, days_ago=2)])
    assert draw_of(workspace, as_of=NOON, most=2) == Draw(LOTS * 2 // 3, 3)


def test_a_draw_without_lots_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 4096 lots; got 0"):
        Draw(0)


def test_a_drawn_snapshot_is_no_base_for_others_which_would_lack_whoever_was_not_drawn(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event]
) -> None:
    workspace = a_workspace([an_order(int(key), days_ago=3) for key in ALL_KEYS])
    build_snapshots(workspace, [NOON - timedelta(days=1)], draw=HALF)

    (path,) = build_snapshots(workspace, [NOON], incremental=True)

    assert pq.read_table(path)["customer_key"].to_pylist() == ALL_KEYS.tolist()
