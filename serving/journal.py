"""Brings the write-ahead log into the database beside the committer, so that no commit has to.

SQLite's own way is that the commit by which the log has become long brings all of it into the database: 16,000 pages,
0.1 s of work and two waits for the disk, for which every client of every worker waits. Here a thread does it, while
others write. Only what came meanwhile is left to be done while nobody may: then the log begins anew, instead of growing
for as long as there is always somebody who writes. Where this thread is late, SQLite's own way still stands behind it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from features.database import CHECKPOINTED_PAGES, connect, lock_of
from features.locks import queued

_PAGES_OF_A_GROUP, _PAGES_OF_A_ROW = 4, 2  # about: one decision is 16 pages and 6 rows; 64 are 300 and 170
PAGES = CHECKPOINTED_PAGES // 4  # of this process; so much may each of four write before SQLite's own way begins
_BESIDE = 2  # the second time finds only what was written during the first


class JournalKeeper:
    """One thread; closed once, by whoever opened it.

    Args:
        database: the workspace's.
        pages: after so many, about, the log is brought into it.
    """

    def __init__(self, database: Path, *, pages: int = PAGES) -> None:
        self._database, self._pages = database, pages
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
        with closing(connect(self._database)) as connection:
            for _ in range(_BESIDE):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            with queued(lock_of(self._database)):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
