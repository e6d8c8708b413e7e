"""CEL expressions of a mapping: evaluated once for each distinct set of the values that they name, then joined back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from features.expressions import InvalidExpression, UnknownName, compile_expression
from features.importing.mapping_file import MappingFile, values_of
from features.importing.reading import identifier
from features.variable_names import VariableType

if TYPE_CHECKING:
    import duckdb

_NUMBERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL")
_BATCH = 50_000


def evaluate_distinct(
    connection: duckdb.DuckDBPyConnection, text: str, *, columns: Mapping[str, str], mapped: MappingFile
) -> tuple[list[str], pa.Table]:
    """The columns that an expression names, and its result (as text, `__rapport_result`) for each distinct row of them.

    A row in which something that it needs is missing gives null.

    Raises:
        InvalidFile: the expression does not compile over these columns.
    """
    types = {name: kind for name, sql in columns.items() if name.isidentifier() and (kind := _kind(sql)) is not None}
    try:
        expression = compile_expression(text, types)
    except InvalidExpression as error:
        at = next(location for location, value in values_of(mapped.mapping) if value.cel == text)
        raise mapped.invalid([mapped.file.fault((*at, "cel"), error.problem, error.rule, error.closest)]) from error
    used = sorted(expression.names)
    distinct = connection.execute(f"SELECT DISTINCT {', '.join(map(identifier, used)) or '1'} FROM plain_input")
    reader = distinct.to_arrow_reader(_BATCH)
    batches = []
    for batch in reader:
        results = []
        for row in batch.to_pylist():
            try:
                results.append(_text(expression.evaluate({name: _known(value) for name, value in row.items()})))
            except UnknownName:
                results.append(None)
        batches.append(pa.Table.from_batches([batch]).append_column("__rapport_result", pa.array(results, pa.string())))
    if not batches:
        return used, pa.Table.from_batches([], schema=reader.schema.append(pa.field("__rapport_result", pa.string())))
    return used, pa.concat_tables(batches)


def _kind(sql: str) -> VariableType | None:
    if sql.startswith(_NUMBERS):
        return VariableType.NUMBER
    if sql.startswith(("TIMESTAMP", "DATE")):
        return VariableType.INSTANT
    return {"VARCHAR": VariableType.TEXT, "BOOLEAN": VariableType.FLAG, "VARCHAR[]": VariableType.TEXTS}.get(sql)


def _known(value: object) -> object:
    """An Arrow value as expressions take it: numbers are floats, times aware."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
