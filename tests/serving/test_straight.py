"""A path that is answered straight answers as it would through FastAPI's own stack."""

from __future__ import annotations

import asyncio
import sqlite3

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serving.fault_answers import add_fault_handlers
from serving.guard import Guard
from serving.refusals import NotFound, RequestRefused, WrongField
from serving.straight import StraightApp
from serving.unavailable import Unavailable

FAULTS = {
    "refused": RequestRefused([WrongField("/channel", "is none.")]),
    "not_found": NotFound([WrongField("/decision_id", "is none.")]),
    "http": HTTPException(415, "Send JSON."),
    "unavailable": Unavailable("the disk is full", retry_after_seconds=3),
    "full": sqlite3.OperationalError("database or disk is full"),
    "ours": RuntimeError("a secret"),
}
LIMIT = 1_000


def an_app() -> Guard:
    app = StraightApp()

    async def answered(request: Request) -> Response:
        told = await request.json()
        if (fault := FAULTS.get(told["fault"])) is not None:
            raise fault
        return JSONResponse({"told": told, "path_is_known": request.app is app})

    for path in ("/v1/straight", "/v1/through"):
        app.post(path)(answered)
    add_fault_handlers(app)
    app.answer_straight("/v1/straight")
    return Guard(app, body_limit_bytes=LIMIT, timeout_seconds=5)


def asked(path: str, *, fault: str, method: str = "POST", text: str = "") -> tuple[int, bytes, list[tuple[str, str]]]:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=an_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            body = {"fault": fault, "text": text}
            return await client.request(method, path, json=body, headers={"X-Request-Id": "r-1"})

    answer = asyncio.run(ask())
    return answer.status_code, answer.content, sorted(answer.headers.items())


@pytest.mark.parametrize("fault", [*FAULTS, "none"])
def test_an_answer_and_a_fault_are_the_same_both_ways(fault: str) -> None:
    straight = asked("/v1/straight", fault=fault)
    assert straight == asked("/v1/through", fault=fault)
    assert (straight[0] == 200) == (fault == "none")
    assert b"secret" not in straight[1]


def test_a_body_over_the_limit_is_refused_both_ways() -> None:
    straight, through = (asked(path, fault="none", text="x" * LIMIT) for path in ("/v1/straight", "/v1/through"))
    assert straight == through
    assert straight[0] == 413


def test_another_method_takes_the_usual_way() -> None:
    status, told, _ = asked("/v1/straight", fault="none", method="PUT")
    assert (status, b"it takes POST" in told) == (405, True)


def test_a_path_without_a_route_cannot_be_answered_straight() -> None:
    with pytest.raises(KeyError, match="/v1/none"):
        StraightApp().answer_straight("/v1/none")
