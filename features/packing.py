"""A customer's row in two packed cells, as the online store holds it, and back.

`vector` is little-endian float32 in the schema's order, NaN = missing. `state` is JSON: what is not a number, when
things happened (µs since the epoch), which log_seq the row covers, and of which schema it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.derive import MISSING_INSTANT, Floats, Instants
from features.schema import FeatureSchema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CATEGORIES = ("top_category", "last_campaign", "last_action_id", "last_channel")


@dataclass(frozen=True, slots=True)
class CustomerState:
    """What we know about one customer, as of one instant."""

    vector: Floats  # (len(schema.numeric),), NaN = missing
    instants: Instants  # (len(schema.instants),), µs since the epoch, MISSING_INSTANT = never
    declared: dict[str, object]
    consents: tuple[str, ...]
    locale: str | None
    time_zone: str | None
    as_of: datetime
    log_seq: int
    categories: dict[str, object]

    @property
    def as_of_us(self) -> int:
        """The row's instant in µs since the epoch."""
        return (self.as_of - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no state to decide on: unknown_customer or schema_changed."""

    reason: str


def matrices(table: pa.Table, schema: FeatureSchema) -> tuple[Floats, Instants]:
    """The rows of a snapshot as arrays: (n, len(schema.numeric)) float32 and (n, len(schema.instants)) int64 µs."""
    vector = np.empty((table.num_rows, len(schema.numeric)), dtype=np.float32)
    for index, name in enumerate(schema.numeric):
        vector[:, index] = pc.fill_null(table[name], float("nan")).to_numpy()
    instants = np.empty((table.num_rows, len(schema.instants)), dtype=np.int64)
    for index, name in enumerate(schema.instants):
        instants[:, index] = pc.fill_null(table[name].cast(pa.int64()), MISSING_INSTANT).to_numpy()
    return vector, instants


def pack(table: pa.Table, schema: FeatureSchema, *, log_seqs: Mapping[int, int]) -> pa.Table:
    """The packed cells of a snapshot's rows.

    Args:
        table: rows as `features.aggregation.aggregate` gives them.
        schema: of these rows.
        log_seqs: the highest log_seq that each customer's row covers; 0 where it does not say.

    Returns:
        customer_key, event_timestamp, created_timestamp, vector, state; one row a row.
    """
    vector, instants = matrices(table, schema)
    width = vector.shape[1] * 4
    vectors = vector.astype("<f4", copy=False).tobytes()
    return pa.table(
        {
            "customer_key": table["customer_key"],
            "event_timestamp": table["event_timestamp"],
            "created_timestamp": table["event_timestamp"],
            "vector": pa.array([vectors[at : at + width] for at in range(0, len(vectors), width)], pa.binary()),
            "state": pa.array(_states(table, instants, schema=schema, log_seqs=log_seqs), pa.binary()),
        }
    )


def _states(table: pa.Table, instants: Instants, *, schema: FeatureSchema, log_seqs: Mapping[int, int]) -> list[bytes]:
    keys = table["customer_key"].to_pylist()
    as_ofs = table["event_timestamp"].cast(pa.int64()).to_pylist()
    texts = {name: table[name].to_pylist() for name in (*CATEGORIES, "locale", "time_zone")}
    documents = {name: table[name].to_pylist() for name in ("declared", "consents", "category_shares")}
    states: list[bytes] = []
    for row, (key, as_of, moments) in enumerate(zip(keys, as_ofs, instants.tolist(), strict=True)):
        said = {
            "schema": schema.version,
            "as_of": as_of,
            "log_seq": log_seqs.get(key, 0),
            "locale": texts["locale"][row],
            "time_zone": texts["time_zone"][row],
            "instants": {name: at for name, at in zip(schema.instants, moments, strict=True) if at != MISSING_INSTANT},
            "categories": {name: texts[name][row] for name in CATEGORIES if texts[name][row] is not None},
        }
        ready = {name: documents[name][row] or empty for name, empty in _EMPTY.items()}  # JSON already
        rest = ",".join(f'"{name}":{text}' for name, text in ready.items())
        states.append(f"{json.dumps(said, ensure_ascii=False)[:-1]},{rest}}}".encode())
    return states


_EMPTY = {"declared": "{}", "consents": "[]", "category_shares": "{}"}


def unpack(vector: bytes, state: bytes, *, schema: FeatureSchema) -> CustomerState | Missing:
    """What was packed; Missing where it was packed under another schema."""
    said = json.loads(state)
    if said["schema"] != schema.version:
        return Missing("schema_changed")
    moments = said["instants"]
    return CustomerState(
        vector=np.frombuffer(vector, dtype="<f4"),
        instants=np.array([moments.get(name, MISSING_INSTANT) for name in schema.instants], dtype=np.int64),
        declared=said["declared"],
        consents=tuple(said["consents"]),
        locale=said["locale"],
        time_zone=said["time_zone"],
        as_of=EPOCH + timedelta(microseconds=said["as_of"]),
        log_seq=said["log_seq"],
        categories=said["categories"] | {"category_shares": said["category_shares"]},
    )
