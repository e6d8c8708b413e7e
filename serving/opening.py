"""A worker whose database cannot be written when it starts: it says so, 503, and opens as soon as it can."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from features.database import connect, transaction
from serving.problems import not_now
from serving.unavailable import LATER_SECONDS, SOON_SECONDS, Unavailable, unavailability, write_something

ALIVE = "/livez"
_log = logging.getLogger("rapport.serving")


def trouble_with(database: Path) -> Unavailable | None:
    """Why that database takes no write just now; None where it does. It is made where it is missing.

    Raises:
        sqlite3.DatabaseError: the file is no database, or a broken one: waiting would not mend it.
    """
    try:
        with closing(connect(database)) as connection:
            connection.execute(f"PRAGMA busy_timeout = {SOON_SECONDS * 1_000}")
            with transaction(connection):
                write_something(connection)
    except (sqlite3.OperationalError, OSError) as fault:
        return unavailability(fault) or Unavailable(str(fault), retry_after_seconds=LATER_SECONDS)
    return None


def open_when_possible(
    database: Path, opened: Callable[[], ASGIApp], *, answer_with: Callable[[ASGIApp], None]
) -> None:
    """Opens a worker now, or in a thread of its own as soon as its database can be written.

    Args:
        database: the workspace's.
        opened: opens everything and gives the app that answers.
        answer_with: is told which app answers from now on.
    """
    if (trouble := trouble_with(database)) is None:
        answer_with(opened())
        return
    _log.error("not open yet: %s", trouble)
    answer_with(_NotOpen(trouble))

    def wait_and_open() -> None:
        while (still := trouble_with(database)) is not None:
            answer_with(_NotOpen(still))
            time.sleep(SOON_SECONDS)
        try:
            answer_with(opened())
        except BaseException:
            _log.exception("the worker could not be opened")
            os._exit(1)  # half open it serves nobody; BentoML starts another one
        _log.warning("open: the database can be written")

    threading.Thread(target=wait_and_open, name="rapport-opening", daemon=True).start()


class _NotOpen:
    """Answers while there is nothing to answer with."""

    def __init__(self, trouble: Unavailable) -> None:
        self._trouble = trouble

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """503 with Retry-After; only that the process lives is told as ever."""
        if scope["path"] == ALIVE:
            response = Response(b'{"status": "alive"}', media_type="application/json")
        else:
            response = not_now(self._trouble, request_id=secrets.token_hex(8))
        await response(scope, receive, send)
