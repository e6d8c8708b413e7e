"""The features of everyone at many instants, or of one customer now, by the same SQL.

Design. `history` is a view of the events that any of the instants can see: each row says from which instant on
(`visible_from`) and until which (`visible_until`). `aggregates/stages/*.sql` reduce it once, by customer and by the
periods between the edges of all windows; `aggregates/*.sql`, one file a view, then sum what one instant sees. Money and
quantities are summed in ten-thousandths as whole numbers, so that the order in which rows come changes no digit.

Invariant: a row of an instant depends on nothing that had not happened, or was not known, before it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.brand import Brand
from features.columns import RECENT, TEXTS, WINDOWS_DAYS
from features.contract import EVENT_SCHEMA
from features.faults import CallersMistake
from features.lake import Lake, instant_us, quoted
from features.own_sql import OwnView
from features.schema import FeatureSchema
from features.windows import window_columns

AGGREGATES = Path(__file__).parent / "aggregates"
STAGES = ("orders", "touches", "purchases", "order_lines", "last_messages", "statements", "consents")
VIEWS = ("behaviour", "recent", "declared")
COLUMNS = ", ".join(name for name in EVENT_SCHEMA.names if name != "superseded_at")
MEMORY_LIMIT = "3GB"


@dataclass(frozen=True)
class Sources:
    """Where events come from: the lake, and what of the event log is not in the lake yet."""

    lake: Lake
    log: pa.Table | None = None  # with the columns of LOG_SCHEMA
    customers: tuple[int, ...] | None = None  # only these, as of one instant; None is everyone


def aggregate(
    sources: Sources, as_ofs: Sequence[datetime], *, brand: Brand, schema: FeatureSchema, spill: Path | None = None
) -> Iterator[pa.Table]:
    """The rows of each instant, one table an instant, in the order of the instants.

    Args:
        sources: the events, and whose.
        as_ofs: aware instants, ascending, without doubles.
        brand: its event names, time zone and traits are parameters of the SQL.
        schema: what a row holds.
        spill: a folder for what does not fit into memory.

    Yields:
        One row a customer with any event before the instant, ordered by customer_key: customer_key, event_timestamp,
        numeric columns (float), instants, texts.
    """
    with duckdb.connect(config=_config(sources, spill)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _register(connection, sources, as_ofs)
        _define(connection, as_ofs, brand)
        _lock(connection, sources.lake)
        parameters = _parameters(brand)
        _optimise(connection, sources)
        for stage in STAGES:
            sql = (AGGREGATES / "stages" / f"{stage}.sql").read_text("utf-8")
            _execute(connection, f"CREATE TEMP TABLE {stage} AS {sql}", parameters)
        for i, as_of in enumerate(as_ofs, start=1):
            if schema.own:
                connection.execute("PRAGMA enable_optimizer")  # the brand's SQL is not ours to know the cost of
                _register_own(connection, schema.own, i=i, as_of=as_of)
                _optimise(connection, sources)
            yield _rows(connection, i=i, as_of=as_of, as_ofs=as_ofs, schema=schema, brand=brand)


def _optimise(connection: duckdb.DuckDBPyConnection, sources: Sources) -> None:
    """For a few customers, planning well takes longer than running a plain plan."""
    if sources.customers is not None:
        connection.execute("PRAGMA disable_optimizer")


def _config(sources: Sources, spill: Path | None) -> dict[str, Any]:
    threads = 2 if sources.customers is None else 1  # few rows: threads would only wait for each other
    config: dict[str, Any] = {"memory_limit": MEMORY_LIMIT, "threads": threads, "preserve_insertion_order": "false"}
    if spill is not None:
        config["temp_directory"] = str(spill)
    return config


def _register(connection: duckdb.DuckDBPyConnection, sources: Sources, as_ofs: Sequence[datetime]) -> None:
    """Makes `history`: a table where it is about few customers, else a view over the lake's files."""
    if sources.customers is not None:
        sources.lake.register(connection, as_of=as_ofs[-1], customers=sources.customers, name="lake_events")
        versions = "SELECT *, NULL::TIMESTAMP AS superseded_at FROM lake_events"
        # One instant only: what the lake closed before it is already left out.
    else:
        sources.lake.register_versions(connection, name="lake_versions")
        versions = f"SELECT {COLUMNS}, superseded_at FROM lake_versions"
    if sources.log is not None and sources.log.num_rows:
        connection.register("log_events", sources.log)
        connection.execute(
            f"CREATE TEMP TABLE log_rows AS SELECT {COLUMNS}, superseded_at FROM log_events WHERE event_id NOT IN "
            f"(SELECT event_id FROM ({versions}) WHERE event_id IN (SELECT event_id FROM log_events))"
        )
        connection.unregister("log_events")
        versions = f"{versions} UNION ALL BY NAME SELECT * FROM log_rows"
    kind = "VIEW" if sources.customers is None else "TABLE"
    known_at = "greatest(occurred_at, received_at)"
    connection.execute(
        f"CREATE TEMP {kind} history AS SELECT {COLUMNS}, {_n_reached(as_ofs, known_at)} + 1 AS visible_from, "
        f"CASE WHEN superseded_at IS NULL THEN {len(as_ofs) + 1} "
        f"ELSE {_n_reached(as_ofs, 'superseded_at')} + 1 END AS visible_until "
        f"FROM ({versions}) WHERE {known_at} < {_literal(as_ofs[-1])} "
        f"AND (superseded_at IS NULL OR superseded_at >= {_literal(as_ofs[0])})"
    )


