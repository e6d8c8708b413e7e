"""`DELETE /v1/customers/{id}`: everything of one person goes, and the receipt is the answer."""

from __future__ import annotations

import asyncio
import json

from fastapi import FastAPI, Request
from starlette.responses import Response

from features.erasure import erase, receipt_of
from features.faults import CallersMistake
from serving.engine import Engine
from serving.refusals import NotFound, WrongField


def add_erasure_routes(app: FastAPI) -> None:
    """Adds the route."""

    @app.delete("/v1/customers/{customer_id:path}", summary="Erases a customer, under every id and key of theirs.")
    async def erase_customer(customer_id: str, request: Request) -> Response:
        """200 with the receipt once nothing is left; 202 while files still hold them: the next `rapport run` finishes.

        Whoever goes away before the answer loses nothing: the erasure goes on, and asked again gives its receipt.
        """
        engine: Engine = request.app.state.engine
        try:
            receipt = await asyncio.to_thread(erase, engine.workspace, customer_id, now=engine.now())
        except CallersMistake:
            unfinished = await asyncio.to_thread(receipt_of, engine.workspace, customer_id)
            if unfinished is None:
                rule = "we have never heard of this customer. It is your own id of them, or a device's anonymous id."
                raise NotFound([WrongField("/customer_id", rule)]) from None
            receipt = unfinished  # the lake is being written to
        body = json.dumps(receipt, ensure_ascii=False, allow_nan=False)
        status = 200 if receipt["finished_at"] is not None else 202
        return Response(body, status_code=status, media_type="application/json")
