"""A value of a mapping as SQL over one row."""

from __future__ import annotations

from collections.abc import Mapping as Map
from dataclasses import dataclass, field

from features.importing.mapping import MICROSECONDS, Scalar, TimeSpec, ValueSpec
from features.importing.reading import identifier
from features.lake import quoted

_OFFSET = r"\d:\d.*(Z|UTC|[+-]\d{2}(:?\d{2})?)$"
_FLOATS = ("DOUBLE", "FLOAT")
_INTEGERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT")
_UTC = ("UTC", "Etc/UTC", "GMT")


@dataclass(frozen=True, slots=True)
class Columns:
    """What a row holds: columns with their DuckDB types, and the column that each CEL expression was evaluated into."""

    types: Map[str, str]
    cel: Map[str, str] = field(default_factory=dict)

    def type_of(self, value: ValueSpec) -> str:
        """The DuckDB type of a plain column; empty for anything else."""
        return self.types.get(value.column, "") if value.column is not None else ""


def literal(value: Scalar) -> str:
    """A scalar of YAML as SQL."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else quoted(value)


def raw_sql(value: ValueSpec, columns: Columns) -> str:
    """The value before anything is done to it."""
    if value.column is not None:
        return identifier(value.column)
    if value.cel is not None:
        return identifier(columns.cel[value.cel])
    return f"({value.sql}\n)" if value.sql is not None else literal(value.value if value.value is not None else "")


def value_sql(value: ValueSpec, columns: Columns) -> str:
    """The value with `missing` and `map` applied, of whatever type it has."""
    sql = raw_sql(value, columns)
    if value.missing:
        texts = ", ".join(quoted(one) for one in value.missing)
        numbers = ", ".join(
            repr(float(one)) for one in value.missing if isinstance(one, int | float) and not isinstance(one, bool)
        )
        is_missing = f"CAST({sql} AS VARCHAR) IN ({texts})"
        if numbers:
            is_missing += f" OR TRY_CAST(CAST({sql} AS VARCHAR) AS DOUBLE) IN ({numbers})"
        sql = f"CASE WHEN {is_missing} THEN NULL ELSE {sql} END"
    if value.map is not None:
        cases = " ".join(f"WHEN {quoted(key)} THEN {quoted(_text(to))}" for key, to in value.map.items())
        otherwise = "NULL" if value.otherwise is None else quoted(_text(value.otherwise))
        sql = f"CASE WHEN {sql} IS NULL THEN NULL ELSE CASE CAST({sql} AS VARCHAR) {cases} ELSE {otherwise} END END"
    return sql


def text_sql(value: ValueSpec | None, columns: Columns) -> str:
    """The value as text without spaces around it, null where it is blank; a whole number in a float has no `.0`."""
    if value is None:
        return "NULL::VARCHAR"
    sql = value_sql(value, columns)
    if columns.type_of(value) in _FLOATS and value.map is None:
        whole = f"WHEN {sql} = floor({sql}) AND abs({sql}) < 9e15 THEN {sql}::BIGINT::VARCHAR"
        return f"CASE WHEN isnan({sql}) THEN NULL {whole} ELSE CAST({sql} AS VARCHAR) END"
    if value.split is not None:
        parts = f"list_transform(string_split(CAST({sql} AS VARCHAR), {quoted(value.split)}), part -> trim(part))"
        filled = f"list_filter({parts}, part -> part <> '')"
        return f"CASE WHEN len({filled}) > 0 THEN CAST(to_json({filled}) AS VARCHAR) END"
    if columns.type_of(value).endswith("[]"):
        return f"CAST(to_json({sql}) AS VARCHAR)"
    return (
        f"CAST({sql} AS VARCHAR)"
        if columns.type_of(value) in _INTEGERS
        else f"nullif(trim(CAST({sql} AS VARCHAR)), '')"
    )


def number_sql(value: ValueSpec | None, columns: Columns) -> str:
    """The value as a double; null where it is missing, infinite where it is no number (the caller looks for it)."""
    if value is None:
        return "NULL::DOUBLE"
    kind = columns.type_of(value)
    if value.map is None and (kind in _INTEGERS or kind.startswith("DECIMAL")):
        return f"CAST({value_sql(value, columns)} AS DOUBLE)"
    if value.map is None and kind in _FLOATS:
        plain = value_sql(value, columns)
        return f"CASE WHEN isnan({plain}) THEN NULL ELSE CAST({plain} AS DOUBLE) END"
    sql = text_sql(value, columns)
    number = f"TRY_CAST({sql} AS DOUBLE)"
    return f"CASE WHEN {sql} IS NULL OR isnan({number}) THEN NULL ELSE coalesce({number}, 'infinity'::DOUBLE) END"


def time_sql(time: TimeSpec, columns: Columns, *, zone: str) -> str:
    """The value as a UTC timestamp; null where it is no time.

    Args:
        time: how the mapping says it.
        columns: of the row.
        zone: of times that carry none and whose mapping names none.
    """
    sql = value_sql(time, columns)
    if time.unit is not None:
        epoch = f"epoch_us(TIMESTAMPTZ {quoted(time.epoch)})"
        text = f"CAST({sql} AS VARCHAR)"
        count = f"coalesce(TRY_CAST({text} AS BIGINT)::DOUBLE, TRY_CAST({text} AS DOUBLE))"
        return f"TRY(make_timestamp({epoch} + CAST(round({count} * {MICROSECONDS[time.unit]}) AS BIGINT)))"
    zone_name, zone = zone, quoted(time.zone or zone)
    if time.format is not None:
        formats = (time.format,) if isinstance(time.format, str) else time.format
        listed = "[" + ", ".join(quoted(one) for one in formats) + "]"
        parsed = f"try_strptime(trim(CAST({sql} AS VARCHAR)), {listed})"
        if any("%z" in one for one in formats):
            return f"TRY(CAST({parsed} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
        return f"TRY({parsed} AT TIME ZONE {zone} AT TIME ZONE 'UTC')"
    kind = columns.type_of(time)
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"({sql} AT TIME ZONE 'UTC')"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        if (time.zone or zone_name) in _UTC:
            return f"CAST({sql} AS TIMESTAMP)"
        return f"TRY(CAST({sql} AS TIMESTAMP) AT TIME ZONE {zone} AT TIME ZONE 'UTC')"
    text = f"trim(CAST({sql} AS VARCHAR))"
    absolute = f"TRY(CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC')"
    local = f"TRY(CAST({text} AS TIMESTAMP) AT TIME ZONE {zone} AT TIME ZONE 'UTC')"
    return f"CASE WHEN regexp_matches({text}, {quoted(_OFFSET)}, 'i') THEN {absolute} ELSE {local} END"


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
