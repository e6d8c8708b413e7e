"""The brand's own features: `features/*.sql` of the workspace, checked before anything runs them.

A view is one SELECT over `events` that gives `customer_key` and numeric columns. It may name the instant it stands at
as `$as_of`. It is read as a syntax tree first: no table but `events`, no function that reads a file or a clock or draws
randomly, so that it can neither leak the future nor reach the disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from features.contract import EVENT_SCHEMA
from features.faults import Fault, InvalidFile
from features.lake import SQL_TYPES
from features.sql_tree import TABLE_FUNCTIONS, banned_word, nodes, syntax_tree
from features.workspace import Workspace

NUMERIC_TYPES: tuple[str, ...] = (
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
)
NUMERIC_TYPES += ("UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")
RULE = "A brand's own view is one SELECT over 'events' with customer_key and numeric columns."


@dataclass(frozen=True, slots=True)
class OwnView:
    """One file of the brand's own features, as checked."""

    name: str
    sql: str
    columns: tuple[str, ...]


def own_views(workspace: Workspace, *, taken: frozenset[str] = frozenset()) -> tuple[OwnView, ...]:
    """The brand's own views by file name; none where the workspace has no `features/*.sql`.

    Args:
        workspace: whose `features/` folder is read.
        taken: column names that are not free any more.

    Raises:
        InvalidFile: every fault of the first file that has one.
    """
    views: list[OwnView] = []
    used = dict.fromkeys(taken, "Rapport's own features")
    for path in sorted(workspace.sql_folder.glob("*.sql")):
        view = _checked(path, path.read_text("utf-8"))
        clashes = [
            Fault(column, f"this name is already taken by {used[column]}.", "Rename the column with AS.")
            for column in view.columns
            if column in used
        ]
        if clashes:
            raise InvalidFile(path, clashes)
        used.update(dict.fromkeys(view.columns, path.name))
        views.append(view)
    return tuple(views)


@lru_cache(maxsize=128)
def _checked(path: Path, sql: str) -> OwnView:
    faults = list(_name_faults(path.stem)) + list(_syntax_faults(sql))
    if faults:
        raise InvalidFile(path, faults)
    columns, faults = _columns(sql)
    if faults:
        raise InvalidFile(path, faults)
    return OwnView(path.stem, sql.strip().rstrip(";"), columns)


def _name_faults(name: str) -> Iterator[Fault]:
    if not NAME.match(name):
        yield Fault(
            name, "this is not a name for a view.", "Use small letters, digits and '_', starting with a letter."
        )
    elif name in ("behaviour", "recent", "declared", "decision_vector", "orders", "events"):
        yield Fault(name, "this name is Rapport's own.", "Give the file another name.")


def _syntax_faults(sql: str) -> Iterator[Fault]:
    tree = syntax_tree(sql)
    if isinstance(tree, str):
        yield Fault("SQL", f"{tree}.", RULE)
        return
    if len(tree["statements"]) != 1:
        yield Fault("SQL", f"this holds {len(tree['statements'])} statements.", RULE)
        return
    names = {entry["key"] for node in nodes(tree) for entry in node.get("cte_map", {}).get("map", [])}
    for node in nodes(tree):
        yield from _node_faults(node, names)


def _node_faults(node: dict[str, Any], names: set[str]) -> Iterator[Fault]:
    kind = node.get("type")
    if node.get("sample"):
        yield Fault("SAMPLE", "a sample draws randomly.", "Count every event.")
    if kind == "BASE_TABLE" and (
        node["schema_name"] or node["catalog_name"] or node["table_name"] not in names | {"events"}
    ):
        yield Fault(node["table_name"], "this table may not be read.", RULE)
    elif kind == "TABLE_FUNCTION" and node["function"]["function_name"].lower() not in TABLE_FUNCTIONS:
        yield Fault(node["function"]["function_name"], "this function may not be called here.", RULE)
    elif kind in ("SHOW_REF", "PIVOT", "COLUMN_DATA", "DELIM_GET"):
        yield Fault(str(kind), "this kind of table may not be read.", RULE)
    elif word := banned_word(node):
        yield Fault(word, "this depends on something other than the events.", "Name the instant as $as_of.")
    elif node.get("class") == "PARAMETER" and node.get("identifier") != "as_of":
        yield Fault(f"${node.get('identifier')}", "this parameter is not known.", "The only parameter is $as_of.")


def no_events() -> str:
    """Makes the empty table `events` as views see it.

    In words: to read a table of Arrow DuckDB imports pandas, which takes longer than all else here.
    """
    columns = (f"{name} {SQL_TYPES[name]}" for name in EVENT_SCHEMA.names if name != "superseded_at")
    return f"CREATE TABLE events ({', '.join(columns)})"


def _columns(sql: str) -> tuple[tuple[str, ...], list[Fault]]:
    """The view's numeric columns, by running it over no events at all."""
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(no_events())
        parameters = {"as_of": datetime(2024, 1, 1)} if "$as_of" in sql else None  # noqa: DTZ001 - naive UTC in DuckDB
        try:
            described = connection.execute(sql, parameters).description or []
        except duckdb.Error as error:
            return (), [Fault("SQL", str(error).strip().splitlines()[0], RULE)]
    types = {name: str(kind) for name, kind, *_ in described}
    faults = [] if "customer_key" in types else [Fault("customer_key", "this column is missing.", RULE)]
    for name, kind in types.items():
        if name == "customer_key":
            continue
        if not NAME.match(name):
            faults.append(Fault(name, "this is not a name for a feature.", "Use small letters, digits and '_' (AS …)."))
        elif not kind.upper().startswith(NUMERIC_TYPES):
            faults.append(Fault(name, f"this column is {kind}.", "Every column except customer_key must be a number."))
    columns = tuple(name for name in types if name != "customer_key")
    if not columns:
        faults.append(Fault("SQL", "this gives no feature.", RULE))
    return columns, faults
