"""The routes that take live events: Segment's HTTP API, answered once everything is on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from features.brand import Brand
from features.catalogue import Catalogue
from features.event_schema import event_schema
from features.lake import instant_us
from serving.clocks import Clock
from serving.engine import Engine
from serving.ingest.conversions import Conversions
from serving.ingest.dead_letters import prune_letters
from serving.ingest.gathering import Gathering
from serving.ingest.instants import Limits
from serving.ingest.judging import Arrival, Judge, Judged, Letter, Taken
from serving.ingest.keeping import Kept, Looks
from serving.ingest.reading import JSON, Calls, inflated, many_calls, one_call
from serving.ingest.verdicts import DUPLICATE, Verdict, answer
from serving.joining.tokens import TokenMint
from serving.ledger import Ledger
from serving.problems import PROBLEM_JSON
from serving.stock import Stock

CALLS = ("identify", "track", "page", "screen", "alias", "group")
BATCHES = ("batch", "import", "b")
DESCRIBED = {
    "identify": "Who somebody is, and what they declared.",
    "track": "What somebody did.",
    "page": "Somebody looked at a page.",
    "screen": "Somebody looked at a screen of an app.",
    "alias": "Two ids are one person.",
    "batch": "Up to 2,500 of these calls.",
}
_ACCEPTED = 202
_PROBLEM: dict[str, Any] = {
    "description": "A problem with the request as a whole; nothing of it was kept.",
    "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys((400, 401, 413, 415, 422, 429, 503), _PROBLEM)


class Ingest:
    """Takes the calls of one brand.

    Args:
        brand: by whose rules they are judged.
        catalogue: whose actions are for which goal.
        ledger: that writes them.
        clock: which says when they arrived.
        touched: is told whose rows are behind, once that is on disk.
        limits: how far from their arrival events may have happened.
        kept: how many dead letters are kept, and for how long.
        mint: that made the tokens in buttons and links; without one no event has any.
    """

    def __init__(
        self,
        brand: Brand,
        catalogue: Catalogue,
        ledger: Ledger,
        *,
        clock: Clock,
        touched: Callable[[Collection[int]], object],
        limits: Limits,
        kept: Kept,
        mint: TokenMint | None = None,
    ) -> None:
        self._clock, self._touched = clock, touched
        self._ledger, self._kept, self._looks = ledger, kept, Looks()
        self._gathering = Gathering(ledger, Conversions(brand, catalogue))
        self._judge = Judge(brand, limits, mint).judge

    async def take(self, calls: Calls, *, kind: str | None = None) -> list[Verdict]:
        """A verdict for each call, in their order; when it returns, what was taken is on disk."""
        arrived_us = instant_us(self._clock())
        arrival = Arrival(arrived_us, arrived_us, calls.sent_us, kind, calls.context)
        judged = [self._judge(raw, arrival) for raw in calls.raws]
        taken = [one for one in judged if type(one) is Taken]
        letters = [one for one in judged if type(one) is Letter]
        if taken or letters:
            written = await self._gathering.write(taken, letters)
            for call, log_seq in zip(taken, written.log_seqs, strict=True):
                if log_seq is None:
                    call.verdict = Verdict(call.message_id, DUPLICATE)
            if keys := {key for key in written.customer_keys if key is not None}:
                self._touched(keys)
        if self._looks.is_due(len(letters), now_us=arrived_us):
            self._ledger.write_later(partial(prune_letters, kept=self._kept, now_us=arrived_us))
        return [_verdict(one) for one in judged]


def add_ingest_routes(app: FastAPI) -> None:
    """Adds them: plain routes, which FastAPI describes; its own cost 70 µs more a request."""
    routes = [_route(app, f"/v1/{kind}", one_call, kind) for kind in CALLS]
    routes += [_route(app, f"/v1/{name}", many_calls, None, "batch") for name in BATCHES]
    app.router.routes[:0] = routes


def _route(
    app: FastAPI, path: str, read: Callable[[bytes], Calls], kind: str | None, described: str | None = None
) -> Route:
    async def take(request: Request) -> Response:
        """Writes everything durably, then answers with a verdict for each event."""
        calls = read(await _body(request))
        verdicts = await _ingest(request).take(calls, kind=kind)
        return Response(answer(verdicts), status_code=_ACCEPTED, media_type=JSON)

    name = described or kind or ""
    if path == f"/v1/{name}" and name in DESCRIBED:
        app.add_api_route(
            path,
            take,
            methods=["POST"],
            name=name,
            summary=DESCRIBED[name],
            status_code=_ACCEPTED,
            responses=_PROBLEMS,
            openapi_extra={"requestBody": {"required": True, "content": {JSON: {"schema": _schema(name)}}}},
        )
    return Route(path, take, methods=["POST"])


def _schema(name: str) -> dict[str, Any]:
    event = event_schema()
    if name == "batch":
        return {"type": "object", "required": ["batch"], "properties": {"batch": {"type": "array", "items": event}}}
    return next((one for one in event["oneOf"] if one["title"] == name), event)


async def _body(request: Request) -> bytes:
    """The body, said to be JSON: a page of another site can post text to this machine, but not this type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise HTTPException(415, f"Send JSON, with the header 'Content-Type: {JSON}'.")
    encoding = request.headers.get("content-encoding", "").strip().lower()
    return inflated(await request.body(), encoding=encoding)


def _ingest(request: Request) -> Ingest:
    """Of the engine that serves now and the files in use; made for the first request after either has changed."""
    state = request.app.state
    engine: Engine = state.engine
    stock = engine.stock
    made_for: tuple[Engine, Stock, Ingest] | None = getattr(state, "ingest", None)
    if made_for is None or made_for[0] is not engine or made_for[1] is not stock:
        ingest = Ingest(
            stock.brand,
            stock.catalogue,
            engine.ledger,
            clock=engine.now,
            touched=engine.refresher.touched,
            limits=getattr(state, "ingest_limits", Limits()),
            kept=getattr(state, "dead_letters_kept", Kept()),
            mint=engine.stamper.mint,
        )
        made_for = state.ingest = (engine, stock, ingest)
    return made_for[2]


def _verdict(judged: Judged) -> Verdict:
    return judged if type(judged) is Verdict else judged.verdict  # type: ignore[union-attr]
