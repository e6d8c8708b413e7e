"""SQL that came with a mapping, held to what a mapping needs: one expression over a row, or one SELECT over its files.

Two walls. Here the text is read as a syntax tree: one SELECT, no table but those named, no function that reads a file,
a clock or a setting. And DuckDB itself runs it with external access off, except for the very files that are imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from features.own_sql import BARE_FUNCTIONS

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
BANNED = frozenset(
    {
        *(
            "now",
            "today",
            "get_current_timestamp",
            "get_current_time",
            "current_timestamp",
            "current_date",
            "current_time",
        ),
        *("localtime", "localtimestamp", "current_localtime", "current_localtimestamp", "transaction_timestamp"),
        *("random", "setseed", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "nextval", "currval", "txid_current"),
        *("getenv", "getvariable", "current_setting", "current_user", "query", "query_table", "read_text", "read_blob"),
    }
)


def expression_problems(sql: str) -> list[str]:
    """Why this is not one row-wise SQL expression; empty where it is one."""
    tree = _tree(f"SELECT (\n{sql}\n)")
    if isinstance(tree, str):
        return [f"is not an SQL expression: {tree}."]
    statements = tree["statements"]
    node = statements[0]["node"]
    is_plain = len(statements) == 1 and node["type"] == "SELECT_NODE" and len(node["select_list"]) == 1
    if not is_plain or node["from_table"]["type"] != "EMPTY" or node["where_clause"] or node["modifiers"]:
        return ["is more than one SQL expression."]
    problems = [_word(part) for part in _nodes(tree)]
    inner = [part["class"] for part in _nodes(node) if part.get("class") in ("SUBQUERY", "WINDOW", "STAR")]
    return [problem for problem in problems if problem] + [f"holds a {kind.lower()}." for kind in inner]


def query_problems(sql: str, *, tables: frozenset[str]) -> list[str]:
    """Why this is not one SELECT over the tables named; empty where it is one."""
    tree = _tree(sql)
    if isinstance(tree, str):
        return [f"is not one SELECT: {tree}."]
    if len(tree["statements"]) != 1:
        return [f"holds {len(tree['statements'])} statements."]
    own = {entry["key"].lower() for node in _nodes(tree) for entry in node.get("cte_map", {}).get("map", [])}
    problems = [_word(node) or _source(node, tables | own) for node in _nodes(tree)]
    return [problem for problem in problems if problem]


def _word(node: dict[str, Any]) -> str | None:
    name = ""
    if node.get("class") == "FUNCTION":
        name = node["function_name"].lower()
    elif node.get("class") == "COLUMN_REF" and len(node["column_names"]) == 1:
        bare = node["column_names"][0].lower()
        name = bare if bare in BARE_FUNCTIONS else ""
    elif node.get("class") == "PARAMETER":
        return f"has a parameter, ${node.get('identifier')}."
    return f"uses '{name}', which depends on more than the rows." if name in BANNED | BARE_FUNCTIONS else None


def _source(node: dict[str, Any], tables: frozenset[str] | set[str]) -> str | None:
    kind = node.get("type")
    if kind == "BASE_TABLE":
        name = node["table_name"]
        is_known = name.lower() in tables and not node["schema_name"] and not node["catalog_name"]
        return None if is_known else f"reads '{name}', which is none of its tables ({', '.join(sorted(tables))})."
    if kind == "TABLE_FUNCTION":
        name = node["function"]["function_name"]
        return None if name.lower() in TABLE_FUNCTIONS else f"calls '{name}'."
    return f"holds {kind}." if kind in ("SHOW_REF", "COLUMN_DATA", "DELIM_GET") else None


def _tree(sql: str) -> dict[str, Any] | str:
    """The syntax tree, or what the parser said. Only SELECT statements have one."""
    with duckdb.connect() as connection:
        row = connection.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {}
    if tree.get("error") or not tree.get("statements"):
        return str(tree.get("error_message", "nothing is there")).splitlines()[0].rstrip(".")
    return tree


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)
