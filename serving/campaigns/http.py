"""POST /v1/decisions/batch: a campaign's customers in, their decisions out, line by line."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.campaigns.asking import question_of
from serving.campaigns.reading import PATH, Body
from serving.campaigns.running import Campaign
from serving.engine import Engine
from serving.guard import REQUEST_ID
from serving.problems import not_now, unexplained
from serving.unavailable import unavailability

JSON, LINES = "application/json", "application/x-ndjson"
_log = logging.getLogger("rapport.serving")
_DESCRIBED = {
    "requestBody": {
        "required": True,
        "description": "As lines (application/x-ndjson): first what is asked of everybody, as in POST /v1/decisions "
        "without a customer, then each customer on a line of their own, as a customer_id or an object. As one JSON "
        'object: the same question with {"customers": [...]} beside it.',
        "content": {kind: {"schema": {"type": "object"}} for kind in (LINES, JSON)},
    }
}


def add_campaign_routes(app: FastAPI) -> None:
    """Adds POST /v1/decisions/batch."""

    @app.post(
        PATH,
        summary="A campaign: decisions for up to 100,000 customers, streamed.",
        openapi_extra=_DESCRIBED,
        responses={200: {"description": "One line a customer, in their order.", "content": {LINES: {}}}},
    )
    async def campaign(request: Request) -> Response:
        """Each customer's decision is on disk before its line is answered; the last line counts them all."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (JSON, LINES):
            raise HTTPException(415, f"Send lines of JSON ('Content-Type: {LINES}') or one object ('{JSON}').")
        engine: Engine = request.app.state.engine
        body = Body(request.stream(), is_lines=kind == LINES)
        question = question_of(await body.question())
        engine.deciding.asked(question, stock=engine.stock, models=engine.models.served)

        async def has_gone() -> bool:
            return body.is_read and await request.is_disconnected()  # before that it would take a part of the body

        lines = Campaign(engine, question).lines(body)
        return _Streamed(lines, has_gone=has_gone, request_id=str(getattr(request.state, REQUEST_ID, "")))


class _Streamed(Response):
    """Sends parts as they are made; Starlette's own would take the rest of the body for a sign of disconnection.

    Where the caller has gone no more are made: nobody would read what is decided and counted for them.
    """

    def __init__(
        self, parts: AsyncIterator[bytes], *, has_gone: Callable[[], Awaitable[bool]], request_id: str
    ) -> None:
        super().__init__(media_type=LINES)
        del self.headers["content-length"]
        self._parts, self._has_gone, self._request_id = parts, has_gone, request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One answer; a fault on the way is its last line."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self._parts) as parts:  # type: ignore[type-var]
                async for part in parts:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    if await self._has_gone():
                        _log.warning("request %s: the caller has gone, so its campaign was ended", self._request_id)
                        return
        except Exception as fault:
            _log.exception("request %s failed", self._request_id)
            trouble = unavailability(fault)
            problem = (
                unexplained(self._request_id) if trouble is None else not_now(trouble, request_id=self._request_id)
            )
            await send({"type": "http.response.body", "body": bytes(problem.body) + b"\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
