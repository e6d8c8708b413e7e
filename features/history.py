"""Point-in-time frames: what was known of every customer at an instant, and what happened after it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.brand import Brand, load_brand
from features.definitions import open_store, quiet
from features.derive import Floats, derive, stage_of
from features.drawn import Draw, read_rows
from features.faults import CallersMistake
from features.lake import Lake, instant_us, quoted
from features.owners import persons, persons_table
from features.packing import matrices
from features.schema import FeatureSchema, feature_schema
from features.snapshots import build_snapshots, check_as_of, event_log_table
from features.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True)
class OpenWorkspace:
    """A workspace's past, for training and for notebooks."""

    workspace: Workspace
    brand: Brand
    schema: FeatureSchema

    def snapshot_frame(self, as_of: datetime, *, draw: Draw | None = None) -> pd.DataFrame:
        """Everyone as of an instant, from its snapshot, which is made if it is missing.

        Args:
            as_of: aware.
            draw: these customers only.

        Returns:
            One row a customer, ordered by customer_key: customer_key, as_of, every model input (float32, as serving
            will see it), every instant, `declared_<trait>` as said (None: not declared), top_category, stage.
        """
        return self.snapshot_frames([as_of], draw=draw)[0]

    def snapshot_frames(self, as_ofs: Sequence[datetime], *, draw: Draw | None = None) -> list[pd.DataFrame]:
        """Everyone as of many instants, in their order; missing snapshots are made in one pass over the lake."""
        instants = [check_as_of(as_of) for as_of in as_ofs]
        paths = build_snapshots(self.workspace, instants, brand=self.brand, draw=draw)
        return [self._frame(read_rows(path, draw), as_of) for path, as_of in zip(paths, instants, strict=True)]

    def frames_in_parts(self, as_of: datetime, *, n_customers: int) -> Iterator[pd.DataFrame]:
        """The rows of `snapshot_frame`, at most so many customers at a time; one frame of nobody where there is none.

        Args:
            as_of: aware.
            n_customers: of one part: memory for hardly more is needed.
        """
        (path,) = build_snapshots(self.workspace, [check_as_of(as_of)], brand=self.brand)
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=n_customers):
                yield self._frame(pa.Table.from_batches([batch]), as_of)
            if not file.metadata.num_rows:
                yield self._frame(file.read(), as_of)

    def snapshot_table(
        self, as_of: datetime, *, draw: Draw | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """The stored columns of everyone as of an instant, or some of them, ordered by customer_key; as the others."""
        (path,) = build_snapshots(self.workspace, [check_as_of(as_of)], brand=self.brand, draw=draw)
        table = read_rows(path, draw, columns=columns)
        keys = table["customer_key"].to_numpy()
        return table.sort_by("customer_key") if (np.diff(keys) < 0).any() else table

    def snapshot_inputs(self, as_of: datetime, *, draw: Draw | None = None) -> tuple[NDArray[np.int64], Floats]:
        """What models are given of everyone as of an instant, without the rest of `snapshot_frame`.

        Returns:
            Customer keys, rising, shape `(n,)`, and every model input, shape `(n, n_inputs)`, NaN where unknown.
        """
        columns = ["customer_key", *self.schema.numeric, *self.schema.instants]
        table = self.snapshot_table(as_of, draw=draw, columns=columns)
        inputs = derive(*matrices(table, self.schema), instant_us(as_of), self.schema)
        return table["customer_key"].to_numpy().astype(np.int64), inputs

    def training_frame(self, *, as_of: datetime | Sequence[datetime], horizon_days: int) -> pd.DataFrame:
        """What was known of everyone at one or more instants, with what they ordered in [as_of, as_of + horizon).

        Args:
            as_of: aware; several give several rows a customer.
            horizon_days: how far ahead the label looks.

        Returns:
            The columns of `snapshot_frame` and `ordered_within_<h>d` (bool), `n_orders_within`, `revenue_within`.

        Raises:
            CallersMistake: the window of a label is not closed yet.
        """
        as_ofs = [as_of] if isinstance(as_of, datetime) else list(as_of)
        for instant in as_ofs:
            self._check_closed(check_as_of(instant), horizon_days=horizon_days)
        frames = self.snapshot_frames(as_ofs)
        labelled = [
            frame.merge(self.orders_within(instant, horizon_days=horizon_days), on="customer_key", how="left")
            for frame, instant in zip(frames, as_ofs, strict=True)
        ]
        frame = pd.concat(labelled, ignore_index=True)
        frame["n_orders_within"] = frame["n_orders_within"].fillna(0).astype(np.int64)
        frame["revenue_within"] = frame["revenue_within"].fillna(0.0)
        frame[f"ordered_within_{horizon_days}d"] = frame["n_orders_within"] > 0
        return frame

    def orders_within(self, as_of: datetime, *, horizon_days: int) -> pd.DataFrame:
        """Customers with an order in [as_of, as_of + horizon): customer_key, n_orders_within, revenue_within.

        Two events with one order id are one order, at the time of the one that was known first. Customers who are
        known to be one person today have that person's orders, each of their keys a row: one who was still two as of
        the instant has no fewer orders for that.
        """
        start = instant_us(as_of)
        end = instant_us(as_of + timedelta(days=horizon_days))
        log = event_log_table(self.workspace)  # before the lake: a sync in between hides nothing
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'; SET threads = 2")
            Lake(self.workspace.lake).register(connection)
            connection.register("log_events", log)
            connection.register("joined", persons_table(persons(self.workspace)))
            return connection.execute(
                f"""
                WITH events AS (
                    SELECT coalesce(person, customer_key) AS customer_key, coalesce(order_id, event_id) AS order_key,
                           occurred_at, received_at, event_id,
                           coalesce(total, list_sum(list_transform(products,
                               lambda line: coalesce(line.quantity, 1) * line.price))) AS amount
                    FROM (
                        SELECT * FROM events
                        UNION ALL BY NAME
                        SELECT * EXCLUDE (superseded_at, log_seq) FROM log_events
                        WHERE event_id NOT IN (SELECT event_id FROM events)
                    )
                    LEFT JOIN joined ON customer_key = from_key
                    WHERE event = {quoted(self.brand.events.order)}
                ),
                orders AS (
                    SELECT customer_key, min({{'known_at': greatest(occurred_at, received_at), 'at': occurred_at,
                                              'id': event_id, 'amount': amount}}) AS first
                    FROM events
                    GROUP BY customer_key, order_key
                ),
                within AS (
                    SELECT customer_key, count(*) AS n_orders_within, coalesce(sum(first.amount), 0.0) AS revenue_within
                    FROM orders
                    WHERE epoch_us(first['at']) >= {start} AND epoch_us(first['at']) < {end}
                    GROUP BY customer_key
                )
                SELECT * FROM within
                UNION ALL BY NAME
                SELECT from_key AS customer_key, within.* EXCLUDE (customer_key)
                FROM within JOIN joined ON within.customer_key = person
                ORDER BY customer_key
                """
            ).df()

    def span(self) -> tuple[datetime, datetime] | None:
        """The first and last instant at which anything happened; None where nothing did."""
        log = event_log_table(self.workspace)
        instants = pc.min_max(log["occurred_at"].cast(pa.int64())).as_py().values() if log.num_rows else ()
        logged = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at) for at in instants]
        known = [*(Lake(self.workspace.lake).span() or ()), *logged]
        return (min(known), max(known)) if known else None

    def feast_frame(self, entities: pd.DataFrame, *, store: FeatureStore | None = None) -> pd.DataFrame:
        """The newest snapshot row at or before each entity row's own instant, by Feast's historical join.

        Args:
            entities: customer_key, event_timestamp (UTC).
            store: where one is open already: one a process.

        Returns:
            The entity rows with every stored feature of the readable views; missing where no snapshot is old enough.
        """
        store = store or open_store(self.workspace, self.brand, schema=self.schema)
        columns = [column for column in self.schema.columns if column.view != "derived"]
        features = [f"{column.view}:{column.name}" for column in columns]
        with quiet():
            job = store.get_historical_features(entity_df=entities, features=features, filter_by_created_timestamp=True)
            frame: pd.DataFrame = job.to_df()
        return frame

    def _frame(self, table: pa.Table, as_of: datetime) -> pd.DataFrame:
        vector, instants = matrices(table, self.schema)
        as_of_us = instant_us(as_of)
        inputs = derive(vector, instants, as_of_us, self.schema)
        keys = pd.DataFrame({"customer_key": table["customer_key"].to_numpy(), "as_of": pd.Timestamp(as_of)})
        others = table.select([*self.schema.instants, "top_category"]).to_pandas()
        stages = stage_of(vector, instants, as_of_us, self.schema, funnel=self.brand.funnel)
        frame: pd.DataFrame = pd.concat(
            [
                keys,
                pd.DataFrame(inputs, columns=list(self.schema.model_inputs)),
                others,
                _declared(table, self.brand),
                pd.DataFrame({"stage": stages}),
            ],
            axis=1,
        )
        return frame

    def _check_closed(self, as_of: datetime, *, horizon_days: int) -> None:
        span = self.span()
        if span is None:
            raise CallersMistake(
                f"Asked for a {horizon_days}-day label as of {as_of:%Y-%m-%d}, but the lake is empty. "
                "Import a history first: 'rapport import'."
            )
        last, closes = span[1], as_of + timedelta(days=horizon_days)
        if closes > last:
            latest = last - timedelta(days=horizon_days)
            raise CallersMistake(
                f"Asked for a {horizon_days}-day label as of {as_of:%Y-%m-%d %H:%M}, but events end on "
                f"{last:%Y-%m-%d %H:%M}. The window closes on {closes:%Y-%m-%d %H:%M}; use an as_of of "
                f"{latest:%Y-%m-%d} or earlier, or wait."
            )


def open_workspace(path: Path | str | None = None) -> OpenWorkspace:
    """Opens a workspace for training or a notebook: `open_workspace("shop").training_frame(as_of=…, horizon_days=30)`.

    Raises:
        CallersMistake: there is no workspace there, or its files are wrong.
    """
    workspace = find_workspace(None if path is None else Path(path))
    brand = load_brand(workspace)
    return OpenWorkspace(workspace, brand, feature_schema(brand, workspace))


def _declared(table: pa.Table, brand: Brand) -> pd.DataFrame:
    """What was declared, as said: one column a trait, None where it was not."""
    said = [json.loads(text) if text else {} for text in table["declared"].to_pylist()]
    names = [name for name, trait in brand.traits.items() if trait.type != "text"]
    return pd.DataFrame(
        {f"declared_{name}": pd.Series([row.get(name) for row in said], dtype=object) for name in names}
    )
