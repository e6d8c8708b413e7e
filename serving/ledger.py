"""The durable writer of decisions and outcomes: nobody is answered before the row is on disk.

One committer thread a process takes everything that waits, as one transaction: a group commit. Across processes an
`flock` before `BEGIN IMMEDIATE` queues the writers, which SQLite's own busy timeout would leave to chance (commit p99
7.7 ms behind the lock, 18.7 without). Counts for the empirical-Bayes rates move in the same transactions, so that they
are never behind the log that they summarise.

Where the disk or the database takes no write (full, locked, read-only), whoever waits is told so at once and together,
and the committer tries by itself until it does. What nobody waits for any more, because its request was answered that
it came too late, is not written later behind the caller's back.

Unavailable (RuntimeError)              it cannot be written just now
└── LedgerClosedError                   work was given to a ledger that takes none any more
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from experiments.intents import SCHEMA as INTENTS_SCHEMA
from experiments.records import SCHEMA, add_missing_columns
from features.database import connect, lock_of
from features.locks import queued
from serving.contact.tables import SCHEMA as CONTACT_SCHEMA
from serving.exploration import SCHEMA as EXPOSURES_SCHEMA
from serving.exploration import count_earlier_exposures
from serving.handing_over import Turns, Waiting, Work, foretell, tell
from serving.journal import JournalKeeper
from serving.kept import SCHEMA as KEPT_SCHEMA
from serving.ledger_rows import STATISTICS_SCHEMA
from serving.unavailable import Unavailable, unavailability, write_something

Result = TypeVar("Result")

LARGEST_GROUP = 256
PATIENCE_SECONDS = 1.2
"""How long one group waits for a lock of another program: less than a request may take to be answered (2 s)."""
_ATTEMPT_MS = 100  # behind the flock, which the other processes' committers wait for meanwhile
_TRY_AGAIN_SECONDS = 1.0
_log = logging.getLogger("rapport.serving")


class LedgerClosedError(Unavailable):
    """Work was given to a ledger that was closed, or its committer died before it said that it was written."""


class Ledger:
    """Writes in groups, durably; closed once, by whoever opened it."""

    def __init__(self, database: Path) -> None:
        database.parent.mkdir(parents=True, exist_ok=True)
        self._database, self._lock = database, lock_of(database)
        self._waiting: queue.SimpleQueue[list[Waiting] | None] = queue.SimpleQueue()
        self._turns: Turns[Waiting] = Turns(self.take)
        self._journal = JournalKeeper(database)
        with queued(self._lock):
            connection = connect(database)
            connection.executescript(
                SCHEMA + STATISTICS_SCHEMA + INTENTS_SCHEMA + CONTACT_SCHEMA + EXPOSURES_SCHEMA + KEPT_SCHEMA
            )
            add_missing_columns(connection)
            count_earlier_exposures(connection)
            connection.commit()
            connection.close()
        self._connection: sqlite3.Connection | None = None  # the committer's
        self._n_changed = 0  # rows, by that connection, when they were last noted
        self._trouble: Unavailable | None = None
        self._in_trouble_since = 0.0
        self._entrance = threading.Lock()  # nobody puts work behind the end
        self._takes_work = True
        self._committer = threading.Thread(target=self._commit_for_ever, name="rapport-committer", daemon=True)
        self._committer.start()

    @property
    def is_alive(self) -> bool:
        """Whether the committer still takes work."""
        return self._takes_work and self._committer.is_alive()

    @property
    def trouble(self) -> Unavailable | None:
        """Why nothing can be written just now; None where it can, as far as is known."""
        return self._trouble

    def write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Does the work inside a group commit and gives its result once that is on disk.

        Raises:
            Unavailable: it cannot be written just now, or the ledger takes no work any more (LedgerClosedError).
        """
        future: Future[Result] = Future()
        self._put([Waiting(work, future, None)])
        return future.result()

    def write_soon(self, work: Callable[[sqlite3.Connection], Result]) -> asyncio.Future[Result]:
        """As `write`, awaited: for a caller inside an event loop. Cancelled before its turn, it is not written."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._turns.add(Waiting(work, future, loop), loop)
        return future

    def take(self, waiting: list[Waiting]) -> None:
        """Writes together what others wait for: it is their answer where nothing is taken any more."""
        try:
            self._put(waiting)
        except LedgerClosedError as closed:
            tell(waiting, [closed] * len(waiting))

    def write_later(self, work: Work) -> None:
        """As `write`, for work that nobody waits for."""
        self._put([Waiting(work, Future(), None)])

    def close(self) -> None:
        """Commits what waits, then ends the committer."""
        self._turns.hand_over_all()
        with self._entrance:
            self._takes_work = False
            self._waiting.put(None)
        self._committer.join()
        self._journal.close()

    def _put(self, waiting: list[Waiting]) -> None:
        with self._entrance:
            if not self._takes_work:
                raise LedgerClosedError(
                    "Asked to write to a ledger that takes no work: it was closed, or writing failed."
                )
            self._waiting.put(waiting)

    # -- the committer's thread ---------------------------------------------------------------------------------

    def _commit_for_ever(self) -> None:
        group: list[Waiting] | None = None
        try:
            while (group := self._next_group()) is not None:
                self._commit(group)
        finally:
            self._let_go()
            self._refuse_the_rest(group or [])

    def _refuse_the_rest(self, in_hand: list[Waiting]) -> None:
        """Whoever still waits when the committer ends, in whatever way, is told so."""
        with self._entrance:
            self._takes_work = False
        rest = [waiting for waiting in in_hand if not waiting.future.done()]
        with contextlib.suppress(queue.Empty):
            while True:
                rest += self._waiting.get_nowait() or []
        tell(rest, [LedgerClosedError("The ledger ended before this was written.")] * len(rest))

    def _next_group(self) -> list[Waiting] | None:
        """Everything that waits; none where it is time to try whether the trouble is over; None at the end."""
        try:
            first = self._waiting.get(timeout=_TRY_AGAIN_SECONDS if self._trouble else None)
        except queue.Empty:
            return []
        if first is None:
            return None
        group = list(first)
        while len(group) < LARGEST_GROUP:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._waiting.put(None)
                break
            group += following
        return group

    def _commit(self, group: list[Waiting]) -> None:
        group = [waiting for waiting in group if not waiting.future.cancelled()]
        if not group and not self._trouble:
            return
        try:
            results = self._written(group)
        except Exception as fault:
            trouble = unavailability(fault)
            if trouble is not None:
                self._enter(trouble, fault)
            tell(group, [trouble or fault] * len(group))
        else:
            self._leave_trouble()
            try:
                self._journal.note(self._rows_written())
            finally:
                tell(group, results)  # last: whoever is told wakes up and wants the GIL that this thread holds

    def _written(self, group: list[Waiting]) -> list[Any]:
        """All results of one transaction; where a piece of work fails, its fault is its result."""
        try:
            with self._transaction() as connection:
                if self._trouble:
                    write_something(connection)
                results = _done(connection, [waiting.work for waiting in group])
                if len(group) == 1:  # of several the first answers would keep the GIL from this thread, and the lock
                    foretell(group[0], results[0])
                return results
        except Exception as fault:
            if unavailability(fault) is not None or len(group) == 1:
                raise
        with self._transaction() as connection:  # one bad piece of work must not take the others with it
            return [_apart(connection, waiting.work) for waiting in group]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction behind the flock; what is committed when it ends is on disk."""
        until = time.monotonic() + (0.0 if self._trouble else PATIENCE_SECONDS)
        while True:
            with queued(self._lock):
                try:
                    connection = self._opened()
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as fault:
                    if not _is_busy(fault) or time.monotonic() > until:
                        raise
                    continue  # lets the other processes' committers have their turn
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:
                    connection.rollback()  # does nothing where SQLite has ended a failed transaction itself
                    raise
                return

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connect(self._database)
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout = {_ATTEMPT_MS}")
            self._connection, self._n_changed = connection, 0
        return self._connection

    def _rows_written(self) -> int:
        """Since the last time: a piece of work may be one decision, or a campaign's group of them."""
        before, self._n_changed = self._n_changed, self._connection.total_changes if self._connection else 0
        return self._n_changed - before

    def _let_go(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _enter(self, trouble: Unavailable, fault: Exception) -> None:
        self._let_go()  # a descriptor that was opened before the trouble may not outlive it
        if self._trouble is None:
            self._in_trouble_since = time.monotonic()
            _log.error("the ledger takes no writes: %s (%s)", trouble, fault)
        self._trouble = trouble

    def _leave_trouble(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            _log.warning("the ledger takes writes again, after %.1f s", time.monotonic() - self._in_trouble_since)


def _is_busy(fault: sqlite3.Error) -> bool:
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _done(connection: sqlite3.Connection, works: Sequence[Work]) -> list[Any]:
    """The results of pieces of work in their order; those of a kind that follow each other are done together."""
    results: list[Any] = []
    for together, following in groupby(works, key=lambda work: getattr(work, "together", None)):
        some = list(following)
        results += [work(connection) for work in some] if together is None else together(connection, some)
    return results


def _apart(connection: sqlite3.Connection, work: Work) -> Any:
    """The result of one piece of work inside a transaction, or its fault, which then left nothing behind."""
    connection.execute("SAVEPOINT piece")
    try:
        result = work(connection)
    except Exception as fault:
        if unavailability(fault) is not None or not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO piece")
        connection.execute("RELEASE piece")
        return fault
    connection.execute("RELEASE piece")
    return result
