"""`POST /v1/decisions/{id}/exposure`: what was deferred has been seen, and is a reservation no longer."""

from __future__ import annotations

import json

from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serving.contact.exposures import ExposureReport, exposing
from serving.engine import Engine
from serving.problems import wrong_fields
from serving.refusals import RequestRefused

_JSON = "application/json"


def add_exposure_routes(app: FastAPI) -> None:
    """Adds the route; before those whose id may hold slashes."""

    @app.post(
        "/v1/decisions/{decision_id}/exposure",
        summary="The customer could see it: a deferred decision counts as exposed from here on.",
        openapi_extra={
            "requestBody": {
                "required": False,
                "content": {_JSON: {"schema": ExposureReport.model_json_schema()}},
            }
        },
    )
    async def exposure(decision_id: str, request: Request) -> Response:
        """Written durably before it is answered, and once however often it is sent; the first instant stays.

        After its reservation was released it is kept all the same, with `over_cap` true.
        """
        engine: Engine = request.app.state.engine
        report = await _report(request)
        told = await engine.ledger.write_soon(exposing(decision_id, report, at=engine.now()))
        return Response(json.dumps(told).encode(), media_type=_JSON)


async def _report(request: Request) -> ExposureReport:
    """The body, which may be left out; another site can post text to this machine, but not this type."""
    body = await request.body()
    if not body.strip():
        return ExposureReport(exposed_at=None, slot=None)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise HTTPException(415, f"Send JSON, with the header 'Content-Type: {_JSON}', or no body at all.")
    try:
        return ExposureReport.model_validate_json(body)
    except ValidationError as error:
        raise RequestRefused(wrong_fields(error, ExposureReport)) from None
