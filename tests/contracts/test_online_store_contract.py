"""What every online store must do for us: cells by customer, the newest write read back by everyone at once.

SQLite today; whichever store comes next joins `STORES` and has to pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.brand import load_brand
from features.definitions import open_store
from features.online_rows import WRITTEN_AT_ONCE, OnlineRows
from features.starting import write_starter
from features.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
Open = Callable[[], OnlineRows]


def sqlite(folder: Path) -> Open:
    write_starter(folder)
    workspace = Workspace(folder)
    store = open_store(workspace, load_brand(workspace))
    return lambda: OnlineRows(store)


STORES = {"sqlite": sqlite}


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
