from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
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


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass


def test_a_body_that_does_not_arrive_whole_is_told_apart_from_an_answer_that_does_not() -> None:
    sent: list[Message] = []
    parts = [{"type": "http.request", "body": b"x" * 300, "more_body": True}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.sleep(60)
        raise AssertionError("it was waited for")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/decisions", "headers": [(b"content-length", b"500")]}
    asyncio.run(Guard(reads_all, body_limit_bytes=1_024, timeout_seconds=0.02)(scope, receive, send))
    assert sent[0]["status"] == 408
    assert dict(sent[0]["headers"])[b"connection"] == b"close"
    assert "300 of 500 bytes" in json.loads(sent[1]["body"])["detail"]


@pytest.mark.parametrize(
    ("path", "says_its_length", "status"),
    [("/v1/batch", True, 413), ("/report", True, 413), ("/v1/batch", False, 504), ("/report", False, 500)],
)
def test_a_client_that_stalls_in_a_body_that_is_too_large_is_not_waited_for(
    path: str, says_its_length: bool, status: int
) -> None:
    """Without a length the fault is the app's to tell: this one has no handler that makes it a 413."""
    sent: list[Message] = []
    parts = [{"type": "http.request", "body": b"x" * 2_000, "more_body": True}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.sleep(60)
        raise AssertionError("it was waited for")

    async def send(message: Message) -> None:
        sent.append(message)

    async def asked() -> None:
        headers = [(b"content-length", b"5000")] if says_its_length else []
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        guard = Guard(reads_all, body_limit_bytes=1_024, timeout_seconds=0.02)
        await asyncio.wait_for(guard(scope, receive, send), 5)

    asyncio.run(asked())
    assert sent[0]["status"] == status
