"""What /openapi.json says: what each path takes, with an example that it takes, and how it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serving.problems import PROBLEM_JSON
from serving.schemas import DecisionRequest, OutcomeReport

REF = "#/components/schemas/{model}"
_OPEN = "/v1/"  # behind it a key may be asked for
_EVENT = {"userId": "c-42", "timestamp": "2026-03-01T12:00:00Z"}
_TRACK = {"event": "Question Answered", "properties": {"trait": "skin_need", "answer": "dryness"}}
_DECISION = {"customer_id": "c-42", "placement": "chat_reply", "channel": "whatsapp", "locale": "hi-IN"}
EXAMPLES: Mapping[str, object] = {
    "/v1/decisions": _DECISION | {"decision_id": "d-42", "defer": True},
    "/v1/decisions/batch": {"placement": "chat_reply", "channel": "web", "customers": ["c-42", "c-43"]},
    "/v1/decisions/{decision_id}/exposure": {"slot": 0},
    "/v1/outcomes": {"decision_id": "d-42", "outcome": "clicked", "outcome_id": "click-1"},
    "/v1/identify": _EVENT | {"messageId": "m-1", "traits": {"locale": "hi-IN"}},
    "/v1/track": _EVENT | {"messageId": "m-2"} | _TRACK,
    "/v1/page": _EVENT | {"messageId": "m-3", "name": "Bestsellers"},
    "/v1/screen": _EVENT | {"messageId": "m-4", "name": "Bestsellers"},
    "/v1/alias": {"messageId": "m-5", "previousId": "device-7", "userId": "c-42"},
    "/v1/batch": {"batch": [_EVENT | {"type": "track", "messageId": "m-6"} | _TRACK]},
}
"""A body that each path takes as it stands, in a shop of `rapport init`; that of `d-42` comes first."""

_PAGES = {
    "/report": "text/html",
    "/report/audience/{segment}.csv": "text/csv",
    "/metrics": "text/plain",
    "/decisions/{decision_id}": "text/html",
    "/o/{token}.gif": "image/gif",
    "/u/{token}": "text/html",
}
_WHY = {
    401: "A key is needed, or the one sent is not known.",
    403: "The key may not do this.",
    404: "There is no such thing.",
    413: "The body is too large.",
    415: "The body is not said to be JSON.",
    422: "The request is wrong: every fault, with what to do.",
    429: "Too many requests of this key: come again after Retry-After.",
    503: "Nothing can be written just now: send it again after Retry-After.",
    504: "No answer in time: send it again with the same id.",
}


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[dict[str, str]] = []


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a path may refuse, by status."""
    return {status: _problem(_WHY.get(status, "A problem.")) for status in statuses}


def described(app: FastAPI) -> dict[str, Any]:
    """The description of all paths, made once."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        for path, operation in _operations(schema):
            _complete(path, operation)
        models: Sequence[Any] = [(model, "validation") for model in (DecisionRequest, OutcomeReport, Problem)]
        _, definitions = models_json_schema(models, ref_template=REF)
        schema.setdefault("components", {})["schemas"] = definitions["$defs"]  # without FastAPI's own of a 422
        app.openapi_schema = schema
    return app.openapi_schema


def _operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            yield path, operation


def _complete(path: str, operation: dict[str, Any]) -> None:
    responses, body = operation["responses"], operation.get("requestBody")
    if "HTTPValidationError" in str(responses.get("422")):  # FastAPI's, of a path: ours answer otherwise
        del responses["422"]
    if media_type := _PAGES.get(path):
        responses["200"]["content"] = {media_type: {}}
    statuses = [401, 403, 422, 429, 503, 504] if path.startswith(_OPEN) else [404] if "{" in path else []
    for status in [*statuses, *([413, 415] if body else [])]:
        responses.setdefault(str(status), _problem(_WHY[status]))
    if body is not None:
        body["content"]["application/json"]["example"] = EXAMPLES[path]


def _problem(why: str) -> dict[str, Any]:
    return {"description": why, "content": {PROBLEM_JSON: {"schema": {"$ref": REF.format(model="Problem")}}}}
