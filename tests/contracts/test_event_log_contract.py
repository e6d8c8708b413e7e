"""What every event log must do: each event once for ever, in order, whole or not at all.

SQLite today; whichever store comes next joins `STORES` and has to pass.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from features.database import connect, transaction
from features.event_log import LOG_SCHEMA, PRUNED_THROUGH, EventLog, LogRow
from features.identity import IdentityTable

Open = Callable[[], EventLog]


def sqlite_log(folder: Path) -> Open:
    return lambda: EventLog(connect(folder / "rapport.db"))


STORES = {"sqlite": sqlite_log}


@pytest.fixture(params=list(STORES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same store once more, as another process would."""
    return STORES[request.param](tmp_path)


@pytest.fixture
def log(opened: Open) -> EventLog:
    return opened()


def a_row(event_id: str, customer_key: int = 1, *, at: int = 1_000, **columns: object) -> LogRow:
    return LogRow(
        event_id, customer_key, at, at, json.dumps({"event": "Product Viewed", "backfilled": False} | columns)
    )


def test_an_event_is_written_once_however_often_it_is_sent(log: EventLog) -> None:
    assert log.append_rows([a_row("a"), a_row("b"), a_row("a")]) == [1, 2, None]
    assert log.append_rows([a_row("b"), a_row("c")]) == [None, 3]
    assert log.since(0)["event_id"].to_pylist() == ["a", "b", "c"]
    assert log.append_rows([]) == []


def test_what_was_written_is_read_back(log: EventLog) -> None:
    product = {"product_id": "p-1", "name": "Tee", "category": None, "quantity": 2.0, "price": 9.5}
    log.append_rows([a_row("a", 7, at=5, products=[product], step="3", source="google / cpc", properties='{"x": 1}')])
    table = log.since(0)
    assert table.schema == LOG_SCHEMA
    (row,) = table.cast(LOG_SCHEMA).to_pylist()
    assert (row["event_id"], row["customer_key"], row["log_seq"], row["event"]) == ("a", 7, 1, "Product Viewed")
    assert (row["products"], row["step"], row["source"]) == ([product], "3", "google / cpc")
    assert row["total"] is None


def test_the_log_is_read_by_its_sequence_and_by_customer(log: EventLog) -> None:
    log.append_rows([a_row(f"e{n}", customer_key=n % 3) for n in range(9)])
    assert log.since(3, through=5)["log_seq"].to_pylist() == [4, 5]
    assert log.of_customers([0, 2])["log_seq"].to_pylist() == [1, 3, 4, 6, 7, 9]
    assert log.of_customers([0, 2], after=6)["log_seq"].to_pylist() == [7, 9]
    assert log.of_customers([]).num_rows == 0
    assert log.of_customers([*range(2_000)])["log_seq"].to_pylist() == [*range(1, 10)]
    assert (log.newest_of(1), log.newest_of((0, 1)), log.newest_of(99), log.newest()) == (8, 8, 0, 9)


def test_what_is_pruned_is_never_taken_again_and_its_number_never_given_again(log: EventLog) -> None:
    log.append_rows([a_row(f"e{n}", at=n) for n in range(1, 7)])
    assert log.prune(6, older_than_us=5) == 4
    assert log.state(PRUNED_THROUGH) == 4
    assert log.prune(6, older_than_us=5) == 0
    assert log.prune(6, older_than_us=100) == 2
    assert log.append_rows([a_row("e1"), a_row("e6"), a_row("e7")]) == [None, None, 7]
    assert log.newest() == 7


def test_an_event_out_of_order_keeps_everything_after_it(log: EventLog) -> None:
    log.append_rows([a_row("a", at=1), a_row("late clock", at=50), a_row("b", at=2)])
    assert log.prune(3, older_than_us=10) == 1
    assert log.since(0)["event_id"].to_pylist() == ["late clock", "b"]


def test_inside_somebodys_transaction_events_stand_or_fall_with_it(log: EventLog) -> None:
    connection = log._connection
    connection.execute("BEGIN IMMEDIATE")
    assert log.append_rows([a_row("a")]) == [1]
    assert log.append_rows([a_row("a"), a_row("b")]) == [None, 2]
    connection.rollback()
    assert log.newest() == 0
    assert log.append_rows([a_row("a"), a_row("b")]) == [1, 2]


