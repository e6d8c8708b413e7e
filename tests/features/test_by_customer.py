"""The lake by customer: the lake's own rows, found at once, and never of another lake than the one that stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

from features.by_customer import BATCH_ROWS, ByCustomer, by_customer_folder, ensure_by_customer
from features.contract import EVENT_SCHEMA
from features.database import connect
from features.event_log import MATERIALIZED_THROUGH, PRUNED_THROUGH, EventLog
from features.lake import Lake, bucket_of
from features.sync import KEPT_IN_LOG, sync
from features.workspace import Workspace

Event = dict[str, Any]


@pytest.fixture
def shop(a_workspace: Callable[..., Workspace], an_order: Callable[..., Event]) -> Workspace:
    """Twenty customers; the n-th has n orders, two of them in another month."""
    return a_workspace(
        an_order(key, days_ago=1 + 40 * (nth < 2), products=[{"product_id": f"p{nth}", "price": 1.0}])
        for key in range(1, 21)
        for nth in range(key)
    )


@pytest.fixture
def put(events_table: Callable[..., pa.Table]) -> Callable[[Workspace, Iterable[Event]], None]:
    def write(workspace: Workspace, events: Iterable[Event]) -> None:
        with Lake(workspace.lake).writer() as writer:
            writer.write(events_table(events, EVENT_SCHEMA))

    return write


def test_a_customers_events_are_those_of_the_lake(shop: Workspace) -> None:
    unindexed = ByCustomer.open(shop).events([7, 20, 99])
    assert ensure_by_customer(shop) == 8
    opened = ByCustomer.open(shop)
    assert opened.is_current
    assert opened.events([7, 20, 99]).equals(unindexed)
    assert unindexed["customer_key"].to_pylist() == [7] * 7 + [20] * 20
    assert opened.events([]).schema.equals(EVENT_SCHEMA)


def test_customers_whose_events_lie_in_several_batches_have_all_of_them_and_nobody_elses(
    a_workspace: Callable[..., Workspace], an_order: Callable[..., Event]
) -> None:
    ordered = {3: BATCH_ROWS - 1, 11: 2 * BATCH_ROWS + 2, 19: 1, 27: BATCH_ROWS}  # all of one bucket
    shop = a_workspace(an_order(key, days_ago=nth % 50) for key, n in ordered.items() for nth in range(n))
    unindexed = ByCustomer.open(shop)
    told = {key: unindexed.events([key]) for key in ordered}
    ensure_by_customer(shop)
    opened = ByCustomer.open(shop)
    for _ in range(2):  # the second time from memory
        for key, n in ordered.items():
            assert (n, opened.events([key])) == (told[key].num_rows, told[key])
    with pa.memory_map(str(next(by_customer_folder(shop).glob("03-*.arrow")))) as file:
        assert pa.ipc.open_file(file).num_record_batches == 5  # 4 * BATCH_ROWS + 2


def test_only_buckets_with_new_events_are_written_again(
    shop: Workspace, put: Callable[..., None], an_order: Callable[..., Event]
) -> None:
    ensure_by_customer(shop)
    before = set(by_customer_folder(shop).glob("*.arrow"))
    assert ensure_by_customer(shop) == 0
    put(shop, [an_order(5), an_order(5 + 8)])
    assert ensure_by_customer(shop) == 1
    after = set(by_customer_folder(shop).glob("*.arrow"))
    assert {path.name[:2] for path in before - after} == {f"{bucket_of(5):02d}"}
    assert len(after) == len(before)


def test_who_has_it_open_reads_the_lake_until_it_is_written_again_and_the_new_files_then(
    shop: Workspace, put: Callable[..., None], an_order: Callable[..., Event]
) -> None:
    ensure_by_customer(shop)
    opened = ByCustomer.open(shop)
    mapped = opened.events([5])
    put(shop, [an_order(5)])
    assert (opened.is_current, opened.events([5]).num_rows) == (False, 6)
    ensure_by_customer(shop)
    assert (opened.is_current, opened.events([5]).num_rows) == (True, 6)
    assert mapped["total"].to_pylist() == [100.0] * 5  # what was handed out before is still there


@pytest.mark.parametrize("text", ["", "{", '{"format": 0}', '{"format": 1}', "[]"])
def test_a_description_that_nobody_can_read_is_written_again(shop: Workspace, text: str) -> None:
    ensure_by_customer(shop)
    (by_customer_folder(shop) / "by_customer.json").write_text(text)
    assert ByCustomer.open(shop).events([3]).num_rows == 3
    assert ensure_by_customer(shop) == 8
    assert len(list(by_customer_folder(shop).glob("*.arrow"))) == 8


def test_an_empty_lake_has_nobody(a_workspace: Callable[..., Workspace]) -> None:
    workspace = a_workspace()
    assert ensure_by_customer(workspace) == 0
    opened = ByCustomer.open(workspace)
    assert (opened.is_current, opened.events([1]).num_rows, opened.log_through) == (True, 0, 0)


def test_readers_beside_a_writer_always_see_whole_histories(
    shop: Workspace, put: Callable[..., None], an_order: Callable[..., Event]
) -> None:
    ensure_by_customer(shop)
    opened, is_over, seen = ByCustomer.open(shop), threading.Event(), []

    def read() -> None:
        while not is_over.is_set():
            seen.append(opened.events([5])["event_id"].to_pylist())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(3):
        put(shop, [an_order(5)])
        ensure_by_customer(shop)
    is_over.set()
    reader.join()
    sizes = [len(events) for events in seen]
    assert sizes == sorted(sizes)
    assert set(sizes) <= {5, 6, 7, 8}
    assert all(len(set(events)) == len(events) for events in seen)
    assert opened.events([5]).num_rows == 8


def test_an_export_of_a_few_events_leaves_the_files_and_reads_none_of_the_lake(
    a_workspace: Callable[..., Workspace], an_order: Callable[..., Event], noon: datetime
) -> None:
    shop = a_workspace(an_order(key) for key in range(1, 9) for _ in range(40))
    ensure_by_customer(shop)
    opened, before = ByCustomer.open(shop), set(by_customer_folder(shop).iterdir())
    with closing(connect(shop.database)) as connection:
        log = EventLog(connection)
        log.append([an_order(1), an_order(2)])
        sync(shop, now=noon)
        (shop.lake / "events").rename(shop.lake / "hidden")  # who looks into the lake finds nothing
        assert (opened.is_current, opened.log_through) == (True, 0)
        assert opened.events([1]).num_rows == 40
        assert log.of_customers([1], after=opened.log_through).num_rows == 1
        (shop.lake / "hidden").rename(shop.lake / "events")
        assert set(by_customer_folder(shop).iterdir()) - before == set()
        log.set_state(MATERIALIZED_THROUGH, log.newest())
        assert sync(shop, now=noon + KEPT_IN_LOG).n_pruned == 0  # the files do not hold them yet

        log.append([an_order(1) for _ in range(2)])
        log.set_state(MATERIALIZED_THROUGH, log.newest())
        for _ in range(2):
            sync(shop, now=noon + KEPT_IN_LOG)
        written = {path.name[:2] for path in set(by_customer_folder(shop).glob("*.arrow")) - before}
        assert written == {"01"}  # three of forty are worth it; customer 2's one waits, and holds back the log
        assert (opened.log_through, log.state(PRUNED_THROUGH), opened.events([1]).num_rows) == (0, 0, 43)


def test_once_the_past_has_changed_the_files_are_current_only_when_they_were_brought_up(
    a_workspace: Callable[..., Workspace], put: Callable[..., None], an_order: Callable[..., Event], noon: datetime
) -> None:
    shop = a_workspace(an_order(key) for key in range(1, 9) for _ in range(40))
    ensure_by_customer(shop)
    opened = ByCustomer.open(shop)
    with closing(connect(shop.database)) as connection:
        EventLog(connection).append([an_order(1)])
        sync(shop, now=noon)
        put(shop, [an_order(2)])
        assert (opened.is_current, opened.events([1]).num_rows, opened.events([2]).num_rows) == (False, 41, 41)
        assert ensure_by_customer(shop) == 2
    assert (opened.is_current, opened.log_through) == (True, 1)
    assert (opened.events([1]).num_rows, opened.events([2]).num_rows) == (41, 41)
