"""Locks between processes: one file each, let go by the kernel when its holder ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def queued(path: Path) -> Iterator[None]:
    """Waits for its turn, which it has while the block lasts."""
    # Not as a Python file, which would take as long again: every decision comes through here.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone(path: Path, *, busy: Callable[[str], Exception]) -> Iterator[None]:
    """Nobody else while the block lasts; where somebody is, what `busy` makes of their process id is raised."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise busy(file.read().strip() or "unknown") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
