"""Requests reach our app and nothing else; start and stop reach BentoML's."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.service import Front


class _Before:
    """As BentoML's own middlewares, which stand before those that are added."""

    def __init__(self, app: ASGIApp, seen: list[str]) -> None:
        self._app, self._seen = app, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._seen.append(scope["type"])
        await self._app(scope, receive, send)


def test_once_it_has_started_no_middleware_of_bentoml_sees_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Front, "answers", PlainTextResponse("ours"), raising=False)
    bentoml = Starlette(middleware=[Middleware(_Before, seen=seen), Middleware(Front)])

    with TestClient(bentoml) as client:
        assert [client.get("/v1/anything").text for _ in range(2)] == ["ours", "ours"]
    assert seen == ["lifespan"]


def test_an_app_that_was_never_started_is_answered_for_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Front, "answers", PlainTextResponse("ours"), raising=False)
    bentoml = Starlette(middleware=[Middleware(_Before, seen=seen), Middleware(Front)])

    assert TestClient(bentoml).get("/v1/anything").text == "ours"
    assert seen == ["http"]
