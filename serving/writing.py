"""The one connection over which a process writes decisions: transactions behind the lock that all writers queue for."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from features.database import connect, lock_of
from features.locks import queued, queued_at_once

_ATTEMPT_MS = 100  # behind the flock, which the other processes' committers wait for meanwhile


class InTheWayError(Exception):
    """Somebody else writes just now."""


class WritingConnection:
    """Opened by the first transaction, and again by the first one after `close`; of one thread at a time.

    Args:
        database: the workspace's.
    """

    def __init__(self, database: Path) -> None:
        self._database, self._lock = database, lock_of(database)
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Lets go of the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def transaction(self, *, patience_seconds: float) -> Iterator[sqlite3.Connection]:
        """One write transaction; what is committed when it ends is on disk.

        Args:
            patience_seconds: how long a lock of another program is waited for.
        """
        until = time.monotonic() + patience_seconds
        while True:
            with queued(self._lock):
                try:
                    connection = self._opened()
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError as fault:
                    if not _is_busy(fault) or time.monotonic() > until:
                        raise
                    continue  # lets the other processes' committers have their turn
                with _to_the_end(connection):
                    yield connection
                return

    @contextlib.contextmanager
    def transaction_at_once(self) -> Iterator[sqlite3.Connection]:
        """As `transaction`, where nobody has to be waited for.

        Raises:
            InTheWayError: somebody has; then nothing was begun.
        """
        with queued_at_once(self._lock) as is_turn:
            if not is_turn or self._connection is None:  # to open one takes a while
                raise InTheWayError
            connection = self._connection
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as fault:
                raise (InTheWayError() if _is_busy(fault) else fault) from None
            finally:
                connection.execute(f"PRAGMA busy_timeout = {_ATTEMPT_MS}")
            with _to_the_end(connection):
                yield connection

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = connect(self._database)
            connection.isolation_level = None
            connection.execute(f"PRAGMA busy_timeout = {_ATTEMPT_MS}")
            self._connection = connection
        return self._connection


@contextlib.contextmanager
def _to_the_end(connection: sqlite3.Connection) -> Iterator[None]:
    """Commits what was done in the block, or takes it back."""
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # does nothing where SQLite has ended a failed transaction itself
        raise


def _is_busy(fault: sqlite3.Error) -> bool:
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
