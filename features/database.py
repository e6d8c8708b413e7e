"""The one transactional database of a workspace, opened the same way everywhere."""

from __future__ import annotations

import sqlite3
from pathlib import Path

BUSY_TIMEOUT_MS = 5_000


def connect(path: Path) -> sqlite3.Connection:
    """A connection to the workspace's database: what is committed is on disk, readers do not block the writer.

    Folders above `path` are made if missing. The connection may be handed to another thread; using it from two at
    once is the caller's to prevent. Close it when done: `with connect(...)` commits, it does not close.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1_000, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection
