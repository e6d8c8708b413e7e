"""How often a key may ask: one token bucket a key, shared by every worker of the machine.

Each bucket is one number in a file, the instant at which it is full again (GCRA), so that a request costs a lock, a
read and a write of eight bytes. A share of the rate for each worker would be simpler and wrong: a client keeps its
connection, and so one worker.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

_INSTANT = struct.Struct("<d")


class SharedRates:
    """The buckets of all keys, in a file; where that cannot be written, those of this process alone.

    Args:
        file: shared by every worker; made where it is missing.
        clock: seconds, the same in every worker.
    """

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._own: dict[int, float] = {}
        try:
            self._file: int | None = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            self._file = None

    def close(self) -> None:
        """Lets go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def wait_of(self, number: int, *, per_second: float) -> float:
        """Takes one request from a key's bucket, which holds what it may ask in a second, at least one.

        Returns:
            0 where it was there, else the seconds until it will be; then nothing was taken.
        """
        interval = 1.0 / per_second
        size = max(1.0, interval)  # seconds that the bucket holds
        if self._file is None:
            full_at, wait = _after(self._own.get(number, 0.0), self._clock(), interval=interval, size=size)
            self._own[number] = full_at
            return wait
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            kept = os.pread(self._file, _INSTANT.size, number * _INSTANT.size)
            before = _INSTANT.unpack(kept)[0] if len(kept) == _INSTANT.size else 0.0
            full_at, wait = _after(before, self._clock(), interval=interval, size=size)
            if not wait:
                os.pwrite(self._file, _INSTANT.pack(full_at), number * _INSTANT.size)
        except OSError:  # a full disk: deciding goes on, and what has to be durable is refused where it is written
            return 0.0
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return wait


def _after(full_at: float, now: float, *, interval: float, size: float) -> tuple[float, float]:
    """When the bucket is full again if one is taken now, and how long to wait before that may be."""
    if not now <= full_at <= now + size:  # long ago; or a clock that was set back, which must not lock anybody out
        full_at = now
    wait = full_at + interval - (now + size)
    return (full_at, wait) if wait > 1e-9 else (full_at + interval, 0.0)
