"""What we know: of a customer with its ages, and of a decision with what followed."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from features.derive import MISSING_INSTANT
from features.erased_rows import is_erased_decision
from features.packing import EPOCH, CustomerState, Missing
from serving.coming import what_is_coming
from serving.engine import Engine
from serving.followed import outcomes_of
from serving.ledger_rows import recent_decisions, recorded_decision
from serving.scoring import Customer, score_customers

SECONDS_A_DAY = 86_400.0


async def customer_view_soon(
    engine: Engine, customer_id: str, *, within_days: int | None = None
) -> dict[str, Any] | None:
    """Everything held of a customer, as JSON types, for an event loop; None where nobody has heard of them."""
    keys = engine.people.keys(customer_id)
    if keys is None:
        return None
    keys, state = await engine.current.of(keys, ask=partial(engine.people.keys, customer_id))
    return customer_view(engine, customer_id, key=keys[0], state=state, within_days=within_days)


def customer_view(
    engine: Engine, customer_id: str, *, key: int, state: CustomerState | Missing, within_days: int | None = None
) -> dict[str, Any]:
    """Everything held of a customer, as JSON types.

    Args:
        engine: whose ledger and models.
        customer_id: as they were asked for.
        key: which stands for them.
        state: their row as of now.
        within_days: a horizon to be told of beside the model's, 1 to 365; None for none.
    """
    at, models = engine.now(), engine.models.served
    (scored,) = score_customers([Customer(key, state)], models=models, schema=engine.schema, brand=engine.brand, at=at)
    scores = scored.scores
    view: dict[str, Any] = {
        "customer_id": customer_id,
        "segment": scores.segment,
        "segment_probability": scores.segment_probability,
        "stage": scores.stage,
        "purchase_propensity": {f"{days}d": p for days, p in scores.propensities} or None,
        "coming": what_is_coming(
            models.next_purchase, scored, at=at, time_zone=engine.brand.time_zone, within_days=within_days
        ),
        "unscored_because": scores.fallback_reason,
        "declared": {},
        "consents": [],
        "features": {},
        "features_as_of": None,
        "features_age_seconds": scored.age_seconds,
        "decisions": [_told(row) for row in recent_decisions(engine.reader, key)],
    }
    if isinstance(state, CustomerState):
        view |= _held(engine, state, at)
    return view


def _held(engine: Engine, state: CustomerState, at: datetime) -> dict[str, Any]:
    instants = {
        name: EPOCH + timedelta(microseconds=int(instant))
        for name, instant in zip(engine.schema.instants, state.instants.tolist(), strict=True)
        if instant != MISSING_INSTANT
    }
    numbers = {
        name: value
        for name, value in zip(engine.schema.numeric, state.vector.tolist(), strict=True)
        if not name.startswith("trait_") and not math.isnan(value)
    }
    return {
        "declared": {
            name: {"value": value, "kind": engine.brand.traits[name].kind}
            | _declared_at(instants.get(f"trait_{name}_at"), at)
            for name, value in state.declared.items()
        },
        "consents": list(state.consents),
        "locale": state.locale,
        "time_zone": state.time_zone,
        "features": numbers
        | {name: instant.isoformat() for name, instant in instants.items() if not name.startswith("trait_")}
        | {name: value for name, value in state.categories.items() if value is not None},
        "features_as_of": state.as_of.isoformat(),
    }


def _declared_at(instant: datetime | None, at: datetime) -> dict[str, Any]:
    if instant is None:
        return {"declared_at": None, "age_days": None}
    return {
        "declared_at": instant.isoformat(),
        "age_days": round((at - instant).total_seconds() / SECONDS_A_DAY, 3),
    }


def _told(row: tuple[str, int, str, str, str, str]) -> dict[str, Any]:
    decision_id, decided_at, placement, channel, arm, action_id = row
    return {
        "decision_id": decision_id,
        "decided_at": _instant(decided_at),
        "placement": placement,
        "channel": channel,
        "arm": arm,
        "action_id": action_id,
    }


def decision_view(engine: Engine, decision_id: str) -> dict[str, Any] | None:
    """The decision's record with its outcomes, as JSON types; None where there is none of that id.

    Of a customer who was erased it says that, and nothing else.
    """
    record = recorded_decision(engine.reader, decision_id)
    if record is None:
        is_erased = is_erased_decision(engine.reader, decision_id)
        return {"decision_id": decision_id, "erased": True} if is_erased else None
    told: dict[str, Any] = json.loads(record)
    key = told.pop("customer_key")
    outcomes = [one.as_dict() for one in outcomes_of(engine.reader, decision_id)]
    return {"customer_id": engine.id_of(key)} | told | {"outcomes": outcomes}


def _instant(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, tz=UTC).isoformat()
