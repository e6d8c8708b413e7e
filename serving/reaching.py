"""Reach over HTTP: how many can be spoken to now and this week, by channel and segment, and why the others cannot.

It takes a core for seconds in a large shop. So a worker counts once at a time, whoever asks meanwhile gets the same
answer, and so does who asks soon after.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from serving.engine import Engine
from serving.guard import REQUEST_ID
from serving.ledger_rows import microseconds
from serving.problems import not_now, unexplained
from serving.reach import reach_of, templated_channels
from serving.reach_people import read_people
from serving.unavailable import unavailability

KEPT_SECONDS = 5.0
SILENT_SECONDS = 0.5
"""So long a count may take before it is answered in parts: the Guard and servers in front give up on silence."""
_JSON = "application/json"
_log = logging.getLogger("rapport.serving")


class Counting:
    """One count at a time, kept for some seconds; used in one event loop.

    Args:
        count: makes the answer, in a thread.
    """

    def __init__(self, count: Callable[[], bytes]) -> None:
        self._count = count
        self._task: asyncio.Task[bytes] | None = None
        self._done_at = math.inf

    def asked(self) -> asyncio.Task[bytes]:
        """The count that goes on, or has just ended well; else a new one."""
        if self._task is None or (self._task.done() and not self._is_kept(self._task)):
            self._done_at = math.inf
            self._task = asyncio.create_task(asyncio.to_thread(self._count))
            self._task.add_done_callback(self._note)
        return self._task

    def _is_kept(self, task: asyncio.Task[bytes]) -> bool:
        is_well = not task.cancelled() and task.exception() is None
        return is_well and time.monotonic() - self._done_at < KEPT_SECONDS

    def _note(self, task: asyncio.Task[bytes]) -> None:
        self._done_at = time.monotonic()


def add_reach_routes(app: FastAPI) -> None:
    """Adds GET /v1/reach."""
    counting: Counting | None = None

    @app.get("/v1/reach", summary="How many can be reached now and this week, by channel and segment.")
    async def reach(request: Request) -> Response:
        """Counts of customers; whoever cannot be reached is counted by the first reason.

        It may take seconds. What is told is of `as_of`, a few seconds ago at most.
        """
        nonlocal counting
        counting = counting or Counting(lambda: _told(request.app.state.engine))
        task = counting.asked()
        if not task.done():
            await asyncio.wait({task}, timeout=SILENT_SECONDS)  # which, cancelled, leaves it to the others
        if task.done():
            return Response(task.result(), media_type=_JSON)
        return StreamingResponse(_slowly(task, str(getattr(request.state, REQUEST_ID, ""))), media_type=_JSON)


def reach_view(engine: Engine) -> dict[str, Any]:
    """What GET /v1/reach answers, as JSON types."""
    at = engine.now()
    people, day = read_people(engine, at=at)
    templated = templated_channels(engine.brand, engine.catalogue)
    told = reach_of(people, brand=engine.brand, templated=templated, at_us=microseconds(at))
    return {"as_of": at.isoformat(), "segments_as_of": day.isoformat() if day else None} | told


def _told(engine: Engine) -> bytes:
    return json.dumps(reach_view(engine), ensure_ascii=False).encode()


async def _slowly(task: asyncio.Task[bytes], request_id: str) -> AsyncIterator[bytes]:
    """White space at once, then the answer; or, the status having left, the problem in its place."""
    yield b"\n"
    try:
        yield await asyncio.shield(task)
    except Exception as fault:
        _log.exception("request %s failed", request_id)
        trouble = unavailability(fault)
        told = unexplained(request_id) if trouble is None else not_now(trouble, request_id=request_id)
        yield bytes(told.body)
