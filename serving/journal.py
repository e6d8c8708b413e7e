"""Brings the write-ahead log into the database beside the committer, so that no commit has to.

SQLite's own way is that the commit by which the log has become long brings all of it into the database: for 16,000
pages 0.1 s of work and two waits for the disk, for which every client of every worker waits. Here a thread does it, of
one process at a time, while others write. Only the little that came meanwhile is left to be done while nobody may: then
the log begins anew, instead of growing for as long as there is always somebody who writes. Where this thread is late,
SQLite's own way still stands behind it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from features.database import CHECKPOINTED_PAGES, connect, lock_of
from features.locks import queued

_PAGES_OF_A_GROUP, _PAGES_OF_A_ROW = 4, 2  # about: one decision is 16 pages and 6 rows; 64 are 300 and 170
PAGES = CHECKPOINTED_PAGES // 4  # of this process; so much may each of four write before SQLite's own way begins
LENGTHENED_PAGES = 5_000  # what a start writes while nobody else may; the log becomes longer by itself
_PAGE, _BEFORE_A_PAGE = 4_096, 24
_MOST_TIMES, _FEW_PAGES = 5, 256  # each time finds what was written during the one before: fewer and fewer


class JournalKeeper:
    """One thread; closed once, by whoever opened it.

    Args:
        database: the workspace's.
        pages: after so many, about, the log is brought into it.
    """

    def __init__(self, database: Path, *, pages: int = PAGES) -> None:
        self._database, self._pages = database, pages
        self._lock = database.with_name("journal.lock")
        self._written = 0
        self._due, self._is_closed = threading.Event(), False
        self._thread: threading.Thread | None = None

    def note(self, n_rows: int) -> None:
        """One more transaction is in the log, of so many rows; of one thread."""
        self._written += _PAGES_OF_A_GROUP + _PAGES_OF_A_ROW * n_rows
        if self._written < self._pages:
            return
        self._written = 0
        self._due.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._keep_for_ever, name="rapport-journal", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends the thread after what it has in hand."""
        self._is_closed = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_for_ever(self) -> None:
        while True:
            self._due.wait()
            self._due.clear()
            if self._is_closed:
                return
            with contextlib.suppress(sqlite3.Error, OSError):  # whoever writes next is told what is wrong with the disk
                self._bring_in()

    def _bring_in(self) -> None:
        with queued(self._lock), closing(connect(self._database)) as connection:
            for _ in range(_MOST_TIMES):
                if _left_after_a_turn(connection) <= _FEW_PAGES:
                    break
            with queued(lock_of(self._database)):
                _left_after_a_turn(connection)


def _left_after_a_turn(connection: sqlite3.Connection) -> int:
    """Brings in what can be had while others read and write; gives how many pages the log has beyond that."""
    _, n_pages, n_brought_in = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(n_pages - n_brought_in)


def lengthen(connection: sqlite3.Connection, *, pages: int = LENGTHENED_PAGES) -> None:
    """Makes the log's file longer before anybody waits for that; inside a transaction that holds the lock of writers.

    A commit that lengthens the file waits for the file system's own journal as well; one that writes over what is
    there does not. So the first ones after a start would take half as long again as all others. Only what lies behind
    the file's end is written, as zeros, at which SQLite stops to read; where the disk has no room for it, it is let go.

    References:
        https://www.sqlite.org/walformat.html
    """
    database = connection.execute("PRAGMA database_list").fetchone()[2]
    with contextlib.suppress(OSError):
        descriptor = os.open(f"{database}-wal", os.O_RDWR | os.O_CLOEXEC)
        try:
            _lengthen(descriptor, until=pages * (_BEFORE_A_PAGE + _PAGE))
        finally:
            os.close(descriptor)


def _lengthen(descriptor: int, *, until: int) -> None:
    length, zeros = os.fstat(descriptor).st_size, bytes(_PAGE)
    try:
        # Page by page, as SQLite will: the system keeps a large piece as one, and each change of it costs more.
        for start in range(length, until, _PAGE):
            os.pwrite(descriptor, zeros, start)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, length)
        raise
