"""What is known of one customer, for people: every value with its unit, its age and where it comes from."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from features.brand import Brand, load_brand
from features.database import connect
from features.derive import MISSING_INSTANT, derive, stage_of
from features.faults import CallersMistake
from features.identity import IdentityTable
from features.online import OnlineFeatures
from features.packing import EPOCH, CustomerState, Missing
from features.schema import FeatureSchema
from features.workspace import Workspace

Value = float | str | bool | list[str] | None


@dataclass(frozen=True, slots=True)
class ExplainedValue:
    """One value: what it is, how old, from which view."""

    name: str
    value: Value
    unit: str
    age_days: float | None
    source: str
    meaning: str

    def value_text(self) -> str:
        """The value as people read it."""
        if isinstance(self.value, float):
            return f"{self.value:,.4g}" if abs(self.value) < 1e4 else f"{self.value:,.0f}"
        return ", ".join(self.value) if isinstance(self.value, list) else str(self.value)

    def age_text(self) -> str:
        """The age as people read it."""
        if self.age_days is None:
            return ""
        return f"{self.age_days:.1f} d" if self.age_days >= 1 else f"{self.age_days * 24:.1f} h"


@dataclass(frozen=True, slots=True)
class ExplainedCustomer:
    """All that is known of one customer now."""

    customer: str
    customer_key: int
    as_of: datetime
    stage: str
    rows: tuple[ExplainedValue, ...]

    def title(self) -> str:
        """A line above the table."""
        return f"{self.customer} · {self.stage} · as of {self.as_of:%Y-%m-%d %H:%M} UTC"

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "customer": self.customer,
            "customer_key": self.customer_key,
            "as_of": self.as_of.isoformat(),
            "stage": self.stage,
            "features": [asdict(row) for row in self.rows],
        }


def explain_customer(workspace: Workspace, customer: str, *, now: datetime | None = None) -> ExplainedCustomer:
    """What the online store knows of a customer, unpacked.

    Raises:
        CallersMistake: nobody has that id, or the online store has no row of theirs.
    """
    brand = load_brand(workspace)
    key = _key(workspace, customer)
    online = OnlineFeatures.open(workspace, brand)
    try:
        state = online.read_current(key)
    finally:
        online.close()
    if isinstance(state, Missing):
        raise CallersMistake(
            f"Asked for customer '{customer}', who is known but has no row online ({state.reason}). "
            "Run 'rapport features materialize' first."
        )
    at = now or datetime.now(UTC)
    rows = explain_state(state, brand=brand, schema=online.schema, now=at)
    stage = stage_of(state.vector[None, :], state.instants[None, :], _us(at), online.schema, funnel=brand.funnel)[0]
    return ExplainedCustomer(customer, key, state.as_of, str(stage), rows)


def explain_state(
    state: CustomerState, *, brand: Brand, schema: FeatureSchema, now: datetime
) -> tuple[ExplainedValue, ...]:
    """Every value of a row that is not missing, in the schema's order; ages are at `now`, in days."""
    row_age = (now - state.as_of) / timedelta(days=1)
    values = _values(state, schema, now=now)
    rows: list[ExplainedValue] = []
    for column in schema.columns:
        value = values.get(column.name)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        trait_at = values.get(f"{column.name}_at") if column.view == "declared" else None
        age = row_age if column.view != "derived" else 0.0
        if isinstance(trait_at, str):
            age = (now - datetime.fromisoformat(trait_at)) / timedelta(days=1)
        source = column.view if column.view != "derived" else "derived now"
        rows.append(ExplainedValue(column.name, value, column.unit, age, source, column.meaning))
    rows += [
        ExplainedValue(f"declared {name}", said, "", _age_of(state, schema, name, now=now), "declared", "As said")
        for name, said in _said(state)
    ]
    return tuple(rows)


def _values(state: CustomerState, schema: FeatureSchema, *, now: datetime) -> dict[str, Value]:
    inputs = derive(state.vector[None, :], state.instants[None, :], _us(now), schema)[0]
    values: dict[str, Value] = {
        name: float(value) for name, value in zip(schema.model_inputs, inputs.tolist(), strict=True)
    }
    for name, at in zip(schema.instants, state.instants.tolist(), strict=True):
        values[name] = (
            None if at == MISSING_INSTANT else (EPOCH + timedelta(microseconds=at)).isoformat(timespec="seconds")
        )
    values |= {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in state.categories.items()
    }
    values |= {"locale": state.locale, "time_zone": state.time_zone, "consents": list(state.consents) or None}
    return values


def _said(state: CustomerState) -> list[tuple[str, Value]]:
    return [
        (name, [str(one) for one in said] if isinstance(said, list) else str(said))
        for name, said in state.declared.items()
    ]


def _age_of(state: CustomerState, schema: FeatureSchema, trait: str, *, now: datetime) -> float | None:
    at = int(state.instants[schema.instants.index(f"trait_{trait}_at")])
    return None if at == MISSING_INSTANT else (now - EPOCH - timedelta(microseconds=at)) / timedelta(days=1)


def _us(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def _key(workspace: Workspace, customer: str) -> int:
    connection = connect(workspace.database)
    try:
        table = IdentityTable(connection)
        key = table.key(customer) or table.key(customer, "anonymous")
    finally:
        connection.close()
    if key is None:
        raise CallersMistake(
            f"Asked for customer '{customer}', but nobody has that id. Ids are the shop's own, as they were imported."
        )
    return int(key)
