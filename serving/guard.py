"""What stands before every request: an id, its key, limits of its body and its time, no stack trace to anybody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.accepting import Ending
from serving.keys.gate import Gate
from serving.problems import TOO_LARGE, half_sent, problem, too_late, turned_away, unexplained

REQUEST_ID = "request_id"
_SANE_ID = re.compile(rb"^[A-Za-z0-9_.:-]{1,128}$")
TIMED = ("/v1/", "/u/")  # what reads a body; pages take the time they take, and start to answer at once
DRAINED_LIMITS = 20
_CLOSE = {"connection": "close"}
_log = logging.getLogger("rapport.serving")


class Guard:
    """Wraps the application; pure ASGI, since a mounted Starlette app would cost a second match of every route.

    Args:
        app: what it guards.
        body_limit_bytes: a longer body is answered 413, also where it says no length.
        longer_bodies: the limits of paths that take more than that.
        timeout_seconds: where what reads a body has not begun to answer by then, it is stopped and answered 504;
            408 where it waited for the body.
        gate: judges by the headers alone, before any byte of the body is read; without one everybody may ask.
        ending: once it has begun, each answer says that it is the last one on its connection.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_limit_bytes: int,
        timeout_seconds: float,
        gate: Gate | None = None,
        longer_bodies: Mapping[str, int] | None = None,
        ending: Ending | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._ending = ending or Ending()
        self._limit = body_limit_bytes
        self._longer = longer_bodies or {}
        self._seconds = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, length = _headers(scope)
        scope.setdefault("state", {})[REQUEST_ID] = request_id
        has_started, is_awaited, received = False, False, 0
        limit = self._longer.get(scope["path"], self._limit)
        timer = asyncio.timeout(self._seconds if scope["path"].startswith(TIMED) else None)

        async def send_with_id(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if self._ending.has_begun:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        async def send_in_time(message: Message) -> None:
            if message["type"] == "http.response.start" and not timer.expired():
                timer.reschedule(None)
            await send_with_id(message)

        async def receive_some() -> Message:
            nonlocal received, is_awaited
            is_awaited = True  # and stays it where the time is over meanwhile
            message = await receive()
            is_awaited = False
            received += len(message.get("body", b""))
            if received > limit:
                await self._drain(message, receive)
                raise HTTPException(413, too_large, headers=_CLOSE)  # the app's handler makes it a problem
            return message

        if self._gate is not None and (refusal := self._gate.judge(scope)) is not None:
            await turned_away(refusal, request_id=request_id)(scope, receive, send_with_id)
            return
        too_large = f"A request may hold {limit} bytes. Send less, or in several requests."
        if length > limit:
            await self._drain({"more_body": True}, receive)
            response = problem(413, title=TOO_LARGE, detail=too_large, request_id=request_id, headers=_CLOSE)
            await response(scope, receive, send_with_id)
            return
        try:
            async with timer:
                await self._app(scope, receive_some, send_in_time)
        except Exception as fault:
            if isinstance(fault, TimeoutError) and timer.expired() and is_awaited:
                response = half_sent(request_id, seconds=self._seconds, received=received, length=length)
            elif isinstance(fault, TimeoutError) and timer.expired():
                _log.warning("request %s had no answer within %s s", request_id, self._seconds)
                response = too_late(request_id, seconds=self._seconds)
            else:
                _log.exception("request %s failed", request_id)
                response = unexplained(request_id)
            if not has_started:
                await response(scope, receive, send_with_id)

    async def _drain(self, message: Message, receive: Receive) -> None:
        """Takes the rest of a body: a client that is still sending would never read why it was refused.

        One that sends without end, or stalls, is refused all the same.
        """
        drained = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while message.get("more_body", False) and drained <= DRAINED_LIMITS * self._limit:
                    message = await receive()
                    drained += len(message.get("body", b""))


def _headers(scope: Scope) -> tuple[str, int]:
    """The caller's own request id where it is sane, else a new one; and the length that the body is said to have."""
    request_id, length = b"", 0
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.match(value):
            request_id = value
        elif name == b"content-length" and value.isdigit():
            length = int(value)
    return request_id.decode() or secrets.token_hex(8), length
