"""Requests reach our app and nothing else; start and stop reach BentoML's."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what BentoML imports warns of itself
    from serving.service import Front


class _Before:
    """As BentoML's own middlewares, which stand before those that are added."""

    def __init__(self, app: ASGIApp, seen: list[str]) -> None:
        self._app, self._seen = app, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._seen.append(scope["type"])
        await self._app(scope, receive, send)


async def _answer_of(app: Starlette, *, is_started: bool) -> str:
    async with AsyncExitStack() as started:
        if is_started:
            await started.enter_async_context(_lifespan(app))
        client = await started.enter_async_context(httpx.AsyncClient(transport=httpx.ASGITransport(app)))
        return (await client.get("http://here/v1/anything")).text


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """The app, told to start and to stop as a server tells it."""
    told: asyncio.Queue[Message] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()
    running = asyncio.create_task(app({"type": "lifespan"}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    assert (await heard.get())["type"] == "lifespan.startup.complete"
    yield
    await told.put({"type": "lifespan.shutdown"})
    await running


@pytest.mark.parametrize(("is_started", "seen_before"), [(True, ["lifespan"]), (False, ["http"])])
def test_once_it_has_started_no_middleware_of_bentoml_sees_a_request(
    monkeypatch: pytest.MonkeyPatch, is_started: bool, seen_before: list[str]
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Front, "answers", PlainTextResponse("ours"), raising=False)
    bentoml = Starlette(middleware=[Middleware(_Before, seen=seen), Middleware(Front)])

    assert asyncio.run(_answer_of(bentoml, is_started=is_started)) == "ours"
    assert seen == seen_before
