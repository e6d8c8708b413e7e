"""The one transactional database of a workspace, opened the same way everywhere."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

BUSY_TIMEOUT_MS = 5_000
CACHE_KIB = 64 * 1024  # SQLite's own 2 MiB spills the pages of one large commit to disk before it is committed
CHECKPOINTED_PAGES = 16_000  # 64 MiB: a page written by many commits goes to the database once, not each time


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the workspace's database: what is committed is on disk, readers do not block the writer.

    Folders above `path` are made if missing. The connection may be handed to another thread; using it from two at
    once is the caller's to prevent. Close it when done: `with connect(...)` commits, it does not close.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1_000, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINTED_PAGES}")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that may write, from its first statement on; inside somebody's it stands or falls with theirs."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # does nothing where SQLite has ended a failed transaction itself
        raise


def create_tables(connection: sqlite3.Connection, schema: str) -> None:
    """Runs CREATE … IF NOT EXISTS statements as one transaction, or as part of the caller's."""
    with transaction(connection):
        for statement in _statements(schema):
            connection.execute(statement)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
