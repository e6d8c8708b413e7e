"""Takes whoever is being erased out of the files, in the background: one thread a workspace, for as long as is needed.

A thread that is killed with its process leaves nothing undone for good: the erasure stands as begun, and whoever asks
for it again, or the next `rapport run`, goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from features.erasure import finish_begun
from features.faults import CallersMistake
from features.workspace import Workspace

TRIED_FOR_SECONDS = 900.0  # an import that writes to the lake for longer leaves the rest to the next run
_BETWEEN_SECONDS = 0.5

_log = logging.getLogger("rapport.serving")


class Finisher:
    """The thread of one workspace; `wake` starts it where it does not run, and it ends when nothing is left."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._is_running = self._is_woken = False

    def wake(self, now: Callable[[], datetime]) -> None:
        """Sees to it that everything that has begun by now is finished; returns at once."""
        with self._lock:
            self._is_woken = True
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._finish, args=(now,), name="rapport-erasing", daemon=True).start()

    def _finish(self, now: Callable[[], datetime]) -> None:
        until = time.monotonic() + TRIED_FOR_SECONDS
        while self._goes_on(is_over=time.monotonic() > until):
            if not self._tried(now):
                with self._lock:
                    self._is_woken = True
                time.sleep(_BETWEEN_SECONDS)

    def _goes_on(self, *, is_over: bool) -> bool:
        with self._lock:
            self._is_running = self._is_woken and not is_over
            self._is_woken = False
            return self._is_running

    def _tried(self, now: Callable[[], datetime]) -> bool:
        """Whether nothing is left that has begun."""
        try:
            return finish_begun(self._workspace, now=now())
        except CallersMistake:
            return False  # the lake is being written to
        except Exception:  # what is wrong today is no reason to leave somebody in the files tomorrow
            _log.warning("An erasure could not be finished yet.", exc_info=True)
            return False


_finishers: dict[Path, Finisher] = {}
_of_them = threading.Lock()


def finish_soon(workspace: Workspace, *, now: Callable[[], datetime]) -> None:
    """Has the erasures of a workspace that have begun finished in the background."""
    with _of_them:
        finisher = _finishers.setdefault(workspace.root.resolve(), Finisher(workspace))
    finisher.wake(now)
