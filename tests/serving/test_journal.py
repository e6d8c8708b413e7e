from __future__ import annotations

import shutil
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from features.database import connect, lock_of
from features.locks import queued
from serving.journal import JournalKeeper, lengthen
from serving.ledger import Ledger
from tests.disks import SmallDisk, needs_tmpfs


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "rapport.db")) as connection:
        connection.isolation_level = None
        connection.execute("CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT)")
        yield connection


def write(connection: sqlite3.Connection, folder: Path) -> None:
    with queued(lock_of(folder / "rapport.db")):
        connection.execute("INSERT INTO notes (text) VALUES (?)", ("x" * 20_000,))


def begun_anew(folder: Path) -> int:
    """How often the log has begun anew, by its header (https://www.sqlite.org/walformat.html, bytes 12 to 15)."""
    with (folder / "rapport.db-wal").open("rb") as log:
        return int(struct.unpack(">I", log.read(32)[12:16])[0])


def test_the_log_begins_anew_beside_somebody_who_never_stops_writing(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    keeper = JournalKeeper(tmp_path / "rapport.db", pages=500)
    write(connection, tmp_path)
    before, n, until = begun_anew(tmp_path), 1, time.monotonic() + 30
    while begun_anew(tmp_path) < before + 2 and time.monotonic() < until:
        write(connection, tmp_path)
        keeper.note(1)
        n += 1
    keeper.close()
    assert begun_anew(tmp_path) >= before + 2
    assert connection.execute("SELECT count(*), sum(length(text)) FROM notes").fetchone() == (n, n * 20_000)


def test_little_that_was_written_is_left_where_it_is(connection: sqlite3.Connection, tmp_path: Path) -> None:
    keeper = JournalKeeper(tmp_path / "rapport.db")
    write(connection, tmp_path)
    before = begun_anew(tmp_path)
    keeper.note(1)
    keeper.close()
    write(connection, tmp_path)
    assert begun_anew(tmp_path) == before


def test_one_large_piece_of_work_counts_by_its_rows(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "rapport.db")

    def many_rows(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO notes (text) VALUES (?)", [("x" * 4_000,)] * 9_000)

    def one_row(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes (text) VALUES ('x')")

    ledger.write(many_rows)
    before = begun_anew(tmp_path)
    for _ in range(200):  # so few rows that they would bring nothing in by themselves
        ledger.write(one_row)
        if (after := begun_anew(tmp_path)) > before:
            break
        time.sleep(0.05)
    ledger.close()
    assert after > before


def test_a_database_that_cannot_be_opened_does_not_end_the_keeper(tmp_path: Path) -> None:
    broken = tmp_path / "rapport.db"
    broken.write_bytes(b"no database" * 1_000)
    keeper = JournalKeeper(broken, pages=1)
    keeper.note(1)
    time.sleep(0.05)
    with closing(connect(tmp_path / "other" / "rapport.db")) as sound:
        sound.execute("VACUUM INTO ?", (str(tmp_path / "whole.db"),))
    (tmp_path / "whole.db").rename(broken)
    with closing(connect(broken)) as connection:
        connection.isolation_level = None
        connection.execute("CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT)")
        before, until = begun_anew(tmp_path), time.monotonic() + 30
        while begun_anew(tmp_path) == before and time.monotonic() < until:
            write(connection, tmp_path)
            keeper.note(1)
        assert begun_anew(tmp_path) > before
    keeper.close()


def test_commits_do_not_lengthen_a_log_that_was_lengthened(connection: sqlite3.Connection, tmp_path: Path) -> None:
    log = tmp_path / "rapport.db-wal"
    write(connection, tmp_path)
    connection.execute("BEGIN IMMEDIATE")
    lengthen(connection, pages=500)
    connection.execute("COMMIT")
    before = log.stat().st_size
    for _ in range(50):  # of six pages each
        write(connection, tmp_path)
    assert log.stat().st_size == before >= 500 * 4_096
    connection.execute("BEGIN IMMEDIATE")
    lengthen(connection, pages=500)  # long enough
    connection.execute("COMMIT")
    assert log.stat().st_size == before


def test_a_lengthened_log_is_read_after_a_crash(connection: sqlite3.Connection, tmp_path: Path) -> None:
    write(connection, tmp_path)
    connection.execute("BEGIN IMMEDIATE")
    lengthen(connection, pages=500)
    connection.execute("COMMIT")
    write(connection, tmp_path)
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("rapport.db", "rapport.db-wal"):  # without its index, which only lives as long as somebody reads
        shutil.copy(tmp_path / name, crashed / name)
    with closing(connect(crashed / "rapport.db")) as found:
        assert found.execute("SELECT count(*) FROM notes").fetchone() == (2,)
        assert found.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@needs_tmpfs
def test_a_log_that_the_disk_has_no_room_for_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    with SmallDisk(folder, "tmpfs", megabytes=1), closing(connect(folder / "rapport.db")) as connection:
        connection.isolation_level = None
        connection.execute("CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT)")
        before = (folder / "rapport.db-wal").stat().st_size
        connection.execute("BEGIN IMMEDIATE")
        lengthen(connection, pages=500)
        connection.execute("COMMIT")
        assert (folder / "rapport.db-wal").stat().st_size == before
        write(connection, folder)
