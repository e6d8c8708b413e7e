"""The mapping file: which columns of a shop's export are which part of an event."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from features.brand import Name
from features.contract import IDENTIFY

Scalar = str | int | float | bool
ColumnType = Literal["text", "integer", "number", "boolean", "date", "timestamp"]
Unit = Literal["microseconds", "milliseconds", "seconds", "minutes", "hours", "days"]

SQL_OF_TYPE: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
MICROSECONDS: dict[Unit, int] = {
    "microseconds": 1,
    "milliseconds": 1_000,
    "seconds": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
    "days": 86_400_000_000,
}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ValueSpec(_Part):
    """Where a value comes from: exactly one of column, value, sql and cel; then what is done to it."""

    column: str | None = None
    value: Scalar | None = None
    sql: str | None = None
    cel: str | None = None
    missing: tuple[Scalar, ...] = ()
    map: dict[str, Scalar] | None = None
    otherwise: Scalar | None = None
    split: Annotated[str, Field(min_length=1)] | None = None


def _column_or_value(given: Any) -> Any:
    """A bare text names a column; a bare number or truth value is itself."""
    return {"column": given} if isinstance(given, str) else _spelt_out(given)


def _literal(given: Any) -> Any:
    """A bare text, number or truth value is itself."""
    return {"value": given} if isinstance(given, str) else _spelt_out(given)


def _spelt_out(given: Any) -> Any:
    if isinstance(given, dict):
        # Past a validator of ours pydantic is in Python's strict mode, where a list is no tuple.
        return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return {"value": given} if isinstance(given, bool | int | float) else given


_Given = Scalar | ValueSpec
Value = Annotated[ValueSpec, BeforeValidator(_column_or_value, json_schema_input_type=_Given)]
Named = Annotated[ValueSpec, BeforeValidator(_literal, json_schema_input_type=_Given)]


class TimeSpec(ValueSpec):
    """An instant: a number with `unit` since `epoch`, or local time in `zone`, ISO unless `format` says else."""

    zone: str | None = None
    unit: Unit | None = None
    epoch: str = "1970-01-01T00:00:00Z"
    format: str | tuple[str, ...] | None = None


Time = Annotated[TimeSpec, BeforeValidator(_column_or_value, json_schema_input_type=str | TimeSpec)]


class Read(_Part):
    """How a file is read, where its name and first lines do not say it right."""

    format: Literal["csv", "jsonl", "parquet"] | None = None
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    encoding: Literal["utf-8", "windows-1252", "latin-1", "utf-16"] = "utf-8"
    header: bool = True
    columns: tuple[str, ...] = ()
    null_values: tuple[str, ...] = ("",)


class Table(_Part):
    """A second file: joined to each row where `on` says how, else there for `query`."""

    file: str
    read: Read = Read()
    types: dict[str, ColumnType] = {}
    on: dict[str, str] = {}


class Product(_Part):
    """One product of an order, or the product that was looked at."""

    product_id: Value
    name: Value | None = None
    category: Value | None = None
    quantity: Value | None = None
    price: Value | None = None


class Record(_Part):
    """One kind of event that a row (or a group of rows) yields."""

    event: Named
    where: str | None = None
    group_by: tuple[str, ...] = ()
    key: tuple[str, ...] | str = ()
    event_id: Value | None = None
    customer: Value | None = None
    time: Time | None = None
    traits: dict[Name, Value] = {}
    order_id: Value | None = None
    total: Value | None = None
    product: Product | None = None
    products: Value | None = None
    trait: Value | None = None
    answer: Value | None = None
    channel: Value | None = None
    campaign: Value | None = None
    source: Value | None = None
    conversation_id: Value | None = None
    step: Value | None = None
    action_id: Value | None = None
    arm: Value | None = None
    action_probability: Value | None = None
    outcome: Value | None = None
    value: Value | None = None
    window_days: Value | None = None
    properties: dict[str, Value] = {}

    @property
    def is_identify(self) -> bool:
        """Whether it yields declared traits rather than an event of its own."""
        return self.event.value == IDENTIFY

    @property
    def keys(self) -> tuple[str, ...]:
        """The key's columns; a grouped record is keyed by its group unless it says otherwise."""
        key = (self.key,) if isinstance(self.key, str) else self.key
        return key or self.group_by


class Mapping(_Part):
    """How one kind of file becomes events: `rapport import FILE --mapping THIS`."""

    description: str = ""
    read: Read = Read()
    tables: dict[Name, Table] = {}
    query: str | None = None
    rename: dict[str, str] = {}
    types: dict[str, ColumnType] = {}
    constants: dict[str, Scalar] = {}
    where: str | None = None
    customer: Value | None = None
    anonymous: Value | None = None
    time: Time | None = None
    received_at: Time | None = None
    currency: Value | None = None
    events: Annotated[tuple[Record, ...], Field(min_length=1)]


TEXT_FIELDS = (
    "order_id",
    "trait",
    "answer",
    "channel",
    "campaign",
    "source",
    "conversation_id",
    "step",
    "action_id",
    "arm",
    "outcome",
)
NUMBER_FIELDS = ("total", "action_probability", "value", "window_days")
