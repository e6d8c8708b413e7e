"""What every online store must do for us: cells by customer, the newest write read back by everyone at once.

SQLite today; whichever store comes next joins `STORES` and has to pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from features.brand import load_brand
from features.definitions import open_store
from features.online_rows import WRITTEN_AT_ONCE, OnlineRows
from features.starting import write_starter
from features.stored_cells import stored_cells
from features.workspace import Workspace

if TYPE_CHECKING:
    from feast import FeatureStore

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
Open = Callable[[], OnlineRows]


def sqlite(folder: Path) -> Open:
    write_starter(folder)
    workspace = Workspace(folder)
    store = open_store(workspace, load_brand(workspace))
    return lambda: OnlineRows(store)


class AsFeastReads(OnlineRows):
    """As where a store is another one, or Feast writes its keys in another way: through Feast's own provider."""

    def __init__(self, store: FeatureStore) -> None:
        super().__init__(store)
        self._cells = None


def sqlite_by_feast(folder: Path) -> Open:
    write_starter(folder)
    workspace = Workspace(folder)
    store = open_store(workspace, load_brand(workspace))
    return lambda: AsFeastReads(store)


STORES = {"sqlite": sqlite, "sqlite read by Feast": sqlite_by_feast}


@pytest.fixture(scope="module", params=list(STORES))
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Opens the same store once more, as another process would."""
    return STORES[request.param](tmp_path_factory.mktemp(request.param))


def test_what_is_written_is_read_back_byte_for_byte_in_the_order_asked(opened: Open) -> None:
    rows = opened()
    rows.write([(1, b"one\0\xff", NOON), (2**40, b"far", NOON), (3, b"\0" * 4_000, NOON)])
    assert rows.read([3, 1, 2**40, 1]) == [b"\0" * 4_000, b"one\0\xff", b"far", b"one\0\xff"]
    assert rows.read([]) == []


def test_whom_it_does_not_hold_is_none_beside_those_whom_it_does(opened: Open) -> None:
    rows = opened()
    rows.write([(10, b"here", NOON)])
    assert rows.read([11, 10, 12]) == [None, b"here", None]


def test_the_last_writer_wins_also_with_an_older_instant(opened: Open) -> None:
    rows = opened()
    rows.write([(20, b"newer", NOON)])
    rows.write([(20, b"older", NOON - timedelta(days=1))])
    assert rows.read([20]) == [b"older"]  # which is why a cell says what it covers


def test_more_rows_than_one_transaction_holds_are_all_written(opened: Open) -> None:
    rows, n_rows = opened(), 2 * WRITTEN_AT_ONCE + 7
    assert rows.write((key, str(key).encode(), NOON) for key in range(1_000, 1_000 + n_rows)) == n_rows
    asked = [1_000, 1_000 + WRITTEN_AT_ONCE, 1_000 + n_rows - 1]
    assert rows.read(asked) == [str(key).encode() for key in asked]


def test_another_process_reads_at_once_what_this_one_wrote(opened: Open) -> None:
    one, other = opened(), opened()
    for n in range(5):
        one.write([(40, b"%d" % n, NOON)])
        assert other.read([40]) == [b"%d" % n]


def test_readers_see_whole_cells_while_two_writers_write(opened: Open) -> None:
    cells = [bytes([n]) * 2_000 for n in (1, 2)]
    writers = [opened(), opened()]
    reader = opened()
    writers[0].write([(50, cells[0], NOON)])
    is_over = threading.Event()

    def write(n: int) -> None:
        for _ in range(50):
            writers[n].write([(50, cells[n], NOON)])

    def read() -> set[bytes | None]:
        seen: set[bytes | None] = set()
        while not is_over.is_set():
            seen |= set(reader.read([50]))
        return seen

    seen: list[set[bytes | None]] = []
    reading = threading.Thread(target=lambda: seen.append(read()))
    writing = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    for thread in (reading, *writing):
        thread.start()
    for thread in writing:
        thread.join()
    is_over.set()
    reading.join()
    assert seen[0] <= set(cells)


def test_sqlite_is_read_straight_as_feast_reads_it(tmp_path: Path) -> None:
    write_starter(tmp_path)
    workspace = Workspace(tmp_path)
    store = open_store(workspace, load_brand(workspace))
    straight, by_feast = OnlineRows(store), AsFeastReads(store)
    straight.write((key, bytes([key % 256]) * key, NOON) for key in range(1, 300))
    assert straight._cells is not None
    asked = [*range(320, 0, -1), 2**40]
    assert straight.read(asked) == by_feast.read(asked)
    straight.close()
    assert straight.read([7]) == [b"\x07" * 7]  # who reads after all opens it once more


def test_another_store_is_read_by_feast(tmp_path: Path) -> None:
    redis = SimpleNamespace(config=SimpleNamespace(online_store=SimpleNamespace(type="redis")))
    assert stored_cells(redis, None, feature="row") is None


def test_keys_that_feast_writes_otherwise_are_read_by_feast(tmp_path: Path) -> None:
    write_starter(tmp_path)
    workspace = Workspace(tmp_path)
    store = open_store(workspace, load_brand(workspace))
    view = store.get_feature_view("decision_vector")
    assert stored_cells(store, view, feature="row") is not None
    two = SimpleNamespace(entity_columns=[*view.entity_columns, SimpleNamespace(name="brand")])
    assert stored_cells(store, two, feature="row") is None
