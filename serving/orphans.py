"""A worker does not outlive the server above it: it would keep the port, and nobody could stop or restart it."""

from __future__ import annotations

import os
import signal
import threading
import time

LOOKS_EVERY_SECONDS = 0.5


def end_with_parent(*, every_seconds: float = LOOKS_EVERY_SECONDS) -> None:
    """From now on this process ends as by SIGTERM when its parent has gone, as after `kill -9` of the server alone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="rapport-orphan", daemon=True).start()
