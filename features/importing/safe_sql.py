"""SQL that came with a mapping, held to what a mapping needs: one expression over a row, or one SELECT over its files.

Two walls. Here the text is read as a syntax tree: one SELECT, no table but those named, no function that reads a file,
a clock or a setting. And DuckDB itself runs it with external access off, except for the very files that are imported.
"""

from __future__ import annotations

from typing import Any

from features.sql_tree import TABLE_FUNCTIONS, banned_word, nodes, syntax_tree


def expression_problems(sql: str) -> list[str]:
    """Why this is not one row-wise SQL expression; empty where it is one."""
    tree = syntax_tree(f"SELECT (\n{sql}\n)")
    if isinstance(tree, str):
        return [f"is not an SQL expression: {tree}."]
    statements = tree["statements"]
    node = statements[0]["node"]
    is_plain = len(statements) == 1 and node["type"] == "SELECT_NODE" and len(node["select_list"]) == 1
    if not is_plain or node["from_table"]["type"] != "EMPTY" or node["where_clause"] or node["modifiers"]:
        return ["is more than one SQL expression."]
    problems = [_word(part) for part in nodes(tree)]
    inner = [part["class"] for part in nodes(node) if part.get("class") in ("SUBQUERY", "WINDOW", "STAR")]
    return [problem for problem in problems if problem] + [f"holds a {kind.lower()}." for kind in inner]


def query_problems(sql: str, *, tables: frozenset[str]) -> list[str]:
    """Why this is not one SELECT over the tables named; empty where it is one."""
    tree = syntax_tree(sql)
    if isinstance(tree, str):
        return [f"is not one SELECT: {tree}."]
    if len(tree["statements"]) != 1:
        return [f"holds {len(tree['statements'])} statements."]
    own = {entry["key"].lower() for node in nodes(tree) for entry in node.get("cte_map", {}).get("map", [])}
    problems = [_word(node) or _source(node, tables | own) for node in nodes(tree)]
    return [problem for problem in problems if problem]


def _word(node: dict[str, Any]) -> str | None:
    if node.get("class") == "PARAMETER":
        return f"has a parameter, ${node.get('identifier')}."
    name = banned_word(node)
    return f"uses '{name.lower()}', which depends on more than the rows." if name else None


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
