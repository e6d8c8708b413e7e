"""What a command costs: a process of its own, its wall-clock and CPU seconds, and its peak resident memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MIB = 2**20
QUIET = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}  # for ours and for what is beside it


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took, the processes that it started and waited for included.

    Attributes:
        seconds: by the clock on the wall.
        cpu_seconds: of all its threads.
        peak_bytes: of resident memory, of the largest process.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int

    def line(self, name: str) -> str:
        """A row of a table, in the columns of HEADING."""
        return f"{name:44} {self.seconds:9.1f} {self.cpu_seconds:9.1f} {self.peak_bytes / MIB:10,.0f}"


HEADING = f"{'':44} {'wall s':>9} {'CPU s':>9} {'peak MiB':>10}"


def run(command: Sequence[str]) -> Cost:
    """Runs a command to its end; its OpenMP threads sleep while they wait, as those of `rapport` do.

    Raises:
        RuntimeError: it failed; with the end of what it printed.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | QUIET
    ) as process:
        said = process.stdout.read() if process.stdout is not None else ""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    took = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"'{' '.join(command)}' ended with {process.returncode}:\n{said[-3000:]}")
    return Cost(took, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)  # Linux counts KiB


def disk_bytes(folder: Path) -> int:
    """What the files of a folder take; one that goes away meanwhile takes nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(root, name).stat().st_size
    return total


@contextmanager
def disk_watched(folder: Path, *, every_seconds: float = 2.0) -> Iterator[Callable[[], int]]:
    """Looks at a folder for as long as the block lasts; what it gives says how many bytes were there at most."""
    most, is_over = [disk_bytes(folder)], threading.Event()

    def look() -> None:
        while not is_over.wait(every_seconds):
            most[0] = max(most[0], disk_bytes(folder))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield lambda: most[0]
    finally:
        is_over.set()
        watcher.join()
