"""The rows of a few customers now, from all of their history: the snapshots' SQL, planned once and kept.

Planning the SQL takes longer than running it over one customer's events. So the same files are one prepared statement
here, over events that are handed to it each time. The instant comes with them, as a column: a statement with parameters
DuckDB plans again at every call. What it gives equals, bit for bit, what `features.aggregation.aggregate` gives.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from features.aggregation import Sources, aggregate, with_windows
from features.brand import Brand
from features.by_customer import ByCustomer
from features.columns import WINDOWS_DAYS
from features.contract import EVENT_SCHEMA, INSTANT
from features.feature_sql import (
    COLUMNS,
    SEEN,
    STAGES,
    UNITS,
    VIEWS,
    history_sql,
    parameters,
    rows_sql,
    sql_of,
    traits_sql,
    view_sql,
    with_literals,
)
from features.lake import Lake, instant_us, quoted
from features.merges import Merge
from features.owners import LINKS_SCHEMA, keys_behind, links_table, owners_at
from features.schema import FeatureSchema
from features.workspace import Workspace

WRITTEN = EVENT_SCHEMA.append(pa.field("written_key", pa.int64(), nullable=False))
HANDED = WRITTEN.append(pa.field("as_of", INSTANT, nullable=False))
MEMORY_LIMIT = "1GB"
_KEPT = frozenset({"history", "orders", "deeds"})  # read more than once
# Statistics of one call's events say nothing about the next call's, and the plan is kept.
_UNSAFE_OPTIMIZERS = "statistics_propagation,compressed_materialization"


class Recomputer:
    """Recomputes customers of one workspace. Open one a process and keep it; safe from several threads.

    Attributes:
        by_customer: the lake's events, as it reads them.
        n_events_read: how many events it has looked at since it was opened.
    """

    def __init__(self, workspace: Workspace, brand: Brand, schema: FeatureSchema) -> None:
        self.by_customer = ByCustomer.open(workspace)
        self._lake = Lake(workspace.lake)
        self._brand = brand
        self._schema = schema
        self._lock = threading.Lock()
        self.n_events_read = 0
        self._events, self._links = _Handed(HANDED), _Handed(LINKS_SCHEMA)
        self._connection = duckdb.connect(config={"threads": 1, "memory_limit": MEMORY_LIMIT})
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute(UNITS)
        self._connection.register("handed", self._events)
        self._connection.register("links", self._links)
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute(f"SET disabled_optimizers = '{_UNSAFE_OPTIMIZERS}'")
        self._is_ready = self._prepare()

    def close(self) -> None:
        """Lets go of the memory."""
        self._connection.close()

    def rows(
        self, customers: Sequence[int], *, as_of: datetime, log: pa.Table, merges: Iterable[Merge] = ()
    ) -> pa.Table:
        """The rows of customers as of an instant, with the columns of a snapshot, ordered by customer_key.

        Args:
            customers: their keys. One who had been joined into another by then, or has no event yet, has no row.
            as_of: aware.
            log: events of the log with the columns of LOG_SCHEMA, read before this call: at least those of all keys
                of these customers after `by_customer.log_through`. Those that the lake holds too are left out.
            merges: at least those that concern these customers.

        Raises:
            CallersMistake: one of the brand's own `features/*.sql` fails on these events.
        """
        merges = tuple(merges)
        owners = owners_at(merges, instant_us(as_of))
        events = self._history(keys_behind(customers, owners), owners, log=log)
        table = self._run(_with_instant(events, as_of), links_table(merges)) if self._is_ready else None
        if table is None or pc.count_distinct(table["customer_key"]).as_py() < table.num_rows:
            # The brand's own SQL is at fault: say which file it is, as a snapshot does.
            sources = Sources(self._lake, log=log, customers=tuple(int(key) for key in customers), merges=merges)
            return next(iter(aggregate(sources, [as_of], brand=self._brand, schema=self._schema)))
        rows = with_windows(table.drop_columns("bands"), _bands(table), self._schema)
        for name in ("event_timestamp", "created_timestamp"):
            at = rows.schema.get_field_index(name)
            rows = rows.set_column(at, rows.schema.field(at), _repeated(as_of, rows.num_rows))
        return rows

    def _prepare(self) -> bool:
        """Plans the statement; False where the brand's own SQL names the instant where no subquery may stand."""
        try:
            self._connection.execute(f"PREPARE recompute AS {statement(self._brand, self._schema)}")
        except duckdb.Error:
            return False
        return True

    def _run(self, events: pa.Table, links: pa.Table) -> pa.Table | None:
        """The rows of these events' customers; None where the statement fails on them."""
        with self._lock:
            # DuckDB sends each chunk through all operators by itself: as they come, there is one a customer.
            self._events.table, self._links.table = events.combine_chunks(), links
            self.n_events_read += events.num_rows
            try:
                return self._connection.execute("EXECUTE recompute").to_arrow_table()
            except duckdb.Error:
                return None
            finally:
                self._events.table, self._links.table = HANDED.empty_table(), LINKS_SCHEMA.empty_table()

    def _history(self, keys: Sequence[int], owners: dict[int, int], *, log: pa.Table) -> pa.Table:
        """All versions of the events under these keys, from lake and log, under the customers whose they are."""
        events = self.by_customer.events(keys)
        if log.num_rows:
            is_new = pc.and_(
                pc.is_in(log["customer_key"], value_set=pa.array(keys, pa.int64())),
                pc.invert(pc.is_in(log["event_id"], value_set=events["event_id"].combine_chunks())),
            )
            events = pa.concat_tables([events, log.filter(is_new).select(EVENT_SCHEMA.names)])
        events = events.append_column(WRITTEN.field("written_key"), events["customer_key"])
        if owners and events.num_rows:
            whose = [owners.get(key, key) for key in events["customer_key"].to_pylist()]
            at = EVENT_SCHEMA.get_field_index("customer_key")
            events = events.set_column(at, EVENT_SCHEMA.field("customer_key"), pa.array(whose, pa.int64()))
        return events


