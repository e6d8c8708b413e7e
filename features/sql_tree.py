"""SQL that came in a file, read as a syntax tree before anything runs it, and the words it may not use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from features.lake import quoted

# Functions that make rows of their arguments; every other table function reads something.
TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
# Functions that SQL calls without parentheses; any other bare name is a column.
BARE_FUNCTIONS = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_user"}
)
_CLOCKS = "now today get_current_timestamp get_current_time current_localtime current_localtimestamp"
_DRAWS = "random setseed uuid gen_random_uuid uuidv4 uuidv7 nextval currval txid_current transaction_timestamp"
_SURROUNDINGS = "getenv getvariable current_setting query query_table read_text read_blob"
# What depends on more than the rows: clocks, chance, files, settings.
BANNED_FUNCTIONS = BARE_FUNCTIONS | frozenset(f"{_CLOCKS} {_DRAWS} {_SURROUNDINGS}".split())


def syntax_tree(sql: str) -> dict[str, Any] | str:
    """The tree of one or more SELECT statements, or what the parser said; other statements have none."""
    if "\0" in sql:
        return "a NUL character ends it early"
    with duckdb.connect() as connection:  # a literal: for a parameter DuckDB imports pandas, half of what a check costs
        row = connection.execute(f"SELECT json_serialize_sql({quoted(sql)})").fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {}
    if tree.get("error") or not tree.get("statements"):
        return str(tree.get("error_message", "nothing is there")).splitlines()[0].rstrip(".")
    return tree


def nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Every node of a tree."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from nodes(value)


def banned_word(node: dict[str, Any]) -> str | None:
    """The name by which this node asks for more than the rows, or None."""
    if node.get("class") == "FUNCTION":
        name, banned = str(node["function_name"]), BANNED_FUNCTIONS
    elif node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
        name, banned = str(node["column_names"][0]), BARE_FUNCTIONS
    else:
        return None
    return name if name.lower() in banned else None
