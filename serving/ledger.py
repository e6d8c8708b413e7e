"""The durable writer of decisions and outcomes: nobody is answered before the row is on disk.

One committer thread a process takes everything that waits, as one transaction: a group commit. Across processes an
`flock` before `BEGIN IMMEDIATE` queues the writers, which SQLite's own busy timeout would leave to chance (commit p99
7.7 ms behind the lock, 18.7 without). Counts for the empirical-Bayes rates move in the same transactions, so that they
are never behind the log that they summarise.

LedgerClosedError (RuntimeError)    work was given to a ledger that takes none any more
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from experiments.records import SCHEMA
from features.database import connect
from serving.ledger_rows import STATISTICS_SCHEMA

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Any]

LARGEST_GROUP = 256


class LedgerClosedError(RuntimeError):
    """Work was given to a ledger that was closed, or its committer died before it said that it was written."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """One piece of work and whom to tell, from which event loop."""

    work: Work
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None


class Ledger:
    """Writes in groups, durably; closed once, by whoever opened it."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        self._database = database
        self._lock_file = database.with_suffix(".lock").open("ab")
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        with self._alone():
            connection = connect(database)
            connection.executescript(SCHEMA + STATISTICS_SCHEMA)
            connection.close()
        self._entrance = threading.Lock()  # nobody puts work behind the end
        self._takes_work = True
        self._committer = threading.Thread(target=self._commit_for_ever, name="rapport-committer", daemon=True)
        self._committer.start()

    @property
    def is_alive(self) -> bool:
        """Whether the committer still takes work."""
        return self._takes_work and self._committer.is_alive()

    def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Does the work inside a group commit and gives its result once that is on disk.

        Raises:
            LedgerClosedError: the ledger takes no work any more.
        """
        future: Future[Result] = Future()
        self._put(_Waiting(work, future, None))
        return future.result()

    def write_soon(self, work: Callable[[sqlite3.Connection], Result]) -> asyncio.Future[Result]:
        """As `write`, awaited: for a caller inside an event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._put(_Waiting(work, future, loop))
        return future

    def write_later(self, work: Work) -> None:
        """As `write`, for work that nobody waits for."""
        self._put(_Waiting(work, Future(), None))

    def close(self) -> None:
        """Commits what waits, then ends the committer."""
        with self._entrance:
            self._takes_work = False
            self._waiting.put(None)
        self._committer.join()
        self._lock_file.close()

    def _put(self, waiting: _Waiting) -> None:
        with self._entrance:
            if not self._takes_work:
                raise LedgerClosedError(
                    "Asked to write to a ledger that takes no work: it was closed, or writing failed."
                )
            self._waiting.put(waiting)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._lock_file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock_file, fcntl.LOCK_UN)

    def _commit_for_ever(self) -> None:
        group: list[_Waiting] | None = None
        try:
            connection = connect(self._database)
            connection.isolation_level = None
            try:
                while (group := self._next_group()) is not None:
                    self._commit(connection, group)
            finally:
                connection.close()
        finally:
            self._refuse_the_rest(group or [])

    def _refuse_the_rest(self, in_hand: list[_Waiting]) -> None:
        """Whoever still waits when the committer ends, in whatever way, is told so."""
        with self._entrance:
            self._takes_work = False
        rest = [waiting for waiting in in_hand if not waiting.future.done()]
        with contextlib.suppress(queue.Empty):
            while True:
                if (waiting := self._waiting.get_nowait()) is not None:
                    rest.append(waiting)
        _tell(rest, [LedgerClosedError("The ledger ended before this was written.")] * len(rest))

    def _next_group(self) -> list[_Waiting] | None:
        """Everything that waits, at least one; None when it is time to end."""
        first = self._waiting.get()
        if first is None:
            return None
        group = [first]
        while len(group) < LARGEST_GROUP:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._waiting.put(None)
                break
            group.append(following)
        return group

    def _commit(self, connection: sqlite3.Connection, group: list[_Waiting]) -> None:
        try:
            results = self._transact(connection, group)
        except Exception as fault:
            if len(group) == 1:
                _tell(group, [fault])
                return
            for waiting in group:  # one bad piece of work must not take the others with it
                self._commit(connection, [waiting])
            return
        _tell(group, results)

    def _transact(self, connection: sqlite3.Connection, group: list[_Waiting]) -> list[Any]:
        with self._alone():
            connection.execute("BEGIN IMMEDIATE")
            try:
                results = [waiting.work(connection) for waiting in group]
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise
        return results


def _tell(group: list[_Waiting], results: list[Any]) -> None:
    """Hands every result over; those for an event loop together, since waking one is a system call."""
    for_loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for waiting, result in zip(group, results, strict=True):
        if waiting.loop is not None and isinstance(waiting.future, asyncio.Future):
            for_loops.setdefault(waiting.loop, []).append((waiting.future, result))
        else:
            _settle(waiting.future, result)
    for loop, settled in for_loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits there
            loop.call_soon_threadsafe(_settle_all, settled)


def _settle_all(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in settled:
        if not future.done():  # a caller who went away
            _settle(future, result)


def _settle(future: Future[Any] | asyncio.Future[Any], result: object) -> None:
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
