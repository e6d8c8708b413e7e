"""`GET /v1/customers/{id}/traits`: what a customer has told us, what it is worth now, and what speaks against it."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from features.contradictions import (
    ContradictionRules,
    by_categories,
    by_expression,
    contradiction_rules,
    known_values,
)
from features.database import connect
from features.evidence import Statement, TraitEvidence, evidence_of
from features.identity import IdentityTable
from features.packing import CustomerState
from features.persons import events_of
from serving.engine import Engine
from serving.refusals import NotFound, WrongField


def add_trait_routes(app: FastAPI) -> None:
    """Adds the route; before `/v1/customers/{id}`, whose id may hold slashes."""

    @app.get("/v1/customers/{customer_id:path}/traits", summary="What a customer has told us, as evidence.")
    async def traits(customer_id: str, request: Request) -> Response:
        """Each trait with its value, its confidence now, where it comes from, and what speaks against it."""
        engine: Engine = request.app.state.engine
        view = await asyncio.to_thread(traits_view, engine, customer_id)  # reads the customer's whole history
        if view is None:
            rule = "we have never heard of this customer. Send their events, or import them."
            raise NotFound([WrongField("/customer_id", rule)])
        return Response(json.dumps(view, ensure_ascii=False, allow_nan=False), media_type="application/json")


def traits_view(engine: Engine, customer_id: str) -> dict[str, Any] | None:
    """The evidence for every trait of a customer, as JSON types; None where nobody has heard of them."""
    at, brand, workspace = engine.now(), engine.brand, engine.workspace
    with closing(connect(workspace.database)) as connection:
        identity = IdentityTable(connection)
        key = identity.key_said(customer_id)
        if key is None:
            return None
        keys = identity.keys_of(key)
        events = events_of(workspace, connection, keys)
        evidence = evidence_of(workspace, connection, keys, brand=brand, at=at, events=events)
    state = engine.online.read_current(keys, at)
    rules = contradiction_rules(workspace, brand)
    held = state if isinstance(state, CustomerState) else None
    values = known_values(rules, held, workspace=workspace, at=at)
    told = []
    for one in evidence:
        against = [] if one.withdrawn_by else _against(one, rules, values, events=events, engine=engine, at=at)
        told.append(_told(one, engine) | {"contradicted_by": against})
    return {"customer_id": customer_id, "as_of": at.isoformat(), "traits": told}


def _against(
    one: TraitEvidence,
    rules: ContradictionRules,
    values: dict[str, object],
    *,
    events: Any,
    engine: Engine,
    at: datetime,
) -> list[dict[str, Any]]:
    trait = engine.brand.traits[one.name]
    known = values | {one.name: one.statement.value}
    found = (
        by_categories(trait, one.statement.value, events, brand=engine.brand, at=at),
        by_expression(one.name, rules, known),
    )
    return [_json_types(asdict(each)) for each in found if each is not None]


def _told(one: TraitEvidence, engine: Engine) -> dict[str, Any]:
    trait, statement = engine.brand.traits[one.name], one.statement
    return {
        "trait": one.name,
        "kind": trait.kind,
        "type": trait.type,
        "value": statement.value,
        "confidence": None if one.confidence is None else round(one.confidence, 6),
        "age_days": round(one.age_days, 3),
        "half_life_days": trait.half_life_days,
        "withdrawn_at": one.withdrawn_at.isoformat() if one.withdrawn_at else None,
        "withdrawn_by": one.withdrawn_by,
        "evidence": _evidence(statement),
        "superseded": [{"value": earlier.value} | _evidence(earlier) for earlier in one.superseded],
    }


def _evidence(statement: Statement) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(statement).items() if name not in ("trait", "value")}
    return fields | {"said_at": statement.said_at.isoformat(), "received_at": statement.received_at.isoformat()}


def _json_types(found: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(found, ensure_ascii=False, default=str))  # type: ignore[no-any-return]
