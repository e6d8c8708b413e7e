"""From the log to the lake: nothing lost, nothing twice, whenever it is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.compaction import SMALL_ROWS, worth_taking_in
from features.contract import EVENT_SCHEMA
from features.database import connect
from features.event_log import MATERIALIZED_THROUGH, EventLog
from features.lake import Lake
from features.lake_changes import MOST_STEPS, Step, climbed, earliest_since
from features.lake_checks import lake_checks
from features.lake_manifest import LakeFile
from features.log_batches import log_batches
from features.snapshot_origin import event_log_table
from features.sync import KEPT_IN_LOG, sync
from features.workspace import Workspace

Event = dict[str, Any]


@pytest.fixture
def shop(a_workspace: Callable[..., Workspace]) -> Workspace:
    return a_workspace()


@pytest.fixture
def log(shop: Workspace) -> Iterator[EventLog]:
    with closing(connect(shop.database)) as connection:
        yield EventLog(connection)


def ids_in_lake(workspace: Workspace) -> Counter[str]:
    with duckdb.connect() as connection:
        Lake(workspace.lake).register(connection)
        return Counter(row[0] for row in connection.execute("SELECT event_id FROM events").fetchall())


def test_what_the_log_holds_is_in_the_lake_once_whole(
    shop: Workspace, log: EventLog, an_order: Callable[..., Event], an_event: Callable[..., Event]
) -> None:
    line = {"product_id": "p1", "name": "ครีม", "category": "skin", "quantity": 2.0, "price": 50.0}
    log.append([an_order(1, products=[line], source="google / cpc"), an_event(2, "Page Viewed", conversation_id="c1")])
    before = log.since(0).select(EVENT_SCHEMA.names).sort_by("event_id")
    done = sync(shop)
    with duckdb.connect() as connection:
        Lake(shop.lake).register_versions(connection)
        columns = ", ".join(EVENT_SCHEMA.names)
        after = connection.execute(f"SELECT {columns} FROM event_versions ORDER BY event_id").to_arrow_table()
    assert after.to_pylist() == before.to_pylist()
    assert (done.n_events, done.n_left_out, done.log_through) == (2, 0, 2)


def test_a_second_sync_brings_only_what_came_since(
    shop: Workspace, log: EventLog, an_event: Callable[..., Event]
) -> None:
    log.append([an_event(1, "Page Viewed"), an_event(9, "Page Viewed")])
    sync(shop)
    log.append([an_event(2, "Page Viewed")])
    assert sync(shop).n_events == 1
    assert set(ids_in_lake(shop).values()) == {1}
    assert len(ids_in_lake(shop)) == 3


def test_a_sync_of_nothing_new_touches_no_file(shop: Workspace, log: EventLog, an_event: Callable[..., Event]) -> None:
    log.append([an_event(1, "Page Viewed")])
    sync(shop)
    manifest = Lake(shop.lake).manifest_path
    before = (manifest.stat().st_mtime_ns, manifest.read_bytes())
    assert sync(shop).n_events == 0
    assert (manifest.stat().st_mtime_ns, manifest.read_bytes()) == before


def test_events_that_an_import_has_brought_are_left_out(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Event]
) -> None:
    both, live = an_event(1, "Page Viewed"), an_event(1, "Page Viewed")
    workspace = a_workspace([both])
    with closing(connect(workspace.database)) as connection:
        EventLog(connection).append([both, live])
        done = sync(workspace)
    assert (done.n_events, done.n_left_out) == (1, 1)
    assert ids_in_lake(workspace) == Counter([both["event_id"], live["event_id"]])
    assert event_log_table(workspace).num_rows == 0


def test_a_sync_that_brings_nothing_new_still_moves_the_watermark(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Event]
) -> None:
    both = an_event(1, "Page Viewed")
    workspace = a_workspace([both])
    with closing(connect(workspace.database)) as connection:
        EventLog(connection).append([both])
        sync(workspace)
    assert Lake(workspace.lake).manifest().log_through == 1
    assert Lake(workspace.lake).n_events() == 1


def test_readers_of_the_log_get_only_what_the_lake_lacks(
    shop: Workspace, log: EventLog, an_event: Callable[..., Event]
) -> None:
    log.append([an_event(1, "Page Viewed")])
    sync(shop)
    later = an_event(1, "Page Viewed")
    log.append([later])
    assert event_log_table(shop)["event_id"].to_pylist() == [later["event_id"]]


def test_batches_are_the_log_in_order_and_equal_to_reading_it_whole(
    shop: Workspace, log: EventLog, an_event: Callable[..., Event], an_order: Callable[..., Event]
) -> None:
    line = {"product_id": None, "name": 'a "quoted"\n name', "category": None, "quantity": 1.0, "price": 2.5}
    events = [
        an_order(1, products=[line], total=5),
        an_event(2, "identify", properties='{"a": "ก\\n"}', backfilled=True),
    ]
    log.append([*events, *(an_event(n, "Page Viewed") for n in range(5))])
    with closing(sqlite3.connect(shop.database)) as connection:
        tables = list(log_batches(connection, after=0, through=log.newest(), n_rows=3))
    assert [table.num_rows for table in tables] == [3, 3, 1]
    assert pa.concat_tables(tables).to_pylist() == log.since(0).to_pylist()


def test_hourly_syncs_leave_few_files(shop: Workspace, log: EventLog, an_event: Callable[..., Event]) -> None:
    for hour in range(6):
        log.append([an_event(key, "Page Viewed", days_ago=1 - hour / 24) for key in range(4)])
        sync(shop)
    manifest = Lake(shop.lake).manifest()
    assert len({(file.path.rsplit("/", 1)[0]) for file in manifest.files}) == len(manifest.files)
    assert sum(file.n_rows for file in manifest.files) == 24
    findings = {result.name: result for result in lake_checks(shop)}
    assert findings["every live file of the lake is there, as it was written"].status == "PASS"
    assert findings["no import was left halfway"].status == "PASS"  # a file retired two syncs ago is gone


@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=200))
def test_a_row_is_written_again_at_most_once_each_time_its_file_doubles(sizes: list[int]) -> None:
    files: list[LakeFile] = []
    n_written = 0
    for number, n_rows in enumerate(sizes):
        taken = worth_taking_in(n_rows, files)
        total = n_rows + sum(file.n_rows for file in taken)
        n_written += total
        files = [file for file in files if file not in taken] + [LakeFile(str(number), 0, total, 0, 0, 0, 0, "")]
    assert sum(file.n_rows for file in files) == sum(sizes)
    doublings = sum(sizes).bit_length()
    small = len(sizes) * SMALL_ROWS  # what small files cost: at most this much a sync
    assert n_written <= sum(sizes) * (doublings + 1) + small
    assert len([file for file in files if file.n_rows > SMALL_ROWS]) <= doublings + 1


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 60))
def test_a_staircase_tells_the_earliest_of_all_that_came_beyond_a_place(sinces: list[int], place: int) -> None:
    steps: tuple[Step, ...] = ()
    for at, since in enumerate(sinces, start=1):
        steps = climbed(steps, [Step(at, since)])
    assert earliest_since(steps, place) == min(sinces[place:], default=None)


def test_a_staircase_that_is_full_tells_no_later_instant_than_the_true_one() -> None:
    steps: tuple[Step, ...] = ()
    for at in range(1, MOST_STEPS + 500):
        steps = climbed(steps, [Step(at, at)])
    assert len(steps) == MOST_STEPS
    assert all((earliest_since(steps, place) or 0) <= place + 1 for place in (0, 100, 600, 1_200))
    assert earliest_since(steps, 1_200) == 1_201


def test_rows_leave_the_log_once_everybody_has_them_and_not_before(
    shop: Workspace, log: EventLog, an_event: Callable[..., Event], noon: datetime
) -> None:
    log.append([an_event(1, "Page Viewed"), an_event(2, "Page Viewed"), an_event(1, "Page Viewed", days_ago=0.01)])
    assert sync(shop, now=noon).n_pruned == 0  # the online rows do not hold them yet
    log.set_state(MATERIALIZED_THROUGH, 3)
    assert sync(shop, now=noon).n_pruned == 2  # the third came less than an hour ago
    assert sync(shop, now=noon + KEPT_IN_LOG).n_pruned == 1
    assert log.newest() == 3
    assert log.append([an_event(1, "Page Viewed")]) == [4]
    assert sync(shop, now=noon).n_events == 1
    assert len(ids_in_lake(shop)) == 4


def test_no_row_leaves_the_log_in_the_sync_that_exports_it(
    shop: Workspace, log: EventLog, an_event: Callable[..., Event], noon: datetime
) -> None:
    log.append([an_event(1, "Page Viewed", days_ago=3)])
    log.set_state(MATERIALIZED_THROUGH, 1)
    before = Lake(shop.lake).manifest().log_through  # what a snapshot looks at first, and at the log afterwards
    assert sync(shop, now=noon).n_pruned == 0
    assert log.since(before).num_rows == 1
    assert sync(shop, now=noon).n_pruned == 1


def test_an_export_looks_into_the_lake_only_where_an_import_may_have_brought_the_same(
    shop: Workspace,
    log: EventLog,
    an_event: Callable[..., Event],
    events_table: Callable[..., pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []
    whole = Lake.register_versions

    def counted(self: Lake, *args: Any, **said: Any) -> None:
        looked.append(1)
        whole(self, *args, **said)

    monkeypatch.setattr(Lake, "register_versions", counted)
    for n_synced in (1, 2):
        log.append([an_event(1, "Page Viewed")])
        done = sync(shop)
        assert (done.n_events, done.n_left_out, looked) == (1, 0, [])
        assert Lake(shop.lake).n_events() == n_synced
    both = an_event(1, "Page Viewed")
    with Lake(shop.lake).writer() as writer:
        writer.write(events_table([both], EVENT_SCHEMA))
    log.append([both | {"customer_key": 2}])  # sent live under another key of the same person
    done = sync(shop)
    assert (done.n_events, done.n_left_out) == (0, 1)
    assert looked


def test_whoever_reads_while_a_sync_goes_on_sees_every_event(
    shop: Workspace, log: EventLog, an_event: Callable[..., Event]
) -> None:
    expected: set[str] = set()
    seen: list[bool] = []
    is_over = threading.Event()

    def tell(n_events: int) -> None:
        events = [an_event(n % 20, "Page Viewed", days_ago=n % 40) for n in range(n_events)]
        log.append(events)
        expected.update(event["event_id"] for event in events)

    def look() -> None:
        while not is_over.is_set():
            known = set(expected)
            beyond = event_log_table(shop)["event_id"].to_pylist()  # the log first, then the lake
            seen.append(known <= set(beyond) | set(ids_in_lake(shop)))

    tell(300)
    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(4):
        n_seen = len(seen)
        sync(shop, on_rows=lambda n_rows: tell(50))
        while reader.is_alive() and len(seen) < n_seen + 2:
            time.sleep(0.01)
    is_over.set()
    reader.join()
    assert len(seen) >= 8
    assert all(seen)
    sync(shop)
    assert ids_in_lake(shop) == Counter(expected)


SCRIPT = """
import sys
from pathlib import Path
from features.sync import sync
from features.workspace import Workspace
print("ready", flush=True)
sync(Workspace(Path(sys.argv[1])))
print("done", flush=True)
"""


def test_a_sync_killed_at_any_moment_loses_nothing_and_brings_nothing_twice(
    shop: Workspace, log: EventLog, an_event: Callable[..., Event]
) -> None:
    expected: Counter[str] = Counter()
    n_killed = 0
    for seconds in (0.0, 0.05, 0.15, 0.4):
        events = [an_event(n % 50, "Page Viewed", days_ago=n % 90) for n in range(3_000)]
        log.append(events)
        expected.update(event["event_id"] for event in events)
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        command = [sys.executable, "-c", SCRIPT, str(shop.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            n_killed += process.stdout.read() != "done\n"
        seen = ids_in_lake(shop) + Counter(event_log_table(shop)["event_id"].to_pylist())
        assert seen == expected  # in the lake or beyond its watermark, never both
    assert n_killed > 0
    sync(shop)
    assert ids_in_lake(shop) == expected
    assert not (shop.lake / "staging").exists()
