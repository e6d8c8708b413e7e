from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.guard import Guard


def answered(app: ASGIApp, path: str) -> list[Message]:
    """What a guarded app sends for one request."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": [(b"x-request-id", b"r-7")]}
    asyncio.run(Guard(app, body_limit_bytes=1_024, timeout_seconds=0.02)(scope, receive, send))
    return sent


async def slow(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(0.1)
    await PlainTextResponse("at last")(scope, receive, send)


async def slow_after_the_first_byte(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await asyncio.sleep(0.1)
    await send({"type": "http.response.body", "body": b"at last"})


def test_a_decision_that_takes_too_long_is_a_problem_with_its_request_id() -> None:
    start, body = answered(slow, "/v1/decisions")
    headers = dict(start["headers"])
    assert start["status"] == 504
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"x-request-id"] == b"r-7"
    told = json.loads(body["body"])
    assert (told["status"], told["request_id"]) == (504, "r-7")
    assert "the same decision_id" in told["detail"]


def test_a_page_takes_the_time_that_it_takes() -> None:
    assert answered(slow, "/report/audience/s1.csv")[0]["status"] == 200


def test_whoever_has_begun_to_answer_is_not_stopped() -> None:
    start, body = answered(slow_after_the_first_byte, "/v1/decisions")
    assert (start["status"], body["body"]) == (200, b"at last")
