"""The features of everyone at many instants, or of a few customers at one, by the same SQL.

Design. `history` is a view of the events that any of the instants can see: each row says from which instant on
(`visible_from`) and until which (`visible_until`), and under which customer. `aggregates/stages/*.sql` reduce it once,
by customer and by the periods between the edges of all windows; `aggregates/*.sql`, one file a view, then sum what one
instant sees. Money and quantities are summed in ten-thousandths as whole numbers, so that the order in which rows come
changes no digit.

Invariant: a row of an instant depends on nothing that had not happened, or was not known, before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from features.brand import Brand
from features.columns import WINDOWS_DAYS
from features.drawn import Draw
from features.faults import CallersMistake
from features.feature_sql import (
    COLUMNS,
    STAGES,
    UNITS,
    VIEWS,
    history_sql,
    others,
    parameters,
    rows_sql,
    sql_of,
    traits_sql,
    view_sql,
)
from features.feature_sql import sql_fingerprint as sql_fingerprint
from features.lake import Lake, instant_us, quoted
from features.merges import Merge
from features.own_sql import OwnView
from features.owners import Owned, keys_behind, links_table, owned, owners_at
from features.schema import FeatureSchema
from features.windows import window_columns

MEMORY_LIMIT = "3GB"
EVERYONE = "history_of_everyone"  # what the brand's own SQL reads where some customers are drawn


@dataclass(frozen=True)
class Sources:
    """Where events come from: the lake, and what of the event log is not in the lake yet."""

    lake: Lake
    log: pa.Table | None = None  # with the columns of LOG_SCHEMA
    customers: tuple[int, ...] | None = None  # only these, as of one instant; None is everyone
    merges: tuple[Merge, ...] = ()  # which customers were joined, and when; with `customers`, those of them suffice
    draw: Draw | None = None  # only these of everyone; the brand's own SQL sees everyone's events all the same


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
        numeric columns (float), instants, texts. A customer who had been joined into another by then has none.
    """
    with duckdb.connect(config=_config(sources, spill)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _register(connection, sources, as_ofs)
        connection.execute(UNITS)
        connection.execute(f"CREATE TEMP TABLE traits AS {traits_sql(brand)}")
        _lock(connection, sources.lake)
        _optimise(connection, sources)
        for stage in STAGES:
            _execute(connection, f"CREATE TEMP TABLE {stage} AS {sql_of(f'stages/{stage}')}", parameters(brand))
        history = _own_history(connection, schema.own, times=len(as_ofs), of=EVERYONE if sources.draw else "history")
        for i, as_of in enumerate(as_ofs, start=1):
            if schema.own:
                connection.execute("PRAGMA enable_optimizer")  # the brand's SQL is not ours to know the cost of
                _register_own(connection, schema.own, i=i, as_of=as_of, history=history)
                _optimise(connection, sources)
            rows = _rows(connection, i=i, as_of=as_of, as_ofs=as_ofs, schema=schema, brand=brand)
            yield rows if sources.draw is None else rows.filter(sources.draw.holds(rows["customer_key"].to_numpy()))


def aggregate_own(
    sources: Sources, as_of: datetime, *, schema: FeatureSchema, spill: Path | None = None
) -> list[pa.Table]:
    """The columns of the brand's own views alone, as of one instant: one table a view, with customer_key."""
    with duckdb.connect(config=_config(sources, spill)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _register(connection, sources, [as_of])
        _lock(connection, sources.lake)
        _register_own(connection, schema.own, i=1, as_of=as_of)
        return [
            connection.execute(
                f"SELECT customer_key, {', '.join(f'CAST({name} AS FLOAT) AS {name}' for name in view.columns)} "
                f"FROM own_{view.name}"
            ).to_arrow_table()
            for view in schema.own
        ]


def with_windows(rows: pa.Table, bands: pa.Table, schema: FeatureSchema) -> pa.Table:
    """Rows with the columns of windows, in the order of the schema."""
    columns = dict(zip(rows.column_names, rows.columns, strict=True))
    columns |= window_columns(bands, rows["customer_key"].to_numpy())
    names = ("customer_key", "event_timestamp", "created_timestamp", *schema.numeric, *others(schema))
    return pa.table({name: columns[name] for name in names})


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
    keys = None
    if sources.customers is not None:
        keys = keys_behind(sources.customers, owners_at(sources.merges, instant_us(as_ofs[-1])))
    sources.lake.register_versions(connection, customers=keys, name="lake_versions")
    versions = f"SELECT {COLUMNS}, superseded_at FROM lake_versions"
    if sources.log is not None and sources.log.num_rows:
        of_whom = "true" if keys is None else f"customer_key IN ({', '.join(map(str, keys))})" if keys else "false"
        connection.register("log_events", sources.log)
        connection.execute(
            f"CREATE TEMP TABLE log_rows AS SELECT {COLUMNS}, superseded_at FROM log_events WHERE {of_whom} "
            f"AND event_id NOT IN "
            f"(SELECT event_id FROM ({versions}) WHERE event_id IN (SELECT event_id FROM log_events))"
        )
        connection.unregister("log_events")
        versions = f"{versions} UNION ALL BY NAME SELECT * FROM log_rows"
    kind = "VIEW" if sources.customers is None else "TABLE"
    told: dict[str, Any] = {
        "as_ofs": [_literal(as_of) for as_of in as_ofs],
        "edges": [_literal(edge) for edge in _edges(as_ofs)],
        "owned": _register_owned(connection, sources, as_ofs),
    }
    if sources.draw is not None:
        connection.execute(f"CREATE TEMP VIEW {EVERYONE} AS {history_sql(versions, **told)}")
        versions = _drawn_versions(connection, sources, versions)
    connection.execute(f"CREATE TEMP {kind} history AS {history_sql(versions, **told)}")


def _drawn_versions(connection: duckdb.DuckDBPyConnection, sources: Sources, versions: str) -> str:
    """The events of those who were drawn, as a table read once; of whoever was joined too, by any of their keys."""
    of_whom = "true" if sources.draw is None else sources.draw.sql("customer_key")
    joined = sorted({key for merge in sources.merges for key in (merge.from_key, merge.into_key)})
    connection.register("joined_keys", pa.table({"customer_key": pa.array(joined, pa.int64())}))
    connection.execute(
        f"CREATE TEMP TABLE drawn_versions AS SELECT * FROM ({versions}) WHERE {of_whom} "
        "OR customer_key IN (SELECT customer_key FROM joined_keys)"
    )
    connection.unregister("joined_keys")
    return "SELECT * FROM drawn_versions"


def _register_owned(connection: duckdb.DuckDBPyConnection, sources: Sources, as_ofs: Sequence[datetime]) -> str | None:
    """The table of whose events the joined customers' are; none where nobody was joined. And who is who, as `links`."""
    connection.register("known_links", links_table(sources.merges))
    connection.execute("CREATE TEMP TABLE links AS SELECT * FROM known_links")
    connection.unregister("known_links")
    stretches = owned(sources.merges, [instant_us(as_of) for as_of in as_ofs])
    if not stretches:
        return None
    columns = dict(zip(Owned._fields, map(pa.array, zip(*stretches, strict=True)), strict=True))
    connection.register("stretches", pa.table(columns))
    connection.execute("CREATE TEMP TABLE owned AS SELECT * FROM stretches")
    connection.unregister("stretches")
    return "owned"


def _lock(connection: duckdb.DuckDBPyConnection, lake: Lake) -> None:
    """From here on the connection reads the lake's events and nothing else; DuckDB lets nobody undo that."""
    connection.execute(f"SET allowed_directories = [{quoted(str(lake.root / 'events') + '/')}]")
    connection.execute("SET enable_external_access = false")


def _own_history(connection: duckdb.DuckDBPyConnection, views: Sequence[OwnView], *, times: int, of: str) -> str:
    """What the brand's own views read: for many instants a table of the columns they name, made once for all."""
    if not views or times == 1:
        return of
    words = set(re.findall(r"\w+", " ".join(view.sql for view in views).lower()))
    all_of_them = any("*" in view.sql.replace("COUNT(*)", "").replace("count(*)", "") for view in views)
    columns = [name for name in COLUMNS.split(", ") if all_of_them or name in words or name == "customer_key"]
    connection.execute(
        f"CREATE TEMP TABLE own_history AS SELECT {', '.join(columns)}, visible_from, visible_until FROM {of}"
    )
    return "own_history"


def _register_own(
    connection: duckdb.DuckDBPyConnection,
    views: Sequence[OwnView],
    *,
    i: int,
    as_of: datetime,
    history: str = "history",
) -> None:
    """Runs the brand's own views over `events` as of one instant."""
    rows = f"SELECT * EXCLUDE (visible_from, visible_until) FROM {history}"
    seen = f"{rows} WHERE visible_from <= {i} AND {i} < visible_until"
    connection.execute(f"CREATE OR REPLACE TEMP VIEW events AS {seen}")
    for view in views:
        connection.execute(f"DROP TABLE IF EXISTS own_{view.name}")
        at = {"as_of": as_of.astimezone(UTC).replace(tzinfo=None)}
        try:
            _execute(connection, f"CREATE TEMP TABLE own_{view.name} AS {view.sql}", at)
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
    views = ", ".join(f"{view} AS ({view_sql(view, brand)})" for view in VIEWS)
    table = _execute(connection, f"WITH {views} {rows_sql(schema, at=_literal(as_of))}", {"i": i}).to_arrow_table()
    bands = _execute(connection, sql_of("bands"), {"i": i, **since}).to_arrow_table()
    return with_windows(table, bands, schema)


def _execute(
    connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]
) -> duckdb.DuckDBPyConnection:
    """Runs SQL with those of the parameters that it names: DuckDB takes no others."""
    named = {name: values[name] for name in set(re.findall(r"\$([a-z]\w*)", sql)) if name in values}
    return connection.execute(sql, named or None)


def _edges(as_ofs: Sequence[datetime]) -> list[datetime]:
    """Every edge of every window, ascending."""
    return sorted({as_of - timedelta(days=days) for as_of in as_ofs for days in (0, *WINDOWS_DAYS)})


def _literal(instant: datetime) -> str:
    return f"make_timestamp({instant_us(instant)})"
