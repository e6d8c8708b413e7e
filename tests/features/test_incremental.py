"""A snapshot made from the one before it is the one that a full build makes; one that nothing changed stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.aggregation import Sources, aggregate
from features.brand import load_brand
from features.contract import EVENT_SCHEMA
from features.database import connect
from features.event_log import EventLog
from features.identity import IdentityTable
from features.incremental import base_for, updated
from features.lake import Lake, instant_us
from features.schema import feature_schema
from features.snapshot_origin import event_log_table, standing
from features.snapshots import build_snapshot, build_snapshots, snapshot_path
from features.sync import sync
from features.workspace import Workspace
from tests.features.test_feature_properties import NOON, histories

Event = dict[str, Any]
WorkspaceOf = Callable[..., Workspace]


def add_to_log(workspace: Workspace, events: Sequence[Event]) -> None:
    with closing(connect(workspace.database)) as connection:
        EventLog(connection).append(events)


def join(workspace: Workspace, merges: Sequence[tuple[int, int, datetime]]) -> None:
    with closing(connect(workspace.database)) as connection:
        IdentityTable(connection)
        for from_key, into_key, at in merges:
            connection.execute(
                "INSERT INTO customer_merges (from_key, into_key, merged_at, why) VALUES (?, ?, ?, 'alias')",
                (from_key, into_key, instant_us(at)),
            )
        connection.commit()


def in_full(workspace: Workspace, as_of: datetime) -> pa.Table:
    brand = load_brand(workspace)
    schema = feature_schema(brand, workspace)
    with closing(connect(workspace.database)) as connection:
        merges = tuple(IdentityTable(connection).merges())
    sources = Sources(Lake(workspace.lake), log=event_log_table(workspace), merges=merges)
    return next(iter(aggregate(sources, [as_of], brand=brand, schema=schema)))


def from_the_one_before(workspace: Workspace, as_of: datetime, *, most_touched: float = 99.0) -> pa.Table | None:
    brand = load_brand(workspace)
    schema = feature_schema(brand, workspace)
    stands = standing(workspace, brand=brand, schema=schema)
    base = base_for(workspace, as_of, stands=stands)
    if base is None:
        return None
    return updated(workspace, as_of, base=base, stands=stands, brand=brand, schema=schema, most_touched=most_touched)


# Some before the snapshot they start from, some between the two, some after both.
joined_at = st.sampled_from([-25.0, -0.9, -0.5, -0.1, 0.1]).map(lambda days: NOON + timedelta(days=days))
joins = st.lists(
    st.tuples(st.integers(1, 12), st.integers(1, 12), joined_at).filter(lambda one: one[0] > one[1]),
    max_size=3,
    unique_by=lambda one: one[0],
)


@given(
    history=histories,
    merges=joins,
    days=st.sampled_from([1, 1, 7, 3]),
    n_lake=st.integers(0, 25),
    n_before=st.integers(0, 25),
    is_synced=st.booleans(),
)
@settings(max_examples=8)
def test_from_the_snapshot_before_come_the_rows_of_a_full_build(
    a_workspace: WorkspaceOf,
    history: list[Event],
    merges: list[tuple[int, int, datetime]],
    days: int,
    n_lake: int,
    n_before: int,
    is_synced: bool,
) -> None:
    spread = [event | {"customer_key": event["customer_key"] + 3 * (n % 4)} for n, event in enumerate(history)]
    workspace = a_workspace(spread[:n_lake])
    start = NOON - timedelta(days=days)
    add_to_log(workspace, spread[n_lake : n_lake + n_before])
    join(workspace, [one for one in merges if one[2] < start])
    build_snapshot(workspace, start)
    add_to_log(workspace, spread[n_lake + n_before :])
    join(workspace, [one for one in merges if one[2] >= start])
    if is_synced:
        sync(workspace)
    found = from_the_one_before(workspace, NOON)
    if not is_synced:
        assert found is not None  # late rows of the log cost the base nothing
    if found is not None:
        assert found.to_pylist() == in_full(workspace, NOON).to_pylist()
        assert found.schema.equals(in_full(workspace, NOON).schema)


def test_only_who_was_touched_is_computed_anew(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime
) -> None:
    workspace = a_workspace([an_order(key, days_ago=3) for key in range(1, 21)])
    build_snapshot(workspace, noon - timedelta(hours=1))
    add_to_log(workspace, [an_order(7, days_ago=1 / 48)])
    table = from_the_one_before(workspace, noon, most_touched=0.05)  # one of twenty
    assert table is not None
    seen = [row["customer_key"] for row in table.to_pylist() if row["n_orders"] == 2]
    assert seen == [7]
    assert from_the_one_before(workspace, noon, most_touched=0.04) is None  # then a full build is no dearer


def test_who_was_joined_in_between_is_one_customer(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime
) -> None:
    workspace = a_workspace([an_order(key, days_ago=100) for key in (1, 2, 3)])
    join(workspace, [(3, 2, noon - timedelta(days=20))])
    build_snapshot(workspace, noon - timedelta(hours=1))
    join(workspace, [(2, 1, noon - timedelta(minutes=30))])
    table = from_the_one_before(workspace, noon)
    assert table is not None
    assert [(row["customer_key"], row["n_orders"]) for row in table.to_pylist()] == [(1, 1 + 1 + 1)]


def test_the_brands_own_columns_are_computed_for_everyone(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime
) -> None:
    workspace = a_workspace([an_order(1, days_ago=3), an_order(2, days_ago=3)])
    (workspace.sql_folder / "patience.sql").write_text(
        "SELECT customer_key, epoch($as_of - max(occurred_at)) AS seconds_waited FROM events GROUP BY customer_key"
    )
    build_snapshot(workspace, noon)
    table = from_the_one_before(workspace, noon + timedelta(seconds=60), most_touched=0.0)
    assert table is not None
    assert table["seconds_waited"].to_pylist() == [3 * 86_400 + 60, 3 * 86_400 + 60]


@pytest.mark.parametrize("window", [7, 30, 90, 365])
def test_an_event_that_leaves_a_window_touches_its_customer(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime, window: int
) -> None:
    workspace = a_workspace([an_order(1, days_ago=window - 0.01), an_order(2, days_ago=1)])
    build_snapshot(workspace, noon)
    later = noon + timedelta(hours=1)
    build_snapshots(workspace, [later], incremental=True)
    rows = {row["customer_key"]: row for row in pq.read_table(snapshot_path(workspace, later)).to_pylist()}
    assert rows[1][f"n_orders_{window}d"] == 0
    assert rows[2][f"n_orders_{window}d"] == 1


def test_who_is_in_no_event_any_more_is_not_copied(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime
) -> None:
    from features.lake_rewriting import forget

    workspace = a_workspace([an_order(key, days_ago=3) for key in (1, 2)])
    build_snapshot(workspace, noon)
    forget(Lake(workspace.lake), [1])
    build_snapshots(workspace, [noon + timedelta(hours=1)], incremental=True)
    table = pq.read_table(snapshot_path(workspace, noon + timedelta(hours=1)))
    assert table["customer_key"].to_pylist() == [2]


def written_at(workspace: Workspace, as_of: datetime) -> int:
    return snapshot_path(workspace, as_of).stat().st_mtime_ns


def test_neither_later_events_nor_their_export_outdate_a_snapshot(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime
) -> None:
    workspace = a_workspace([an_order(1, days_ago=3)])
    add_to_log(workspace, [an_order(1, days_ago=1)])
    build_snapshot(workspace, noon)
    before = written_at(workspace, noon)
    add_to_log(workspace, [an_order(1, days_ago=-1), an_order(2, days_ago=0)])
    build_snapshot(workspace, noon)
    sync(workspace)
    build_snapshot(workspace, noon)
    with Lake(workspace.lake).writer() as writer:
        writer.write(_as_table([an_order(3, days_ago=-2)]))
    build_snapshot(workspace, noon)
    assert written_at(workspace, noon) == before


def test_an_import_of_the_past_outdates_the_snapshots_that_would_have_seen_it(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime
) -> None:
    earlier, later = noon - timedelta(days=14), noon
    workspace = a_workspace([an_order(1, days_ago=30)])
    build_snapshots(workspace, [earlier, later])
    before = written_at(workspace, earlier), written_at(workspace, later)
    with Lake(workspace.lake).writer() as writer:
        writer.write(_as_table([an_order(2, days_ago=7)]))  # received when it happened, says the import
    build_snapshots(workspace, [earlier, later])
    assert written_at(workspace, earlier) == before[0]
    assert written_at(workspace, later) != before[1]
    assert pq.read_table(snapshot_path(workspace, later))["customer_key"].to_pylist() == [1, 2]


@pytest.mark.parametrize("is_synced", [False, True])
def test_a_late_row_of_the_log_outdates_the_snapshots_that_would_have_seen_it(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime, is_synced: bool
) -> None:
    workspace = a_workspace([an_order(1, days_ago=30)])
    add_to_log(workspace, [an_order(1, days_ago=20)])
    build_snapshots(workspace, [noon - timedelta(days=14), noon])
    before = written_at(workspace, noon - timedelta(days=14)), written_at(workspace, noon)
    add_to_log(workspace, [an_order(2, days_ago=7)])
    if is_synced:
        sync(workspace)
    build_snapshots(workspace, [noon - timedelta(days=14), noon])
    assert written_at(workspace, noon - timedelta(days=14)) == before[0]
    assert written_at(workspace, noon) != before[1]


def test_a_correction_outdates_snapshots_from_the_instant_at_which_it_was_known(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime
) -> None:
    order = an_order(1, days_ago=30, total=10.0)
    workspace = a_workspace([order])
    instants = [noon - timedelta(days=14), noon]
    build_snapshots(workspace, instants)
    before = [written_at(workspace, at) for at in instants]
    known_at = noon - timedelta(days=7)
    with Lake(workspace.lake).writer() as writer:
        naive = known_at.replace(tzinfo=None)
        corrections = {"event_id": [order["event_id"]], "known_at": pa.array([naive], pa.timestamp("us"))}
        writer.supersede(pa.table(corrections))
        writer.write(_as_table([order | {"total": 12.0, "received_at": known_at}]))
    build_snapshots(workspace, instants)
    assert [written_at(workspace, at) == then for at, then in zip(instants, before, strict=True)] == [True, False]


def test_a_join_outdates_the_snapshots_after_it_alone(
    a_workspace: WorkspaceOf, an_order: Callable[..., Event], noon: datetime
) -> None:
    workspace = a_workspace([an_order(1, days_ago=30), an_order(2, days_ago=30)])
    instants = [noon - timedelta(days=14), noon]
    build_snapshots(workspace, instants)
    before = [written_at(workspace, at) for at in instants]
    join(workspace, [(2, 1, noon - timedelta(days=7))])
    build_snapshots(workspace, instants)
    assert [written_at(workspace, at) == then for at, then in zip(instants, before, strict=True)] == [True, False]
    assert pq.read_table(snapshot_path(workspace, noon))["n_orders"].to_pylist() == [2.0]


def _as_table(events: Sequence[Event]) -> pa.Table:
    rows = [
        {name: value.replace(tzinfo=None) if isinstance(value, datetime) else value for name, value in event.items()}
        for event in events
    ]
    return pa.Table.from_pylist(rows, schema=EVENT_SCHEMA)
