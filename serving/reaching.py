"""Reach over HTTP: how many can be spoken to now and this week, by channel and segment, and why the others cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from serving.engine import Engine
from serving.ledger_rows import microseconds
from serving.reach import reach_of, templated_channels
from serving.reach_people import read_people


def add_reach_routes(app: FastAPI) -> None:
    """Adds GET /v1/reach."""

    @app.get("/v1/reach", summary="How many can be reached now and this week, by channel and segment.")
    async def reach(request: Request) -> StreamingResponse:
        """Counts of customers; whoever cannot be reached is counted by the first reason. It may take seconds."""
        return StreamingResponse(_slowly(request.app.state.engine), media_type="application/json")


def reach_view(engine: Engine) -> dict[str, Any]:
    """What GET /v1/reach answers, as JSON types."""
    at = engine.now()
    people, day = read_people(engine, at=at)
    templated = templated_channels(engine.brand, engine.catalogue)
    told = reach_of(people, brand=engine.brand, templated=templated, at_us=microseconds(at))
    return {"as_of": at.isoformat(), "segments_as_of": day.isoformat() if day else None} | told


async def _slowly(engine: Engine) -> AsyncIterator[bytes]:
    """White space at once, then the answer: a server in front may give up on silence."""
    yield b"\n"
    told = await asyncio.to_thread(reach_view, engine)
    yield json.dumps(told, ensure_ascii=False).encode()
