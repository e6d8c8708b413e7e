"""A customer's row as one packed cell, as the online store holds it, and back.

The cell is: the schema's version (16 bytes), as_of and log_seq (int64), the instants (int64 µs since the epoch), the
vector (float32, NaN = missing), all little-endian and in the schema's order; then JSON: what is not a number.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.columns import TEXTS
from features.derive import MISSING_INSTANT, Floats, Instants
from features.schema import FeatureSchema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ROWS_AT_ONCE = 2_048
_OWN_FIELDS = ("locale", "time_zone")
CATEGORIES = tuple(column.name for column in TEXTS if column.unit == "text" and column.name not in _OWN_FIELDS)
DOCUMENTS = {"declared": b"{}", "consents": b"[]", "category_shares": b"{}"}  # JSON already, and what stands for none
_HEAD = struct.Struct("<16sqq")


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
    log_seq: int  # every event of this customer up to it is in the row
    categories: dict[str, object]
    joined: tuple[int, ...] = ()  # keys of others whose events are in the row since they were joined

    @property
    def as_of_us(self) -> int:
        """The row's instant in µs since the epoch."""
        return (self.as_of - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there is no state to decide on: unknown_customer, schema_changed or not_recomputed."""

    reason: str


class _Said(msgspec.Struct):
    """The JSON at the end of a cell."""

    declared: dict[str, object]
    consents: tuple[str, ...]
    category_shares: dict[str, object]
    categories: dict[str, object] = {}
    locale: str | None = None
    time_zone: str | None = None
    joined: tuple[int, ...] = ()


_DECODER = msgspec.json.Decoder(_Said)
_ENCODER = msgspec.json.Encoder()


def matrices(table: pa.Table, schema: FeatureSchema) -> tuple[Floats, Instants]:
    """The rows of a snapshot as arrays: (n, len(schema.numeric)) float32 and (n, len(schema.instants)) int64 µs."""
    numbers = [table[name].to_numpy() for name in schema.numeric]  # null is NaN
    moments = [pc.fill_null(table[name].cast(pa.int64()), MISSING_INSTANT).to_numpy() for name in schema.instants]
    vector: Floats = _side_by_side(numbers, n_rows=table.num_rows, dtype=np.float32)
    instants: Instants = _side_by_side(moments, n_rows=table.num_rows, dtype=np.int64)
    return vector, instants


def _side_by_side(columns: Sequence[np.ndarray], *, n_rows: int, dtype: type[np.generic]) -> np.ndarray:
    """Columns as a matrix, shape `(n_rows, len(columns))`, by few rows at once: those stay in the processor's cache."""
    rows: np.ndarray = np.empty((n_rows, len(columns)), dtype=dtype)
    for start in range(0, n_rows, ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        for place, column in enumerate(columns):
            rows[some, place] = column[some]
    return rows


def pack(
    table: pa.Table, schema: FeatureSchema, *, log_seq: int, joined: Mapping[int, Sequence[int]] | None = None
) -> list[bytes]:
    """The cells of a snapshot's rows, in their order.

    Args:
        table: rows as `features.aggregation.aggregate` gives them.
        schema: of these rows.
        log_seq: every event of the log up to it is in the rows.
        joined: by customer_key, the other keys whose events are in that row.
    """
    vector, instants = matrices(table, schema)
    heads = np.empty((table.num_rows, 2), dtype="<i8")
    heads[:, 0] = table["event_timestamp"].cast(pa.int64()).to_numpy()
    heads[:, 1] = log_seq
    parts = (heads, instants.astype("<i8", copy=False), vector.astype("<f4", copy=False))
    numbers = np.hstack([_as_bytes(part) for part in parts])
    width, every, version = numbers.shape[1], numbers.tobytes(), _version(schema)
    said = _said(table, joined or {})
    return [version + every[row * width : (row + 1) * width] + text for row, text in enumerate(said)]


def _as_bytes(numbers: np.ndarray) -> np.ndarray:
    rows, columns = numbers.shape
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(rows, columns * numbers.itemsize)


def _said(table: pa.Table, joined: Mapping[int, Sequence[int]]) -> list[bytes]:
    keys = table["customer_key"].to_pylist()
    own = [table[name].to_pylist() for name in _OWN_FIELDS]
    categories = [table[name].to_pylist() for name in CATEGORIES]
    documents = [table[name].to_pylist() for name in DOCUMENTS]
    names = [f'"{name}":'.encode() for name in DOCUMENTS]
    empties = tuple(DOCUMENTS.values())
    said: list[bytes] = []
    for row, key in enumerate(keys):
        rest: dict[str, object] = {
            name: values[row] for name, values in zip(_OWN_FIELDS, own, strict=True) if values[row] is not None
        }
        rest["categories"] = {
            name: values[row] for name, values in zip(CATEGORIES, categories, strict=True) if values[row] is not None
        }
        if joined and key in joined:
            rest["joined"] = joined[key]
        ready = b",".join(
            name + (values[row].encode() if values[row] else empty)
            for name, values, empty in zip(names, documents, empties, strict=True)
        )
        said.append(b"{" + ready + b"," + _ENCODER.encode(rest)[1:])
    return said


def _version(schema: FeatureSchema) -> bytes:
    return schema.version.encode().ljust(16, b"\0")


def unpack(cell: bytes, *, schema: FeatureSchema) -> CustomerState | Missing:
    """What was packed; Missing where it was packed under another schema."""
    version, as_of, log_seq = _HEAD.unpack_from(cell)
    if version != _version(schema):
        return Missing("schema_changed")
    n_instants, n_numbers = len(schema.instants), len(schema.numeric)
    vector_at = _HEAD.size + 8 * n_instants
    said = _DECODER.decode(memoryview(cell)[vector_at + 4 * n_numbers :])
    said.categories["category_shares"] = said.category_shares
    return CustomerState(
        vector=np.frombuffer(cell, dtype="<f4", count=n_numbers, offset=vector_at),
        instants=np.frombuffer(cell, dtype="<i8", count=n_instants, offset=_HEAD.size),
        declared=said.declared,
        consents=said.consents,
        locale=said.locale,
        time_zone=said.time_zone,
        as_of=EPOCH + timedelta(microseconds=as_of),
        log_seq=log_seq,
        categories={name: said.categories.get(name) for name in CATEGORIES if name in said.categories}
        | {"category_shares": said.category_shares},
        joined=said.joined,
    )
