"""Who is due, over HTTP: moments in the order in which they came, after a cursor that the consumer keeps."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from features.brand import Brand
from features.database import connect
from features.identity import IdentityTable
from features.moments.table import Fired, create, fired_since, newest_seq
from features.packing import EPOCH
from features.workspace import Workspace
from serving.engine import Engine
from serving.refusals import RequestRefused, WrongField, shown, unknown_name

LIMIT, MOST = 100, 1_000
LARGEST = 2**63 - 1
_PARAMETERS = {
    "since": "The `next` of your last answer; 0, or left out, from the first moment on.",
    "limit": f"At most so many, 1 to {MOST}; {LIMIT} where it is left out.",
    "moment": "Only this kind, by its name in brand.yaml.",
}


def add_moment_routes(app: FastAPI) -> None:
    """Adds GET /v1/moments."""

    @app.get(
        "/v1/moments",
        summary="Who is due: every moment once for whoever follows the cursor.",
        openapi_extra={"parameters": _described()},
    )
    async def moments(request: Request) -> Response:
        """Moments after a cursor, in an order that never changes. Ask for each customer's decision next."""
        engine: Engine = request.app.state.engine
        since, limit, moment = _asked(request.query_params, engine.brand)
        told = await asyncio.to_thread(moments_view, engine.workspace, since=since, limit=limit, moment=moment)
        return Response(json.dumps(told, ensure_ascii=False).encode(), media_type="application/json")


def moments_view(workspace: Workspace, *, since: int, limit: int, moment: str | None) -> dict[str, Any]:
    """Moments after a cursor, as JSON types. Whoever was erased is not in it, whoever was joined goes by one id.

    Raises:
        RequestRefused: the cursor is ahead of every moment that ever came: it belongs to another database.
    """
    with closing(connect(workspace.database)) as connection:
        create(connection)
        identity = IdentityTable(connection)
        newest = newest_seq(connection)
        if since > newest:
            rule = f"is {since}, but the newest moment here is {newest}: a cursor of another database. Begin anew."
            raise RequestRefused([WrongField("/since", rule)])
        fired = fired_since(connection, since, limit=limit, moment=moment)
        ids = {key: identity.id_of(key) for key in {one.customer_key for one in fired}}
    return {
        "moments": [_told(one, customer_id) for one in fired if (customer_id := ids[one.customer_key]) is not None],
        "next": fired[-1].moment_seq if fired else since,
        "is_more": len(fired) == limit,
    }


def _told(one: Fired, customer_id: str) -> dict[str, Any]:
    return {
        "moment_seq": one.moment_seq,
        "moment": one.moment,
        "customer_id": customer_id,
        "placement": one.placement,
        "due_at": _instant(one.due_at),
        "fired_at": _instant(one.fired_at),
        "expires_at": _instant(one.expires_at),
        "why": {"event": one.event, "event_at": _instant(one.trigger_at), "when": one.condition},
    }


def _instant(microseconds: int) -> str:
    return (EPOCH + timedelta(microseconds=microseconds)).isoformat()


def _asked(parameters: Mapping[str, str], brand: Brand) -> tuple[int, int, str | None]:
    faults: list[WrongField] = []
    since = _whole(parameters, "since", default=0, least=0, most=LARGEST, faults=faults)
    limit = _whole(parameters, "limit", default=LIMIT, least=1, most=MOST, faults=faults)
    moment = parameters.get("moment")
    if moment is not None and moment not in brand.moments:
        faults.append(unknown_name("/moment", moment, kind="moment", names=list(brand.moments)))
    if faults:
        raise RequestRefused(faults)
    return since, limit, moment


def _whole(
    parameters: Mapping[str, str], name: str, *, default: int, least: int, most: int, faults: list[WrongField]
) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most:
        return int(text)
    faults.append(WrongField(f"/{name}", f"is {shown(text)!r}, but it must be a whole number from {least} to {most}."))
    return default


def _described() -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": meaning,
            "schema": {"type": "string" if name == "moment" else "integer"},
        }
        for name, meaning in _PARAMETERS.items()
    ]
