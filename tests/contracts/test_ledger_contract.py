"""What every ledger keeps to: durable when it says so, nothing half, and a store that fails loses nothing.

Disks that fail are real: a small tmpfs, a file system that the kernel has made read-only, another program's lock.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from serving.handing_over import Work
from serving.ledger import PATIENCE_SECONDS, Ledger, LedgerClosedError
from serving.unavailable import Unavailable
from tests.disks import SmallDisk, needs_ext4, needs_tmpfs

Open = Callable[[Path], Ledger]
KILOBYTE = "x" * 1_000
_LOCKING = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""
_NO_ROOM = ("the disk is full", "the disk does not take what is written")
_READING = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT id FROM notes').fetchall())"


@pytest.fixture(params=[Ledger], ids=["sqlite"])
def opened(request: pytest.FixtureRequest) -> Iterator[Open]:
    ledgers: list[Ledger] = []

    def open_one(folder: Path) -> Ledger:
        ledger: Ledger = request.param(folder / "state" / "rapport.db")
        ledgers.append(ledger)
        ledger.write(lambda connection: connection.execute("CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, t)"))
        return ledger

    yield open_one
    for ledger in ledgers:
        ledger.close()


def note(connection: sqlite3.Connection, *, one: str, text: str = "") -> str:
    connection.execute("INSERT INTO notes VALUES (?, ?)", (one, text))
    return one


def is_in_trouble(ledger: Ledger) -> bool:
    return ledger.trouble is not None


def noted(folder: Path) -> list[str]:
    """What another program finds."""
    with closing(sqlite3.connect(folder / "state" / "rapport.db")) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM notes ORDER BY id")]


def until_it_writes(ledger: Ledger, one: str) -> float:
    """Seconds until a note is taken, tried as a client would."""
    started = time.monotonic()
    while True:
        try:
            ledger.write(partial(note, one=one))
            return time.monotonic() - started
        except Unavailable:
            time.sleep(0.05)


def fill(ledger: Ledger) -> list[str]:
    """Writes until nothing more goes in; what was acknowledged."""
    taken: list[str] = []
    for number in range(100_000):
        try:
            taken.append(ledger.write(partial(note, one=f"{number:05}", text=KILOBYTE)))
        except Unavailable as full:
            if full.retry_after_seconds < 1 or str(full) not in _NO_ROOM:
                raise
            return taken
    pytest.fail("the disk was never full")


# -- what it keeps to while all is well -------------------------------------------------------------------------------


def test_what_it_says_is_written_another_process_reads(opened: Open, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.write(partial(note, one="a"))
    arguments = [sys.executable, "-c", _READING, str(tmp_path / "state" / "rapport.db")]
    assert subprocess.check_output(arguments).strip() == b"[('a',)]"


def test_a_commit_waits_for_the_disk(opened: Open, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    full = 2
    assert ledger.write(lambda connection: connection.execute("PRAGMA synchronous").fetchone()[0]) == full


def test_a_bad_piece_of_work_takes_no_other_with_it_and_leaves_nothing(opened: Open, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.write(partial(note, one="c"))

    def fails_half_way(connection: sqlite3.Connection) -> None:
        note(connection, one="half")
        note(connection, one="c")  # is there already

    async def together() -> list[object]:
        works: list[Work] = [partial(note, one="a"), fails_half_way, partial(note, one="b")]
        return list(await asyncio.gather(*(ledger.write_soon(work) for work in works), return_exceptions=True))

    first, bad, last = asyncio.run(together())
    assert (first, last) == ("a", "b")
    assert isinstance(bad, sqlite3.IntegrityError)
    assert noted(tmp_path) == ["a", "b", "c"]
    assert not is_in_trouble(ledger)


def test_work_that_nobody_waits_for_any_more_is_not_written(opened: Open, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    busy = threading.Event()

    async def cancelled_while_it_waits() -> None:
        first = ledger.write_soon(lambda _: busy.wait(5))
        await asyncio.sleep(0.05)  # the committer has it in hand
        late = ledger.write_soon(partial(note, one="late"))
        late.cancel()
        busy.set()
        await first
        await ledger.write_soon(partial(note, one="after"))

    asyncio.run(cancelled_while_it_waits())
    assert noted(tmp_path) == ["after"]


# -- another program's lock -------------------------------------------------------------------------------------------


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process inside a write transaction."""
    arguments = [sys.executable, "-c", _LOCKING, str(folder / "state" / "rapport.db")]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        if other.stdout is None or other.stdin is None:
            raise RuntimeError("no pipes")
        other.stdout.readline()
        try:
            yield
        finally:
            other.stdin.write(b"\n")
            other.stdin.close()
            other.wait()


