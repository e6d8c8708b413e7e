"""One transaction after the other, in the order in which writers came, whatever process they are of."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from features.database import connect, lock_of, transaction
from features.event_log import EventLog, LogRow
from features.locks import queued


def test_every_transaction_waits_for_its_turn_among_all_writers(tmp_path: Path) -> None:
    database, is_in = tmp_path / "rapport.db", threading.Event()
    with closing(connect(database)) as connection:
        EventLog(connection)

        def write() -> None:
            with transaction(connection), transaction(connection):  # the inner one is part of the outer
                is_in.set()

        with queued(lock_of(database)):  # as a ledger's committer has it
            writer = threading.Thread(target=write)
            writer.start()
            assert not is_in.wait(0.2)
        assert is_in.wait(10)
        writer.join()
        with queued(lock_of(database)):  # and it was let go
            pass


def test_a_database_in_memory_has_nobody_to_wait_for() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, transaction(connection):
        assert connection.in_transaction


def test_what_is_pruned_goes_in_transactions_that_are_short(tmp_path: Path) -> None:
    with closing(connect(tmp_path / "rapport.db")) as connection:
        log = EventLog(connection)
        log.append_rows([LogRow(f"e{n}", 1, 1, 1, "{}") for n in range(5_000)])
        commits: list[str] = []
        connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        assert log.prune(5_000, older_than_us=2) == 5_000
        assert len(commits) == 3
