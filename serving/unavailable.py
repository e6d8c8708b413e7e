"""When the disk or the database cannot take a write just now: told apart from faults of the work itself.

Unavailable (RuntimeError)     503 with Retry-After; nothing of it was acknowledged, sending it again is safe
"""

from __future__ import annotations

import errno
import sqlite3

SOON_SECONDS = 1
LATER_SECONDS = 5  # a full disk is not emptied in a second

_OF_SQLITE = {
    sqlite3.SQLITE_BUSY: ("the database is locked by another program", SOON_SECONDS),
    sqlite3.SQLITE_LOCKED: ("the database is locked by another program", SOON_SECONDS),
    sqlite3.SQLITE_PROTOCOL: ("the database is locked by another program", SOON_SECONDS),
    sqlite3.SQLITE_FULL: ("the disk is full", LATER_SECONDS),
    sqlite3.SQLITE_READONLY: ("the database cannot be written: its folder is read-only", LATER_SECONDS),
    sqlite3.SQLITE_PERM: ("the database cannot be written: its folder is read-only", LATER_SECONDS),
    sqlite3.SQLITE_CANTOPEN: ("the database cannot be opened: its folder is read-only, full or away", LATER_SECONDS),
    sqlite3.SQLITE_IOERR: ("the disk does not take what is written", LATER_SECONDS),
}
_OF_SYSTEM = {
    errno.ENOSPC: ("the disk is full", LATER_SECONDS),
    errno.EDQUOT: ("the disk is full", LATER_SECONDS),
    errno.EROFS: ("the database cannot be written: its folder is read-only", LATER_SECONDS),
    errno.EIO: ("the disk does not take what is written", LATER_SECONDS),
    errno.EMFILE: ("too many files are open", SOON_SECONDS),
    errno.ENFILE: ("too many files are open", SOON_SECONDS),
}


class Unavailable(RuntimeError):  # noqa: N818 (it is what it says)
    """The store takes no writes just now.

    Args:
        reason: why, for whoever runs the server.
        retry_after_seconds: when it makes sense to try again.
    """

    def __init__(self, reason: str, *, retry_after_seconds: int = SOON_SECONDS) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


def unavailability(fault: BaseException) -> Unavailable | None:
    """What a fault says about the disk and the database; None where it is about something else."""
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, Unavailable):
            return cause
        if (known := _known(cause)) is not None:
            return Unavailable(known[0], retry_after_seconds=known[1])
        cause = cause.__cause__
    return None


def write_something(connection: sqlite3.Connection) -> None:
    """Writes one page that stays what it is: a transaction that writes nothing finds no disk full."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")


def _known(fault: BaseException) -> tuple[str, int] | None:
    if isinstance(fault, sqlite3.Error):
        code = getattr(fault, "sqlite_errorcode", None)  # the extended code; its low byte is the primary one
        return None if code is None else _OF_SQLITE.get(code & 0xFF)
    return _OF_SYSTEM.get(fault.errno or 0) if isinstance(fault, OSError) else None
