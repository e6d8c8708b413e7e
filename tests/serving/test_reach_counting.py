"""Whoever asks for reach starts no count beside another, and is told a fault as a fault."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message

from serving import reaching
from serving.fault_answers import add_fault_handlers
from serving.guard import Guard
from serving.unavailable import Unavailable


class Shop:
    """An app with reach alone, whose count a test holds up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_counts = 0
        self.may_end = threading.Event()
        self.fault: Exception | None = None
        monkeypatch.setattr(reaching, "reach_view", self._count)
        monkeypatch.setattr(reaching, "SILENT_SECONDS", 0.1)
        app = FastAPI()
        app.state.engine = SimpleNamespace()
        reaching.add_reach_routes(app)
        add_fault_handlers(app)
        self._guard = Guard(app, body_limit_bytes=100, timeout_seconds=2)

    def _count(self, engine: object) -> dict[str, Any]:
        self.n_counts += 1
        assert self.may_end.wait(10)
        if self.fault is not None:
            raise self.fault
        return {"count": self.n_counts}

    async def ask(self) -> tuple[int, dict[str, Any]]:
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(0 if not sent else 60)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/v1/reach",
            "query_string": b"",
            "headers": [],
        }
        scope |= {"root_path": "", "scheme": "http", "http_version": "1.1", "client": None, "server": None}
        scope |= {"raw_path": b"/v1/reach", "asgi": {"version": "3.0"}}
        await self._guard(scope, receive, send)
        return sent[0]["status"], json.loads(b"".join(one.get("body", b"") for one in sent[1:]))


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(monkeypatch)


def test_all_who_ask_at_once_and_soon_after_get_one_count(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        asked = [asyncio.create_task(shop.ask()) for _ in range(20)]
        gone = asyncio.create_task(shop.ask())
        await asyncio.sleep(0.02)
        gone.cancel()  # who goes away takes nothing from the others
        await asyncio.sleep(0.3)
        shop.may_end.set()
        assert await asyncio.gather(*asked) == [(200, {"count": 1})] * 20
        assert await shop.ask() == (200, {"count": 1})
        monkeypatch.setattr(reaching, "KEPT_SECONDS", 0.0)
        assert await shop.ask() == (200, {"count": 2})

    asyncio.run(play())


@pytest.mark.parametrize(
    ("fault", "status"),
    [(ValueError("broken"), 500), (Unavailable("the disk is full", retry_after_seconds=3), 503)],
)
def test_a_fault_is_a_problem_with_its_status_or_where_that_has_left_a_problem_in_the_body(
    shop: Shop, fault: Exception, status: int
) -> None:
    async def play() -> None:
        shop.fault = fault
        slow = asyncio.create_task(shop.ask())
        await asyncio.sleep(0.3)
        shop.may_end.set()
        sent, told = await slow
        assert (sent, told["status"]) == (200, status)
        assert told["request_id"]
        sent, told = await shop.ask()
        assert (sent, told["status"]) == (status, status)
        shop.fault = None
        assert (await shop.ask())[0] == 200, "a fault is not kept"

    asyncio.run(play())
