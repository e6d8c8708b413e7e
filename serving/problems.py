"""Errors as RFC 9457 problem details, each with the id of its request.

The caller's mistakes are explained field by field; ours are a 500 that says nothing but the id to ask us about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from features.faults import closest_name
from features.message_limits import LONGEST_DECISION_ID
from serving.keys.gate import Refused
from serving.refusals import RequestRefused, WrongField, shown
from serving.unavailable import Unavailable

TOO_LARGE = "The body is too large."
NOT_NOW = "Not available just now."
PROBLEM_JSON = "application/problem+json"

_RULES = {
    "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$": "a locale is written like en, hi-IN or hi-Latn",
    "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$": "an id is 1 to 128 of A-Z a-z 0-9 _ . : -, the first a letter or digit",
    f"^[A-Za-z0-9][A-Za-z0-9_.:-]{{0,{LONGEST_DECISION_ID - 1}}}$": (
        f"an id of a decision is 1 to {LONGEST_DECISION_ID} of A-Z a-z 0-9 _ . : -, the first a letter or digit"
    ),
}


def problem(
    status: int,
    *,
    title: str,
    detail: str,
    request_id: str,
    faults: Sequence[WrongField] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for one problem."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body["request_id"] = request_id
    if faults:
        body["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in faults]
    content = json.dumps(body, ensure_ascii=False).encode()
    return Response(content, status_code=status, headers=dict(headers or {}), media_type=PROBLEM_JSON)


def unexplained(request_id: str) -> Response:
    """The response for a fault of ours."""
    return problem(
        500,
        title="Something went wrong on our side.",
        detail="Nothing is wrong with your request. Try again; if it stays, tell us the request_id.",
        request_id=request_id,
    )


def too_late(request_id: str, *, seconds: float) -> Response:
    """The response where there is no answer in time: whether something was written is not known."""
    return problem(
        504,
        title="No answer in time.",
        detail=f"There was no answer within {seconds:g} seconds. Send it again, with the same decision_id, "
        "outcome_id or messageId: what was written the first time is then found and not written twice.",
        request_id=request_id,
    )


def half_sent(request_id: str, *, seconds: float, received: int, length: int) -> Response:
    """The response where a body did not arrive whole in time: what came of it is let go of."""
    said = f" of {length}" if length else ""
    return problem(
        408,
        title="The body did not arrive.",
        detail=f"{received}{said} bytes of the body arrived within {seconds:g} seconds, and its end did not. Send it "
        "again, whole, with the same decision_id, outcome_id or messageId.",
        request_id=request_id,
        headers={"connection": "close"},
    )


def not_now(trouble: Unavailable, *, request_id: str) -> Response:
    """The response where the disk or the database takes no write; nothing of the request was acknowledged."""
    return problem(
        503,
        title=NOT_NOW,
        detail=f"It could not be written: {trouble}. Send it again after what Retry-After says, with the same "
        "decision_id, outcome_id or messageId: nothing is then lost or written twice.",
        request_id=request_id,
        headers={"retry-after": str(trouble.retry_after_seconds)},
    )


def refused(refusal: RequestRefused, *, request_id: str) -> Response:
    """The response for a request that was refused."""
    return problem(
        refusal.status, title=refusal.title, detail=str(refusal), request_id=request_id, faults=refusal.faults
    )


def turned_away(refusal: Refused, *, request_id: str) -> Response:
    """The response for a request that the gate does not let through."""
    return problem(
        refusal.status,
        title=refusal.title,
        detail=refusal.detail,
        request_id=request_id,
        headers=refusal.headers,
    )


def wrong_fields(error: ValidationError, model: type[BaseModel], *, prefix: str = "") -> list[WrongField]:
    """Every field that a model refused, said so that the caller can mend it."""
    return [_wrong_field(dict(details), model, prefix) for details in error.errors(include_url=False)]


def _wrong_field(details: dict[str, Any], model: type[BaseModel], prefix: str) -> WrongField:
    location = [str(part) for part in details["loc"]]
    pointer = prefix + "".join(f"/{shown(part).replace('~', '~0').replace('/', '~1')}" for part in location)
    kind, found = details["type"], details["input"]
    if kind == "json_invalid":
        return WrongField(pointer, f"the body is not JSON: {details['ctx']['error']}.")
    if kind == "extra_forbidden":
        names = list(_fields(model, location[:-1]))
        closest = closest_name(location[-1], names)
        hint = f" Closest: '{closest}'." if closest else ""
        return WrongField(pointer, f"is a field that nothing reads.{hint} There are: {', '.join(sorted(names))}.")
    if kind == "missing":
        return WrongField(pointer, "is missing; it is required.")
    if kind == "string_pattern_mismatch":
        rule = _RULES.get(details["ctx"]["pattern"], f"it must match {details['ctx']['pattern']}")
        return WrongField(pointer, f"is '{shown(found)}', but {rule}.")
    if kind == "string_too_long":
        return WrongField(
            pointer, f"is {len(found)} characters long; at most {details['ctx']['max_length']} are taken."
        )
    rule = str(details["msg"]).removeprefix("Value error, ")
    written = json.dumps(found) if found is None or isinstance(found, bool) else repr(found)
    value = f"is {shown(written)}: " if not isinstance(found, dict | list) else ""
    return WrongField(pointer, f"{value}{rule[:1].lower()}{rule[1:]}.")


def _fields(model: type[BaseModel], location: Sequence[str]) -> Sequence[str]:
    for part in location:
        inner = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return list(model.model_fields)
