"""`DELETE /v1/customers/{id}`: everything of one person goes, and the receipt is the answer."""

from __future__ import annotations

import asyncio
import json

from fastapi import FastAPI, Request
from starlette.responses import Response

from features.erasure import begin_erasure
from features.faults import CallersMistake
from serving.engine import Engine
from serving.erasing.finishing import finish_soon
from serving.refusals import NotFound, WrongField


def add_erasure_routes(app: FastAPI) -> None:
    """Adds the route."""

    @app.delete("/v1/customers/{customer_id:path}", summary="Erases a customer, under every id and key of theirs.")
    async def erase_customer(customer_id: str, request: Request) -> Response:
        """202 with the receipt so far: the person is out of the database; files follow, which may take minutes.

        Asked again, the answer is 200 with the finished receipt once nothing is left, and 202 until then. Whoever goes
        away before the answer loses nothing.
        """
        engine: Engine = request.app.state.engine
        try:
            receipt = await asyncio.to_thread(begin_erasure, engine.workspace, customer_id, now=engine.now())
        except CallersMistake:
            rule = "we have never heard of this customer. It is your own id of them, or a device's anonymous id."
            raise NotFound([WrongField("/customer_id", rule)]) from None
        is_finished = receipt["finished_at"] is not None
        if not is_finished:
            finish_soon(engine.workspace, now=engine.now)
        body = json.dumps(receipt, ensure_ascii=False, allow_nan=False)
        return Response(body, status_code=200 if is_finished else 202, media_type="application/json")