def test_whoever_is_forgotten_is_gone_and_their_events_do_not_come_back(log: EventLog) -> None:
    log.append_rows([a_row("a", 1), a_row("b", 2)])
    assert log.forget([1]) == 1
    assert log.append_rows([a_row("a", 1)]) == [None]
    assert log.since(0)["event_id"].to_pylist() == ["b"]


def test_how_far_things_have_come_is_kept(opened: Open) -> None:
    log = opened()
    assert log.state("materialized_through") == 0
    log.set_state("materialized_through", 7)
    log.set_state("materialized_through", 9)
    assert opened().state("materialized_through") == 9


def test_a_log_of_before_message_ids_keeps_its_events_and_takes_none_of_them_twice(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "rapport.db")) as connection:
        connection.executescript(
            "CREATE TABLE event_log (log_seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, "
            "customer_key INTEGER NOT NULL, occurred_at INTEGER NOT NULL, received_at INTEGER NOT NULL, "
            "payload TEXT NOT NULL) STRICT;"
            """INSERT INTO event_log VALUES (1, 'old', 1, 1, 1, '{"event": "x"}');"""
        )
    log = EventLog(connect(tmp_path / "rapport.db"))
    assert log.append_rows([a_row("old"), a_row("new")]) == [None, 2]
    assert log.since(0)["event_id"].to_pylist() == ["old", "new"]


def test_threads_that_join_and_send_at_once_lose_nothing_and_write_nothing_twice(tmp_path: Path) -> None:
    path, n_people, n_events = tmp_path / "rapport.db", 5, 8
    sent = [(f"event-{n}", f"user-{n % n_people}", f"device-{n % n_people}") for n in range(n_people * n_events)]
    EventLog(connect(path)), IdentityTable(connect(path))

    def send(worker: int) -> None:
        connection = connect(path)
        log, identity = EventLog(connection), IdentityTable(connection)
        mine = sent if worker % 2 else sent[::-1]  # every event is sent by every thread
        for start in range(0, len(mine), 3):
            with transaction(connection):
                part = mine[start : start + 3]
                is_new = log.claim([event_id for event_id, _, _ in part])
                new = [one for one, first in zip(part, is_new, strict=True) if first]
                # What a shop sees: some calls know the device only, some the user only, some both.
                pairs = [
                    (user, device) if number % 3 == 0 else (user, None) if number % 3 == 1 else (None, device)
                    for event_id, user, device in new
                    for number in [int(event_id.split("-")[1]) // n_people]
                ]
                keys = [joined.key for joined in identity.join_many(pairs, at_us=1)]
                log.append_claimed([a_row(one[0], key) for one, key in zip(new, keys, strict=True)])
        connection.close()

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    connection = connect(path)
    log, identity = EventLog(connection), IdentityTable(connection)
    table = log.since(0)
    assert sorted(table["event_id"].to_pylist()) == sorted(event_id for event_id, _, _ in sent)
    assert table["log_seq"].to_pylist() == [*range(1, len(sent) + 1)]
    for person in range(n_people):
        key = identity.key(f"user-{person}")
        assert key is not None
        assert identity.key(f"device-{person}", "anonymous") == key
        theirs = log.of_customers(identity.keys_of(key))["event_id"].to_pylist()
        assert sorted(theirs) == sorted(event_id for event_id, user, _ in sent if user == f"user-{person}")


_PROCESS = """
import sys
from pathlib import Path
from features.database import connect
from features.event_log import EventLog, LogRow
log = EventLog(connect(Path(sys.argv[1])))
for n in range(40):
    log.append_rows([LogRow(f"e{n}-{m}", 1, 1, 1, "{}") for m in range(5)])
"""


def test_processes_that_send_the_same_events_write_each_once(tmp_path: Path) -> None:
    path = tmp_path / "rapport.db"
    EventLog(connect(path))
    processes = [subprocess.Popen([sys.executable, "-c", _PROCESS, str(path)]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert EventLog(connect(path)).newest() == 200
