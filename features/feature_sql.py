"""The SQL of all features, put together from `aggregates/*.sql`: the same for everyone and for one customer.

Only what surrounds the files differs. For everyone each stage is a table, and instants are literals; for a few
customers all is one statement, planned once, and its instant is a parameter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from features.brand import Brand
from features.columns import RECENT, TEXTS
from features.contract import EVENT_SCHEMA
from features.lake import quoted
from features.schema import FeatureSchema

AGGREGATES = Path(__file__).parent / "aggregates"
STAGES = (
    "orders",
    "touches",
    "purchases",
    "order_lines",
    "last_messages",
    "sources",
    "deeds",
    "statements",
    "consents",
)
VIEWS = ("behaviour", "recent", "declared")
COLUMNS = ", ".join(name for name in EVENT_SCHEMA.names if name != "superseded_at")
SEEN = "visible_from <= $i AND $i < visible_until"  # as the files ask it: whether an instant sees a row
UNITS = "CREATE OR REPLACE MACRO units(amount) AS TRY_CAST(round(amount * 10000) AS BIGINT)"


@lru_cache(maxsize=64)
def sql_of(name: str) -> str:
    """One file of `aggregates/`, such as 'behaviour' or 'stages/orders'."""
    return (AGGREGATES / f"{name}.sql").read_text("utf-8")


@lru_cache(maxsize=1)
def sql_fingerprint() -> str:
    """Sha256 of the SQL files: it changes when features mean something else."""
    digest = hashlib.sha256()
    for path in sorted(AGGREGATES.rglob("*.sql")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def history_sql(
    versions: str,
    *,
    as_ofs: Sequence[str],
    edges: Sequence[str],
    owned: str | None = None,
    written_key: str = "customer_key",
) -> str:
    """What any of the instants can see of the versions of events, and which of them see it.

    Args:
        versions: SQL of rows with EVENT_SCHEMA's columns.
        as_ofs: SQL of each instant, ascending.
        edges: SQL of every edge of every window, ascending; `period` counts how many of them an event has reached.
        owned: a table of `features.owners.Owned`, where customers have been joined.
        written_key: SQL of the key under which an event was written; another than `customer_key` where the versions
            stand under their owners already.
    """
    known_at = "greatest(occurred_at, received_at)"
    if len(as_ofs) == 1:  # all that is not left out below
        visible_from, visible_until = "1", "2"
    else:
        visible_from = f"{_n_reached(as_ofs, known_at)} + 1"
        until = f"{_n_reached(as_ofs, 'superseded_at')} + 1"
        visible_until = f"CASE WHEN superseded_at IS NULL THEN {len(as_ofs) + 1} ELSE {until} END"
    seen = (
        f"SELECT {COLUMNS}, {written_key} AS written_key, {_n_reached(edges, 'occurred_at')} AS period, "
        f"CAST({visible_from} AS BIGINT) AS visible_from, CAST({visible_until} AS BIGINT) AS visible_until "
        f"FROM ({versions}) WHERE {known_at} < {as_ofs[-1]} "
        f"AND (superseded_at IS NULL OR superseded_at >= {as_ofs[0]})"
    )
    if owned is None:
        return seen
    first_i, until_i = "coalesce(first_i, 1)", f"coalesce(until_i, {len(as_ofs) + 1})"
    return (
        "SELECT * FROM (SELECT seen.* REPLACE (coalesce(owner, customer_key) AS customer_key, "
        f"greatest(visible_from, {first_i}) AS visible_from, least(visible_until, {until_i}) AS visible_until) "
        f"FROM ({seen}) AS seen LEFT JOIN {owned} ON customer_key = from_key) WHERE visible_from < visible_until"
    )


def traits_sql(brand: Brand) -> str:
    """The traits whose answers are features; locale and time zone are texts that everybody may state."""
    traits = [(name, trait.type, list(trait.choices), trait.purpose) for name, trait in brand.traits.items()]
    traits = [row for row in traits if row[1] != "text" and row[0] not in ("locale", "time_zone")]
    traits += [("locale", "text", [], ""), ("time_zone", "text", [], "")]
    rows = ", ".join(
        f"({quoted(name)}, {quoted(kind)}, [{', '.join(map(quoted, choices))}]::VARCHAR[], {quoted(purpose)})"
        for name, kind, choices, purpose in traits
    )
    return f"SELECT * FROM (VALUES {rows}) AS t(trait, type, choices, purpose)"


def rows_sql(schema: FeatureSchema, *, at: str, bands: bool = False) -> str:
    """One row a customer from the views, without the columns of windows; `bands` adds these as a list a customer."""
    joins = " ".join(f"LEFT JOIN own_{view.name} USING (customer_key)" for view in schema.own)
    joins += " LEFT JOIN bands_of USING (customer_key)" if bands else ""
    windowed = {column.name for column in RECENT}
    numeric = "".join(f"CAST({name} AS FLOAT) AS {name}, " for name in schema.numeric if name not in windowed)
    return (
        f"SELECT customer_key, {at} AS event_timestamp, {at} AS created_timestamp, {numeric}{', '.join(others(schema))}"
        f"{', bands' if bands else ''} FROM behaviour JOIN recent USING (customer_key) "
        f"LEFT JOIN declared USING (customer_key) {joins} ORDER BY customer_key"
    )


def others(schema: FeatureSchema) -> tuple[str, ...]:
    """The columns that are no numbers, in the order in which a row holds them."""
    return (*schema.instants, *(column.name for column in TEXTS))


def view_sql(view: str, brand: Brand) -> str:
    """One of VIEWS, with the brand's traits in it."""
    return sql_of(view).replace("/* a column a trait */", _trait_columns(brand))


def parameters(brand: Brand) -> dict[str, str]:
    """What the files call by `$name`, apart from instants: the brand's time zone and names of events."""
    return {"time_zone": brand.time_zone, **brand.events.model_dump()}


def with_literals(sql: str, values: Mapping[str, str]) -> str:
    """SQL of one of our files in which parameters that are known stand as literals; `values` are SQL."""
    return re.sub(r"\$([a-z]\w*)", lambda found: values.get(found[1], found[0]), sql)


def _trait_columns(brand: Brand) -> str:
    """SQL of the columns of every trait, and of all of them as one JSON object, in the order of their names."""
    traits = {name: trait for name, trait in sorted(brand.traits.items()) if trait.type != "text"}
    said = [f"""max(CASE WHEN trait = {quoted(name)} THEN '"{name}":' || value END)""" for name in traits]
    columns = [f"'{{' || concat_ws(',', {', '.join(said)}) || '}}' AS declared" if said else "'{}' AS declared"]
    for name, trait in traits.items():
        is_it = f"trait = {quoted(name)}"
        columns.append(f"max(CASE WHEN {is_it} THEN said_at END) AS trait_{name}_at")
        if trait.type == "choices":
            columns += [
                f"max(CASE WHEN {is_it} THEN CAST(list_contains(chosen, {quoted(choice)}) AS TINYINT) END) "
                f"AS trait_{name}_{choice}"
                for choice in trait.choices
            ]
        else:
            columns.append(f"max(CASE WHEN {is_it} THEN number END) AS trait_{name}")
    return "".join(f", {column}" for column in columns)


def _n_reached(instants: Sequence[str], value: str) -> str:
    """SQL that counts how many of these instants a value has reached (instant <= value)."""
    return "(" + " + ".join(f"CAST({value} >= {instant} AS SMALLINT)" for instant in instants) + ")"
