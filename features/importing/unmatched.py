"""Maps of a mapping that fit no row: most often the shop's words are spelt otherwise than the mapping thinks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
from pydantic import BaseModel

from features.importing.mapping import Mapping, ValueSpec
from features.importing.values import Columns, value_sql
from features.lake import quoted

SHOWN, LONGEST = 5, 40


def unmatched_maps(connection: duckdb.DuckDBPyConnection, mapping: Mapping) -> tuple[str, ...]:
    """A warning for each map of a column that fits none of the rows, with what stands there.

    Args:
        connection: with the rows as `input`.
        mapping: whose columns they have.
    """
    maps = [(where, value) for where, value in _maps(mapping, "") if value.column is not None]
    if not maps:
        return ()
    counted = ", ".join(
        f"count(*) FILTER ({_text(value)} IN ({_keys(value)})), count({_text(value)})" for _, value in maps
    )
    counts = connection.execute(f"SELECT {counted} FROM input").fetchone() or ()
    filled = zip(maps, counts[::2], counts[1::2], strict=True)
    return tuple(_told(connection, where, value) for (where, value), n_fit, n_rows in filled if n_rows and not n_fit)


def _maps(part: Any, where: str) -> Iterator[tuple[str, ValueSpec]]:
    """Every value with a map, and where in the file it stands."""
    if isinstance(part, ValueSpec):
        if part.map:
            yield where, part
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from _maps(getattr(part, name), f"{where}.{name}" if where else name)
    elif isinstance(part, dict):
        for name, one in part.items():
            yield from _maps(one, f"{where}.{name}")
    elif isinstance(part, tuple):
        for number, one in enumerate(part):
            yield from _maps(one, f"{where}[{number}]")


def _told(connection: duckdb.DuckDBPyConnection, where: str, value: ValueSpec) -> str:
    query = f"SELECT {_text(value)}, count(*) FROM input WHERE {_text(value)} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    found = connection.execute(f"{query} LIMIT {SHOWN}").fetchall()
    seen = ", ".join(f"'{_cut(text)}' ({n:,})" for text, n in found)
    keys = ", ".join(f"'{_cut(key)}'" for key in list(value.map or {})[:SHOWN])
    return f"{where}: the map of '{value.column}' fits no row: it knows {keys}; the column has most often {seen}."


def _text(value: ValueSpec) -> str:
    """What the map looks at; null where the mapping says that this stands for nothing."""
    unmapped = value.model_copy(update={"map": None, "otherwise": None})
    return f"CAST({value_sql(unmapped, Columns({}))} AS VARCHAR)"


def _keys(value: ValueSpec) -> str:
    return ", ".join(quoted(key) for key in value.map or {})


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