def test_a_short_lock_is_waited_for(opened: Open, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    lock = sqlite3.connect(tmp_path / "state" / "rapport.db", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(PATIENCE_SECONDS / 4, lock.commit)
    timer.start()
    assert ledger.write(partial(note, one="a")) == "a"
    timer.join()
    lock.close()


def test_a_long_lock_is_unavailable_within_the_time_of_a_request_and_over_when_it_is(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = opened(tmp_path)
    caplog.set_level(logging.WARNING)
    with locked(tmp_path):
        started = time.monotonic()
        with pytest.raises(Unavailable, match="locked by another program"):
            ledger.write(partial(note, one="a"))
        assert time.monotonic() - started < 1.9
        assert is_in_trouble(ledger)
        started = time.monotonic()
        with pytest.raises(Unavailable):
            ledger.write(partial(note, one="a"))
        assert time.monotonic() - started < PATIENCE_SECONDS, "once it is known, nobody waits for long"
        assert ledger.is_alive
    until = time.monotonic() + 5
    while is_in_trouble(ledger) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_in_trouble(ledger), "it finds out by itself: nobody has asked"
    ledger.write(partial(note, one="a"))
    assert noted(tmp_path) == ["a"]
    said = [record.message for record in caplog.records if "the ledger takes" in record.message]
    assert ["no writes" in said[0], "writes again" in said[-1], len(said)] == [True, True, 2]


def test_all_who_wait_for_a_locked_database_are_told_together(opened: Open, tmp_path: Path) -> None:
    ledger = opened(tmp_path)

    async def many() -> list[object]:
        works = [ledger.write_soon(partial(note, one=f"{n}")) for n in range(50)]
        return await asyncio.gather(*works, return_exceptions=True)

    with locked(tmp_path):
        started = time.monotonic()
        told = asyncio.run(many())
        assert time.monotonic() - started < 3 * PATIENCE_SECONDS
    assert {type(one) for one in told} == {Unavailable}
    until_it_writes(ledger, "after")
    assert noted(tmp_path) == ["after"]


def test_a_ledger_in_trouble_can_be_closed_and_says_so_to_whoever_waits(opened: Open, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    with locked(tmp_path):
        with pytest.raises(Unavailable):
            ledger.write(partial(note, one="a"))
        ledger.close()
    with pytest.raises(LedgerClosedError):
        ledger.write(partial(note, one="a"))


# -- disks that take no more ------------------------------------------------------------------------------------------


@needs_tmpfs
def test_a_full_disk_loses_nothing_and_is_written_again_when_there_is_room(opened: Open, tmp_path: Path) -> None:
    with SmallDisk(tmp_path, "tmpfs", megabytes=2) as disk:
        disk.fill(leave_kilobytes=900)  # the tables and their indexes take more than half of it
        ledger = opened(tmp_path)
        taken = fill(ledger)
        assert len(taken) > 10
        assert noted(tmp_path) == taken
        with pytest.raises(Unavailable, match="the disk is full"):
            ledger.write(partial(note, one="zz", text=KILOBYTE * 50))
        disk.make_room()
        assert until_it_writes(ledger, "z") < 5
        assert noted(tmp_path) == [*taken, "z"]
        ledger.close()


@needs_ext4
def test_a_disk_that_the_kernel_made_read_only_loses_nothing(opened: Open, tmp_path: Path) -> None:
    with SmallDisk(tmp_path, "ext4", megabytes=16) as disk:
        ledger = opened(tmp_path)
        taken = [ledger.write(partial(note, one=f"{number:05}", text=KILOBYTE)) for number in range(50)]
        disk.fail()
        with pytest.raises(Unavailable):
            ledger.write(partial(note, one="z"))
        assert noted(tmp_path) == taken, "reading goes on"
        ledger.close()
        disk.mount_again()
        assert noted(tmp_path) == taken
        until_it_writes(opened(tmp_path), "z")
        assert noted(tmp_path) == [*taken, "z"]


def test_a_quota_that_is_used_up_loses_nothing(opened: Open, tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256_000, before[1]))
    try:
        taken = fill(ledger)
        assert len(taken) > 10
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    until_it_writes(ledger, "z")
    assert noted(tmp_path) == [*taken, "z"]
