"""What goes wrong while a request is answered, as the problem that its caller reads."""

from __future__ import annotations

import logging
import sqlite3

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from features.faults import closest_name
from serving.guard import REQUEST_ID
from serving.problems import TOO_LARGE, not_now, problem, refused, unexplained
from serving.refusals import RequestRefused
from serving.unavailable import Unavailable, unavailability

_TITLES = {
    400: "Not readable.",
    404: "Not found.",
    405: "Method not allowed.",
    413: TOO_LARGE,
    415: "Not JSON.",
    503: "Not ready.",
}
_CALLED_ELSEWHERE = {
    "/health": "/readyz",
    "/healthz": "/readyz",
    "/status": "/readyz",
    "/alive": "/livez",
    "/ping": "/livez",
}  # what other servers' probes ask for
_log = logging.getLogger("rapport.serving")


def add_fault_handlers(app: FastAPI) -> None:
    """Every fault becomes a problem: the caller's explained, the disk's with when to come again, ours with an id."""
    app.add_exception_handler(RequestRefused, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for kind in (Unavailable, sqlite3.Error, OSError):
        app.add_exception_handler(kind, _on_trouble)
    app.add_exception_handler(Exception, _on_fault)


async def _on_refusal(request: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, RequestRefused):
        raise refusal
    return refused(refusal, request_id=_request_id(request))


async def _on_http_exception(request: Request, exception: Exception) -> Response:
    if not isinstance(exception, HTTPException):
        raise exception
    detail, headers = str(exception.detail), exception.headers
    if exception.status_code == 404:
        path = request.url.path
        detail = f"There is nothing at '{path[:80]}'.{_closest(request)} /openapi.json lists everything."
    elif exception.status_code == 405:
        headers = {"allow": _taken(request)}
        detail = f"{request.method} is not what this path takes; it takes {headers['allow']}."
    return problem(
        exception.status_code,
        title=_TITLES.get(exception.status_code, "Refused."),
        detail=detail,
        request_id=_request_id(request),
        headers=headers,
    )


def _closest(request: Request) -> str:
    """The sentence that names the path that was most likely meant; empty where none is near."""
    paths = {route.path: route.path for route in request.app.routes if hasattr(route, "methods")}
    meant = closest_name(request.url.path, names := _CALLED_ELSEWHERE | paths)
    return "" if meant is None else f" Closest: '{names[meant]}'."


def _taken(request: Request) -> str:
    """The methods of every route that this path fits: the framework names those of the first."""
    fits = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in fits for method in getattr(route, "methods", None) or ()}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


async def _on_trouble(request: Request, fault: Exception) -> Response:
    trouble = unavailability(fault)
    if trouble is None:
        raise fault
    if fault is not trouble:  # the ledger says its own once, as it begins
        _log.warning("request %s could not be answered: %s (%s)", _request_id(request), trouble, fault)
    return not_now(trouble, request_id=_request_id(request))


async def _on_fault(request: Request, fault: Exception) -> Response:
    return unexplained(_request_id(request))


def _request_id(request: Request) -> str:
    return str(getattr(request.state, REQUEST_ID, ""))
