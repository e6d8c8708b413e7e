"""The HTTP face: a FastAPI app over one engine, whatever serves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from serving.asked import asked_of
from serving.campaigns.http import add_campaign_routes
from serving.catalogue_view import add_catalogue_routes
from serving.coming import OF_DAYS, asked_days
from serving.contact.http import add_exposure_routes
from serving.engine import Engine
from serving.erasing.http import add_erasure_routes
from serving.explaining.http import add_explanation_routes
from serving.fault_answers import add_fault_handlers
from serving.ingest.http import add_ingest_routes
from serving.joining.http import add_joining_routes
from serving.json_bytes import answer_bytes
from serving.metrics import add_metric_routes
from serving.moments import add_moment_routes
from serving.openapi import REF, described, problems
from serving.parameters import CarefulRoute
from serving.problems import wrong_fields
from serving.profile import customer_view_soon, decision_view
from serving.reaching import add_reach_routes
from serving.refusals import NotFound, RequestRefused, WrongField
from serving.reports import add_report_routes
from serving.retries import IDEMPOTENCY_KEY, LONGEST_KEY
from serving.schemas import OUTCOMES_IN_ONE_REQUEST, OutcomeReport
from serving.straight import StraightApp
from serving.traits import add_trait_routes

Model = TypeVar("Model", bound=BaseModel)

TEMPLATES = Path(__file__).parent / "templates"
JSON = "application/json"
_GZIP = b"\x1f\x8b"
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_DECISION_BODY = {"$ref": REF.format(model="DecisionRequest")}
_IDEMPOTENCY_KEY = {
    "name": IDEMPOTENCY_KEY,
    "in": "header",
    "required": False,
    "description": "Your own key of this request: for 24 hours the same key and body get the same answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
}
_OUTCOME_BODY = {
    "oneOf": [
        {"$ref": REF.format(model="OutcomeReport")},
        {
            "type": "array",
            "items": {"$ref": REF.format(model="OutcomeReport")},
            "maxItems": OUTCOMES_IN_ONE_REQUEST,
        },
    ]
}


def build_app(*, swagger_files: Path | None = None) -> FastAPI:
    """The app; whoever serves it puts an Engine into `app.state.engine` before the first request.

    Args:
        swagger_files: a folder with swagger-ui.css and swagger-ui-bundle.js; without it there is no /docs.
    """
    app = StraightApp(
        title="Rapport", version="1", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.router.route_class = CarefulRoute
    _add_decisions(app)
    add_campaign_routes(app)
    _add_outcomes(app)
    add_exposure_routes(app)
    add_trait_routes(app)
    add_erasure_routes(app)
    _add_knowledge(app)
    add_moment_routes(app)
    add_reach_routes(app)
    add_report_routes(app)
    add_metric_routes(app)
    add_catalogue_routes(app)
    add_explanation_routes(app)
    add_joining_routes(app)
    add_ingest_routes(app)
    _add_pages(app, swagger_files)
    add_fault_handlers(app)
    app.answer_straight("/v1/decisions", "/v1/outcomes")
    return app


def _add_decisions(app: FastAPI) -> None:
    @app.post(
        "/v1/decisions",
        summary="What to say to this customer, here and now.",
        openapi_extra=_body(_DECISION_BODY) | {"parameters": [_IDEMPOTENCY_KEY]},
        responses=problems(409, 413, 415, 422),
    )
    async def decide(request: Request) -> Response:
        """Decides, writes the decision durably, and answers with the action, its probability and the message."""
        engine, body = _engine(request), await _json_body(request)
        asked = asked_of(body, brand=engine.brand, actions=engine.shelf.offerables)
        told = await engine.decide_soon(asked, idempotency_key=request.headers.get(IDEMPOTENCY_KEY))
        return Response(answer_bytes(told), media_type=JSON)


def _add_outcomes(app: FastAPI) -> None:
    @app.post(
        "/v1/outcomes",
        summary="What happened after a decision: one outcome or a list of them.",
        openapi_extra=_body(_OUTCOME_BODY),
        responses=problems(404, 413, 415, 422),
    )
    async def outcomes(request: Request) -> Response:
        """Writes them durably before it answers: all of them or none, and each once however often it is sent."""
        body = await _json_body(request)
        single = not body.lstrip().startswith(b"[")
        reports = [_parsed(OutcomeReport, body)] if single else _parsed_list(body)
        recorded = await _engine(request).record_outcomes_soon(reports, single=single)
        told = [one.as_dict() for one in recorded]
        return _json(told[0] if single else {"outcomes": told})


def _add_knowledge(app: FastAPI) -> None:
    @app.get(
        "/v1/customers/{customer_id:path}",
        summary="What we know of a customer, and how old it is.",
        openapi_extra={"parameters": [OF_DAYS]},
        responses=problems(404, 422),
    )
    async def customer(customer_id: str, request: Request) -> Response:
        """Traits and features with their ages, segment, stage, propensities, what is coming, consents, decisions."""
        asked = asked_days(request.query_params)
        view = await customer_view_soon(_engine(request), customer_id, within_days=asked)
        if view is None:
            rule = "we have never heard of this customer. Ask for a decision with this id, or import their events."
            raise NotFound([WrongField("/customer_id", rule)])
        return _json(view)

    @app.get("/v1/decisions/{decision_id}", summary="One decision as it was recorded.", responses=problems(404))
    async def decision(decision_id: str, request: Request) -> Response:
        """The record, with everything that it rests on, and the outcomes that followed."""
        view = decision_view(_engine(request), decision_id)
        if view is None:
            rule = "there is no such decision. Send the decision_id that POST /v1/decisions answered with."
            raise NotFound([WrongField("/decision_id", rule)])
        return _json(view)

    @app.get("/readyz", summary="Whether decisions can be made, and with which models.", responses=problems(503))
    async def ready(request: Request) -> Response:
        """Ready means: the ledger takes writes. A missing model is told, and is no reason not to be ready."""
        engine: Engine | None = getattr(request.app.state, "engine", None)
        if engine is None or not engine.ledger.is_alive:
            raise HTTPException(503, "Not ready: the ledger takes no writes.")
        if (trouble := engine.ledger.trouble) is not None:
            raise trouble
        served = engine.models.served
        return _json(
            {
                "status": "ready",
                "models": served.versions,
                "refused_models": list(served.refusals),
                "refused_files": [refusal.path.name for refusal in engine.files.refusals],
            }
        )

    @app.get("/livez", summary="Whether this process answers, and is worth keeping.", responses=problems(503))
    async def live(request: Request) -> Response:
        """A full disk is no reason to restart; a writer that has died is the only one."""
        engine: Engine | None = getattr(request.app.state, "engine", None)
        if engine is not None and not engine.ledger.is_alive:
            raise HTTPException(503, "The ledger's writer has ended: restart this process.")
        return _json({"status": "alive"})


def _add_pages(app: FastAPI, swagger_files: Path | None) -> None:
    home = (TEMPLATES / "home.html").read_text(encoding="utf-8")

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return HTMLResponse(home)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        return _json(described(request.app))

    if swagger_files is not None:
        docs = (TEMPLATES / "docs.html").read_text(encoding="utf-8")
        app.mount("/docs/assets", StaticFiles(directory=swagger_files), name="swagger")

        @app.get("/docs", include_in_schema=False)
        async def swagger() -> Response:
            return HTMLResponse(docs)


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def _json(told: object) -> Response:
    return Response(_ENCODER.encode(told).encode(), media_type=JSON)


async def _json_body(request: Request) -> bytes:
    """The body, said to be JSON: a page of another site can post text to this machine, but not this type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise HTTPException(415, f"Send JSON, with the header 'Content-Type: {JSON}'.")
    body = await request.body()
    if body.startswith(_GZIP):
        raise HTTPException(415, "The body is gzip, which only the addresses of events take. Send it plain.")
    return body


def _parsed(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise RequestRefused(wrong_fields(error, model)) from None


def _parsed_list(body: bytes) -> list[OutcomeReport]:
    try:
        items = json.loads(body)
    except ValueError as error:
        raise RequestRefused([WrongField("", f"is not JSON: {error}.")]) from None
    except RecursionError:
        raise RequestRefused([WrongField("", "is not JSON that is read here: it is nested too deeply.")]) from None
    if not 1 <= len(items) <= OUTCOMES_IN_ONE_REQUEST:
        rule = f"holds {len(items)} outcomes; one request takes 1 to {OUTCOMES_IN_ONE_REQUEST}."
        raise RequestRefused([WrongField("", rule)])
    reports, faults = [], []
    for position, item in enumerate(items):
        try:
            reports.append(OutcomeReport.model_validate_json(json.dumps(item)))
        except ValidationError as error:
            faults += wrong_fields(error, OutcomeReport, prefix=f"/{position}")
    if faults:
        raise RequestRefused(faults)
    return reports


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}
