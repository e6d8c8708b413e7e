"""How many connections each worker of a machine holds, in a file that they share."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import struct
from pathlib import Path

_SLOT = struct.Struct("<iii")  # process, port, connections; a worker's own, written by nobody else while it lives
_SLOTS = 256


class SharedCounts:
    """How many connections each worker of the machine holds, in a file; where that cannot be written, nobody's.

    Args:
        file: shared by every worker of the workspace; made where it is missing.
        port: where this worker listens; those of other ports are another server's.
        pid: of this worker's process.
    """

    def __init__(self, file: Path, *, port: int, pid: int | None = None) -> None:
        self._port, self._pid = port, os.getpid() if pid is None else pid
        self._slots: mmap.mmap | None = None
        self._mine = 0
        with contextlib.suppress(OSError, ValueError):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                size = _SLOTS * _SLOT.size
                if (
                    os.fstat(descriptor).st_size < size
                ):  # written whole: a full disk says so here, not by a signal later
                    os.pwrite(descriptor, bytes(size), 0)
                self._slots = mmap.mmap(descriptor, size)
                self._mine = self._free()
                self.tell(0)
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # the map keeps a descriptor of its own, and with it the lock
                os.close(descriptor)

    def tell(self, n: int) -> None:
        """So many are held by this worker."""
        if self._slots is not None:
            _SLOT.pack_into(self._slots, self._mine * _SLOT.size, self._pid, self._port, n)

    def is_one_with_fewer(self, n: int) -> bool:
        """Whether another worker that lives holds fewer than so many."""
        if self._slots is None:
            return False
        return any(
            port == self._port and held < n and pid not in (0, self._pid) and _lives(pid)
            for pid, port, held in _SLOT.iter_unpack(self._slots)
        )

    def close(self) -> None:
        """This worker takes no more."""
        if self._slots is not None:
            _SLOT.pack_into(self._slots, self._mine * _SLOT.size, 0, 0, 0)
            self._slots.close()
            self._slots = None

    def _free(self) -> int:
        """The first slot of nobody who lives.

        Raises:
            ValueError: there is none.
        """
        pids = [pid for pid, _, _ in _SLOT.iter_unpack(self._slots or b"")]
        return [pid in (0, self._pid) or not _lives(pid) for pid in pids].index(True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