class _Handed:
    """A table that the statement reads at each call, by Arrow's C stream interface."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self.table = schema.empty_table()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()


def statement(brand: Brand, schema: FeatureSchema) -> str:
    """All of `aggregates/*.sql` and the brand's own views as one statement over `handed`, whose events name `as_of`."""
    days = sorted(WINDOWS_DAYS, reverse=True)
    edges = [*(f"as_of - INTERVAL {24 * day} HOUR" for day in days), "as_of"]
    values = {name: quoted(value) for name, value in parameters(brand).items()}
    values |= {f"since_{day}d": str(edge) for edge, day in enumerate(days, start=1)}

    def at_the_instant(sql: str) -> str:
        # `history` holds what the one instant sees: to ask it again at each step would cost an operator each.
        return with_literals(sql.replace(SEEN, "true"), values)

    parts = {
        "history": history_sql("FROM handed", as_ofs=["as_of"], edges=edges, written_key="written_key"),
        "traits": traits_sql(brand),
    }
    parts |= {stage: at_the_instant(sql_of(f"stages/{stage}")) for stage in STAGES}
    parts |= {view: at_the_instant(view_sql(view, brand)) for view in VIEWS}
    bands = at_the_instant(sql_of("bands"))
    parts["bands_of"] = f"SELECT customer_key, list(banded) AS bands FROM (\n{bands}\n) AS banded GROUP BY ALL"
    parts["events"] = f"SELECT {COLUMNS} FROM history"
    parts |= {f"own_{view.name}": _naming_instant(view.sql) for view in schema.own}
    named = (f"{name} AS {'MATERIALIZED ' if name in _KEPT else ''}(\n{sql}\n)" for name, sql in parts.items())
    return f"WITH {', '.join(named)}\n{rows_sql(schema, at='NULL::TIMESTAMP', bands=True)}"


def _bands(table: pa.Table) -> pa.Table:
    """The bands of all customers as `aggregates/bands.sql` gives them."""
    bands = table["bands"].combine_chunks().flatten()
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(bands)])


_QUOTED_OR_INSTANT = re.compile(
    r"(?P<other>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|\$\$.*?\$\$)|\$as_of\b", re.S | re.I
)


def _naming_instant(sql: str) -> str:
    """The brand's own SQL with the instant in place of its parameter, outside texts and comments."""
    return _QUOTED_OR_INSTANT.sub(lambda found: found["other"] or "(SELECT max(as_of) FROM handed)", sql)


def _with_instant(events: pa.Table, as_of: datetime) -> pa.Table:
    return events.append_column(HANDED.field("as_of"), _repeated(as_of, events.num_rows))


def _repeated(instant: datetime, n_rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(instant_us(instant), INSTANT), n_rows)
