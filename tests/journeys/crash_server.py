"""The real server, started as anybody starts it, and killed without a warning: all of it, or one worker."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

WORKERS = 2
STARTS_WITHIN_SECONDS = 180.0
_WORKER = b"_bentoml_impl.worker.service"
_PAUSE_SECONDS = 0.05


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Server:
    """`rapport serve` on a port that stays its own from start to start."""

    def __init__(self, workspace: Path, *, log: Path, variables: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self._workspace, self._log = workspace, log
        self._rubbish = tempfile.TemporaryDirectory(prefix="rapport-")  # what a killed process could not tidy up
        self._environment = os.environ | {"TMPDIR": self._rubbish.name} | dict(variables or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it; it is not ready yet."""
        serve = [str(Path(sys.executable).parent / "rapport"), "serve", "--port", str(self.port)]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*serve, "--workers", str(WORKERS), "--workspace", str(self._workspace)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._workspace,
                env=self._environment,
            )

    def wait_until_ready(self) -> float:
        """The seconds until it answered that it is ready, both workers there."""
        started, until = time.monotonic(), time.monotonic() + STARTS_WITHIN_SECONDS
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                break
            if len(self.workers()) >= WORKERS and self._is_ready():
                return time.monotonic() - started
            time.sleep(_PAUSE_SECONDS)
        raise RuntimeError(f"The server did not become ready:\n{self._log.read_text()[-4000:]}")

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        return [pid for pid in self._descendants() if _WORKER in _file_of(pid, "cmdline")]

    def kill_worker(self) -> None:
        """Kills the newest worker, as an administrator's mistake or the kernel's lack of memory would."""
        os.kill(self.workers()[-1], signal.SIGKILL)

    def kill_all(self) -> None:
        """Kills every process of it at once, so that nobody of them can tidy up; returns when none is left."""
        if self._process is None:
            return
        os.kill(self._process.pid, signal.SIGSTOP)  # it must not start new workers in between
        doomed = [*self._descendants(), self._process.pid]
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        while any(_is_running(pid) for pid in doomed):
            time.sleep(0.01)

    def close(self) -> None:
        """Ends it and leaves nothing behind."""
        self.kill_all()
        self._rubbish.cleanup()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _descendants(self) -> list[int]:
        parents = {pid: _parent_of(pid) for pid in _all_processes()}
        found = {self._process.pid} if self._process is not None else set()
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in found and pid not in found}
            found |= more
            grown = bool(more)
        return sorted(found - {self._process.pid if self._process else 0})


def _all_processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _file_of(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _status(pid: int) -> tuple[str, int]:
    """The state and the parent; a process that is gone is dead and nobody's child."""
    told = _file_of(pid, "stat").rpartition(b")")[2].split()
    return (told[0].decode(), int(told[1])) if len(told) > 1 else ("X", 0)


def _parent_of(pid: int) -> int:
    return _status(pid)[1]


def _is_running(pid: int) -> bool:
    return _status(pid)[0] not in ("X", "Z")
