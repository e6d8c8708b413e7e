"""Rows that are to be events of the lake: of its columns and types, or refused by name."""

from __future__ import annotations

import pyarrow as pa

from features.contract import EVENT_SCHEMA
from features.faults import CallersMistake

_REQUIRED = tuple(field.name for field in EVENT_SCHEMA if not field.nullable)


def as_events(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows with exactly the columns of EVENT_SCHEMA.

    Raises:
        CallersMistake: a column is missing, unknown, of another type, or null where it may not be.
    """
    unknown = sorted(set(batch.schema.names) - set(EVENT_SCHEMA.names))
    missing = sorted(set(_REQUIRED) - set(batch.schema.names))
    if unknown or missing:
        raise CallersMistake(
            f"Asked to write events, but columns {unknown or 'none'} are unknown and {missing or 'none'} missing. "
            "The columns are those of features.contract.EVENT_SCHEMA."
        )
    arrays = []
    for field in EVENT_SCHEMA:
        if field.name not in batch.schema.names:
            arrays.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(field.name)
        if not field.nullable and column.null_count:
            raise CallersMistake(
                f"Asked to write events, but {column.null_count} have no {field.name}; each needs one."
            )
        try:
            arrays.append(column.cast(field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise CallersMistake(
                f"Asked to write events with {field.name} as {column.type}, but it is {field.type}: {error}"
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=EVENT_SCHEMA)