def _define(connection: duckdb.DuckDBPyConnection, as_ofs: Sequence[datetime], brand: Brand) -> None:
    """The macros and small tables that the SQL files name."""
    connection.execute("CREATE TEMP MACRO units(amount) AS TRY_CAST(round(amount * 10000) AS BIGINT)")
    connection.execute(f"CREATE TEMP MACRO period_of(instant) AS {_n_reached(_edges(as_ofs), 'instant')}")
    connection.execute(f"CREATE TEMP TABLE instants AS SELECT unnest(range(1, {len(as_ofs) + 1})) AS i")
    traits = [(name, trait.type, list(trait.choices), trait.purpose) for name, trait in brand.traits.items()]
    traits = [row for row in traits if row[1] != "text" and row[0] not in ("locale", "time_zone")]
    traits += [("locale", "text", [], ""), ("time_zone", "text", [], "")]
    rows = ", ".join(
        f"({quoted(name)}, {quoted(kind)}, [{', '.join(map(quoted, choices))}]::VARCHAR[], {quoted(purpose)})"
        for name, kind, choices, purpose in traits
    )
    connection.execute(f"CREATE TEMP TABLE traits AS SELECT * FROM (VALUES {rows}) AS t(trait, type, choices, purpose)")


def _lock(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """From here on the connection reads the lake's events and nothing else; DuckDB lets nobody undo that."""
    connection.execute(f"SET allowed_directories = [{quoted(str(lake.root / 'events') + '/')}]")
    connection.execute("SET enable_external_access = false")


def _register_own(connection: duckdb.DuckDBPyConnection, views: Sequence[OwnView], *, i: int, as_of: datetime) -> None:
    """Runs the brand's own views over `events` as of one instant."""
    seen = f"SELECT {COLUMNS} FROM history WHERE visible_from <= {i} AND {i} < visible_until"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW events AS {seen}")
    for view in views:
        connection.execute(f"DROP TABLE IF EXISTS own_{view.name}")
        parameters = {"as_of": as_of.astimezone(UTC).replace(tzinfo=None)}
        try:
            _execute(connection, f"CREATE TEMP TABLE own_{view.name} AS {view.sql}", parameters)
        except duckdb.Error as error:
            raise CallersMistake(
                f"Asked for features as of {as_of}, but features/{view.name}.sql fails on the events: "
                f"{str(error).strip().splitlines()[0]}. Write it so that it gives null there, with TRY_CAST or TRY(…)."
            ) from error
        doubles = connection.execute(
            f"SELECT customer_key FROM own_{view.name} GROUP BY customer_key HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        if doubles is not None:
            raise CallersMistake(
                f"features/{view.name}.sql gives more than one row for customer {doubles[0]}. A view gives one row a "
                "customer: GROUP BY customer_key."
            )


def _rows(
    connection: duckdb.DuckDBPyConnection,
    *,
    i: int,
    as_of: datetime,
    as_ofs: Sequence[datetime],
    schema: FeatureSchema,
    brand: Brand,
) -> pa.Table:
    edges = _edges(as_ofs)
    since = {f"since_{days}d": edges.index(as_of - timedelta(days=days)) + 1 for days in WINDOWS_DAYS}
    views = ", ".join(f"{view} AS ({_view_sql(view, brand)})" for view in VIEWS)
    joins = " ".join(f"LEFT JOIN own_{view.name} USING (customer_key)" for view in schema.own)
    windowed = {column.name for column in RECENT}
    numeric = "".join(f"CAST({name} AS FLOAT) AS {name}, " for name in schema.numeric if name not in windowed)
    others = (*schema.instants, *(column.name for column in TEXTS))
    at = _literal(as_of)
    sql = (
        f"WITH {views}, everything AS (FROM behaviour JOIN recent USING (customer_key) "
        f"LEFT JOIN declared USING (customer_key) {joins}) "
        f"SELECT customer_key, {at} AS event_timestamp, {at} AS created_timestamp, {numeric}{', '.join(others)} "
        "FROM everything ORDER BY customer_key"
    )
    table = _execute(connection, sql, {"i": i}).to_arrow_table()
    bands = (AGGREGATES / "bands.sql").read_text("utf-8")
    banded = _execute(connection, bands, {"i": i, **since}).to_arrow_table()
    columns = dict(zip(table.column_names, table.columns, strict=True))
    columns |= window_columns(banded, table["customer_key"].to_numpy())
    names = ("customer_key", "event_timestamp", "created_timestamp", *schema.numeric, *others)
    return pa.table({name: columns[name] for name in names})


def _view_sql(view: str, brand: Brand) -> str:
    sql = (AGGREGATES / f"{view}.sql").read_text("utf-8")
    return sql.replace("/* a column a trait */", _trait_columns(brand)) if view == "declared" else sql


def _trait_columns(brand: Brand) -> str:
    """SQL of the columns of every trait, and of all of them as one JSON object, in the order of their names."""
    traits = {name: trait for name, trait in sorted(brand.traits.items()) if trait.type != "text"}
    said = [f"""max('"{name}":' || value) FILTER (WHERE trait = {quoted(name)})""" for name in traits]
    columns = [f"'{{' || concat_ws(',', {', '.join(said)}) || '}}' AS declared" if said else "'{}' AS declared"]
    for name, trait in traits.items():
        of_trait = f"FILTER (WHERE trait = {quoted(name)})"
        columns.append(f"max(said_at) {of_trait} AS trait_{name}_at")
        if trait.type == "choices":
            columns += [
                f"max(CAST(list_contains(chosen, {quoted(choice)}) AS TINYINT)) {of_trait} AS trait_{name}_{choice}"
                for choice in trait.choices
            ]
        else:
            columns.append(f"max(number) {of_trait} AS trait_{name}")
    return "".join(f", {column}" for column in columns)


def _parameters(brand: Brand) -> dict[str, object]:
    return {"time_zone": brand.time_zone, **brand.events.model_dump()}


def _execute(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]
) -> duckdb.DuckDBPyConnection:
    """Runs SQL with those of the parameters that it names: DuckDB takes no others."""
    named = {name: parameters[name] for name in set(re.findall(r"\$([a-z]\w*)", sql)) if name in parameters}
    return connection.execute(sql, named or None)


def _edges(as_ofs: Sequence[datetime]) -> list[datetime]:
    """Every edge of every window, ascending."""
    return sorted({as_of - timedelta(days=days) for as_of in as_ofs for days in (0, *WINDOWS_DAYS)})


def _n_reached(instants: Sequence[datetime], value: str) -> str:
    """SQL that counts how many of these instants a value has reached (instant <= value)."""
    return "(" + " + ".join(f"CAST({value} >= {_literal(instant)} AS SMALLINT)" for instant in instants) + ")"


def _literal(instant: datetime) -> str:
    return f"make_timestamp({instant_us(instant)})"


@lru_cache(maxsize=1)
def sql_fingerprint() -> str:
    """Sha256 of the SQL files: it changes when features mean something else."""
    digest = hashlib.sha256()
    for path in sorted(AGGREGATES.rglob("*.sql")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
