"""The one transactional database of a workspace, opened the same way everywhere."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

from features.locks import queued

BUSY_TIMEOUT_MS = 5_000
CACHE_KIB = 64 * 1024  # SQLite's own 2 MiB spills the pages of one large commit to disk before it is committed
CHECKPOINTED_PAGES = 64_000  # 256 MiB: a page written by many commits goes to the database once, not each time

_ROWS_IN_ONE_INSERT = (64, 32, 16, 8, 4, 3, 2, 1)  # 3: what one decision takes from budgets, mostly

_TURNS, _TURN_MS, _BETWEEN_TURNS = 10, 50, 0.1  # of emptying the journal: about a second, in which others write


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


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that only reads, also where nothing may be written, such as a copy that is mounted read-only.

    Raises:
        sqlite3.Error: there is no database, or its journal cannot be read without writing.
    """
    address = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT_MS / 1_000)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        # SQLite makes the journal's files even to read. Where there are none and it may not, nobody is writing.
        if path.with_name(f"{path.name}-wal").exists():
            raise
        return sqlite3.connect(f"{address}&immutable=1", uri=True)
    return connection


def empty_journal(connection: sqlite3.Connection) -> bool:
    """Brings the write-ahead log into the database and cuts it to nothing, so that deleted pages stand nowhere.

    Gives whether that could be done: a reader of before the deletion keeps the journal. It is waited for in short
    turns, since nobody can write during one.
    """
    (timeout,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {_TURN_MS}")
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of the work, and nobody waits for it
        for turn in range(_TURNS):
            if turn:
                time.sleep(_BETWEEN_TURNS)
            if _is_emptied(connection):
                return True
        return False
    finally:
        connection.execute(f"PRAGMA busy_timeout = {timeout}")


def _is_emptied(connection: sqlite3.Connection) -> bool:
    try:
        return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
    except sqlite3.OperationalError as fault:
        if fault.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return False
        raise


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that may write, from its first statement on; inside somebody's it stands or falls with theirs.

    It waits for its turn among all writers of all processes: SQLite's own busy timeout leaves to chance who is next,
    and the ledger's requests would wait behind whoever writes much.
    """
    if connection.in_transaction:
        yield
        return
    with contextlib.ExitStack() as held:
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if path:  # it is not in memory
            with contextlib.suppress(OSError):  # a disk that takes no write: SQLite says so in its own words
                held.enter_context(queued(lock_of(Path(path))))
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()  # does nothing where SQLite has ended a failed transaction itself
            raise


def insert_rows(
    connection: sqlite3.Connection, insert: str, rows: Sequence[Sequence[object]], conflict: str = ""
) -> None:
    """Inserts rows, several with each statement: every step of one gives up the GIL and has to wait to get it back.

    Args:
        connection: inside somebody's transaction.
        insert: `INSERT INTO table (columns) VALUES`.
        rows: all of the same width.
        conflict: what follows the values.
    """
    start, left = 0, len(rows)
    while left:
        size = next(size for size in _ROWS_IN_ONE_INSERT if size <= left)  # few: SQLite keeps what it has compiled
        some = rows[start : start + size]
        statement = _insert_of(insert, conflict, size=size, width=len(some[0]))
        connection.execute(statement, some[0] if size == 1 else list(chain.from_iterable(some)))
        start, left = start + size, left - size


@lru_cache(maxsize=256)
def _insert_of(insert: str, conflict: str, *, size: int, width: int) -> str:
    marks = ", ".join([f"({', '.join('?' * width)})"] * size)
    return f"{insert} {marks} {conflict}"


def lock_of(database: Path) -> Path:
    """The file behind whose lock every writer of a database waits for its turn."""
    return database.with_suffix(".lock")


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
