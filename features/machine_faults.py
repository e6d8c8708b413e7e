"""What the machine would not do (a full disk, a folder read-only, no permission), said so that people can mend it."""

from __future__ import annotations

import errno
import re
import sqlite3
import sys

_FULL = "the disk is full", "Make room, then ask again."
_READ_ONLY = "it may only be read here", "Make it writable, or name another place."
_NOT_ALLOWED = "you may not", "Ask as the user that owns it, let that user allow you, or name another place."
_AWAY = "there is no such file or folder", "Look at the name; a folder has to be there first."

_OF_SYSTEM = {
    errno.ENOENT: _AWAY,
    errno.ENOTDIR: ("a file stands where a folder is needed", "Name another place."),
    errno.EEXIST: ("something is there already", "Name another place."),
    errno.EISDIR: ("it is a folder", "Name a file."),
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EROFS: _READ_ONLY,
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EIO: ("the disk does not answer", "Look at the disk."),
    errno.ENAMETOOLONG: ("its name is too long", "Give a shorter one."),
    errno.EMFILE: ("too many files are open", "Raise 'ulimit -n'."),
    errno.ENFILE: ("too many files are open", "Close other programs."),
}
_OF_SQLITE = {
    sqlite3.SQLITE_BUSY: ("another program holds the database", "Ask again when it has ended."),
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: ("the database cannot be opened: its folder is read-only, full, not yours or away", ""),
    sqlite3.SQLITE_IOERR: ("the disk does not take what is written: it is full or away", "Make room, then ask again."),
    sqlite3.SQLITE_CORRUPT: ("state/rapport.db is damaged", "Bring back a copy of it."),
    sqlite3.SQLITE_NOTADB: ("state/rapport.db is no database", "Bring back a copy of it."),
}
_OF_DUCKDB = (
    ("No space left on device", _FULL),
    ("Read-only file system", _READ_ONLY),
    ("Permission denied", _NOT_ALLOWED),
    ("No such file or directory", _AWAY),
)


def machine_fault(fault: BaseException) -> str | None:
    """What a fault says about disks, folders and permissions; None where it is about anything else.

    Args:
        fault: as it was raised.
    """
    if isinstance(fault, sqlite3.Error):
        return _told(_OF_SQLITE.get(getattr(fault, "sqlite_errorcode", 0) & 0xFF), "")
    if isinstance(fault, OSError):
        return _told(_OF_SYSTEM.get(fault.errno or 0), _name(fault.filename2 or fault.filename))
    if (duckdb := sys.modules.get("duckdb")) is not None and isinstance(fault, duckdb.Error):
        known = next((told for said, told in _OF_DUCKDB if said in str(fault)), None)
        named = re.search(r'file "([^"]+)"', str(fault))
        return _told(known, named[1] if named else "")
    return None


def said_of_system(fault: OSError) -> str:
    """What the system says of a file, where the caller says what to do."""
    known = _OF_SYSTEM.get(fault.errno or 0)
    return known[0] if known else str(fault.strerror or fault)


def told_of_system(fault: OSError, *, name: str) -> str:
    """What the system says of a file that was asked for, and what to do.

    Args:
        fault: as it was raised.
        name: the file as the caller named it.
    """
    return _told(_OF_SYSTEM.get(fault.errno or 0), name) or f"'{name}': {said_of_system(fault)}."


def is_interruption(fault: BaseException) -> bool:
    """Whether it is Ctrl-C in the middle of a query, which DuckDB tells as an error of its own."""
    return isinstance(fault, RuntimeError) and str(fault) == "Query interrupted"


def _name(of: object) -> str:
    return of.decode(errors="replace") if isinstance(of, bytes) else str(of or "")


def _told(known: tuple[str, str] | None, name: str) -> str | None:
    if known is None:
        return None
    problem, remedy = known
    where = f"'{name}': " if name else ""
    return f"{where}{problem}. {remedy}".rstrip()
