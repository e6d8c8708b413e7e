"""The same features by hand: one DuckDB script, polars and pandas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from features.snapshots import weekly
from features.workspace import Workspace

END = datetime(2024, 12, 30, tzinfo=UTC)
WINDOWS = (7, 30, 90, 365)
ZONE = "Asia/Kolkata"
KINDS = {
    "n_page_views": "Page Viewed",
    "n_product_views": "Product Viewed",
    "n_add_to_carts": "Product Added",
    "n_ad_clicks": "Ad Clicked",
    "n_answers": "Question Answered",
    "n_messages_sent": "Message Sent",
    "n_messages_opened": "Message Opened",
    "n_messages_clicked": "Message Clicked",
    "n_messages_replied": "Message Replied",
    "n_refunds": "Order Refunded",
    "n_orders": "Order Completed",
}
INSTANTS = ("Product Viewed", "Product Added", "Message Sent", "Message Clicked", "Question Answered", "Order Refunded")


def duckdb_by_hand(workspace: Workspace, out: Path, n_weeks: int) -> int:
    """What a careful engineer writes: days first, then windows over days, week by week."""
    days = ", ".join(f"count(*) FILTER (event = '{event}') AS {name}" for name, event in KINDS.items())
    lasts = ", ".join(
        f"max(occurred_at) FILTER (event = '{event}') AS last_{event.lower().replace(' ', '_')}_at"
        for event in INSTANTS
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '3GB'")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"""
            CREATE TEMP TABLE days AS
            SELECT customer_key, CAST(occurred_at AS DATE) AS day, {days}, {lasts},
                   count(*) FILTER (event <> 'Message Sent') AS n_events,
                   sum(total) FILTER (event = 'Order Refunded') AS refunded,
                   sum(total) FILTER (event = 'Order Completed') AS revenue,
                   max(total) FILTER (event = 'Order Completed') AS max_order_value,
                   min(occurred_at) AS first_event_at, max(occurred_at) AS last_event_at,
                   min(occurred_at) FILTER (event = 'Order Completed') AS first_order_at,
                   max(occurred_at) FILTER (event = 'Order Completed') AS last_order_at
            FROM read_parquet('{workspace.lake}/events/*/*/*.parquet', hive_partitioning = false)
            WHERE occurred_at < TIMESTAMP '{END:%Y-%m-%d}'
            GROUP BY ALL
            """
        )
        connection.execute(
            f"""
            CREATE TEMP TABLE orders AS
            SELECT customer_key, occurred_at, products,
                   timezone('{ZONE}', timezone('UTC', occurred_at)) AS local_at, CAST(local_at AS DATE) AS day
            FROM read_parquet('{workspace.lake}/events/*/*/*.parquet', hive_partitioning = false)
            WHERE event = 'Order Completed' AND occurred_at < TIMESTAMP '{END:%Y-%m-%d}'
            """
        )
        connection.execute(
            """
            CREATE TEMP TABLE lines AS
            SELECT customer_key, occurred_at, line.category AS category, line.price AS price, line.quantity AS quantity
            FROM (SELECT customer_key, occurred_at, unnest(products) AS line FROM orders)
            """
        )
        for as_of in weekly(END, weeks=n_weeks):
            connection.execute(f"COPY ({_by_hand(as_of)}) TO '{out}/{as_of:%Y-%m-%d}.parquet' (COMPRESSION zstd)")
    return n_columns(next(out.glob("*.parquet")))


def _by_hand(as_of: datetime) -> str:
    at = f"TIMESTAMP '{as_of:%Y-%m-%d}'"
    sums = (*KINDS, "n_events", "refunded", "revenue")
    windows = ", ".join(
        f"coalesce(sum({name}) FILTER (day >= CAST({at} AS DATE) - {days}), 0)::FLOAT AS {name}_{days}d"
        for name in sums
        for days in WINDOWS
    )
    order_days = ", ".join(
        f"count(DISTINCT day) FILTER (occurred_at >= {at} - INTERVAL {days} DAY)::FLOAT AS n_order_days_{days}d"
        for days in WINDOWS
    )
    lasts = ", ".join(
        f"max({name}) AS {name}"
        for name in ("last_event_at", "last_order_at", *(f"last_{e.lower().replace(' ', '_')}_at" for e in INSTANTS))
    )
    weekdays = ", ".join(f"count(*) FILTER (isodow(day) = {n})" for n in range(1, 8))
    parts = ", ".join(
        f"count(*) FILTER (hour(local_at) BETWEEN {start} AND {start + 5}) / count(*) AS order_share_{start}"
        for start in (0, 6, 12, 18)
    )
    return f"""
        WITH touched AS (
            SELECT customer_key, {windows}, {", ".join(f"sum({name})::FLOAT AS {name}" for name in sums)},
                   max(max_order_value) AS max_order_value, min(first_event_at) AS first_event_at,
                   min(first_order_at) AS first_order_at, {lasts}
            FROM days WHERE day < CAST({at} AS DATE) GROUP BY customer_key
        ),
        seen AS (SELECT * FROM orders WHERE occurred_at < {at}),
        gaps AS (
            SELECT customer_key, day - lag(day) OVER (PARTITION BY customer_key ORDER BY day) AS gap
            FROM (SELECT DISTINCT customer_key, day FROM seen)
        ),
        rhythm AS (
            SELECT customer_key, count(*) AS n_order_days, avg(gap) AS mean_gap_days, stddev_samp(gap) AS sd_gap_days
            FROM gaps GROUP BY ALL
        ),
        habits AS (
            SELECT customer_key, {order_days}, {parts}, count(*) FILTER (isodow(day) >= 6) / count(*) AS share_weekend,
                   [{weekdays}] AS by_weekday
            FROM seen GROUP BY ALL
        ),
        by_category AS (
            SELECT customer_key, category, count(*) AS n, sum(price) AS prices, sum(quantity) AS quantity,
                   min(price) AS price_min, max(price) AS price_max
            FROM lines WHERE occurred_at < {at} GROUP BY ALL
        ),
        ranked AS (
            SELECT *, n / sum(n) OVER (PARTITION BY customer_key) AS share,
                   row_number() OVER (PARTITION BY customer_key ORDER BY n DESC, category) AS rank
            FROM by_category
        ),
        categories AS (
            SELECT customer_key, count(*) AS n_categories, -sum(share * ln(share)) AS category_entropy,
                   max(share) FILTER (rank = 1) AS top_share, max(share) FILTER (rank = 2) AS second_share,
                   max(category) FILTER (rank = 1) AS top_category, sum(prices) / sum(n) AS price_mean,
                   min(price_min) AS price_min, max(price_max) AS price_max, sum(n) AS n_lines,
                   sum(quantity) AS n_items
            FROM ranked GROUP BY ALL
        )
        SELECT touched.*, rhythm.* EXCLUDE (customer_key), habits.* EXCLUDE (customer_key, by_weekday),
               list_position(by_weekday, list_max(by_weekday)) AS usual_weekday, categories.* EXCLUDE (customer_key),
               n_lines / n_orders AS basket_lines, n_items / n_orders AS basket_size,
               {", ".join(f"revenue_{d}d / nullif(n_orders_{d}d, 0) AS mean_order_value_{d}d" for d in WINDOWS)}
        FROM touched LEFT JOIN rhythm USING (customer_key) LEFT JOIN habits USING (customer_key)
        LEFT JOIN categories USING (customer_key)
    """


def polars(workspace: Workspace, out: Path, n_weeks: int) -> int:
    """Windowed counts and sums, lifetime counts, instants and gaps over daily pre-aggregates, streaming."""
    import polars as pl

    files = sorted(str(path) for path in (workspace.lake / "events").glob("*/*/*.parquet"))
    is_order = pl.col("event") == "Order Completed"
    days = (
        pl.scan_parquet(files)
        .select("customer_key", "event", "occurred_at", "total", pl.col("occurred_at").dt.date().alias("day"))
        .group_by("customer_key", "day")
        .agg(
            *((pl.col("event") == event).sum().alias(name) for name, event in KINDS.items()),
            *(
                pl.col("occurred_at").filter(pl.col("event") == event).max().alias(f"last {event}")
                for event in INSTANTS
            ),
            (pl.col("event") != "Message Sent").sum().alias("n_events"),
            pl.col("total").filter(pl.col("event") == "Order Refunded").sum().alias("refunded"),
            pl.col("total").filter(is_order).sum().alias("revenue"),
            pl.col("occurred_at").min().alias("first_event_at"),
            pl.col("occurred_at").max().alias("last_event_at"),
            pl.col("occurred_at").filter(is_order).max().alias("last_order_at"),
        )
        .collect(engine="streaming")
    )
    sums = (*KINDS, "n_events", "refunded", "revenue")
    for as_of in weekly(END, weeks=n_weeks):
        seen = days.lazy().filter(pl.col("day") < as_of.date())
        windows = [
            pl.col(name)
            .filter(pl.col("day") >= as_of.date() - timedelta(days=d))
            .sum()
            .cast(pl.Float32)
            .alias(f"{name}_{d}d")
            for name in sums
            for d in WINDOWS
        ]
        touched = seen.group_by("customer_key").agg(
            *windows,
            *(pl.col(name).sum().cast(pl.Float32) for name in sums),
            *(pl.col(f"last {event}").max() for event in INSTANTS),
            pl.col("first_event_at").min(),
            pl.col("last_event_at", "last_order_at").max(),
        )
        gaps = (
            seen.filter(pl.col("n_orders") > 0)
            .sort("customer_key", "day")
            .group_by("customer_key")
            .agg(
                pl.len().alias("n_order_days"),
                pl.col("day").diff().dt.total_days().mean().alias("mean_gap_days"),
                pl.col("day").diff().dt.total_days().std().alias("sd_gap_days"),
            )
        )
        touched.join(gaps, on="customer_key", how="left").collect(engine="streaming").write_parquet(
            out / f"{as_of:%Y-%m-%d}.parquet"
        )
    return n_columns(next(out.glob("*.parquet")))


def pandas(workspace: Workspace, out: Path, n_weeks: int) -> int:
    """The same as polars does, in pandas."""
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    columns = ["customer_key", "event", "occurred_at", "total"]
    files = sorted((workspace.lake / "events").glob("*/*/*.parquet"))
    events = pd.concat([pq.read_table(path, columns=columns).to_pandas() for path in files], ignore_index=True)
    events["event"] = events["event"].astype("category")
    events["day"] = events["occurred_at"].dt.floor("D")
    for name, event in KINDS.items():
        events[name] = (events["event"] == event).astype(np.int8)
    events["n_events"] = (events["event"] != "Message Sent").astype(np.int8)
    events["refunded"] = events["total"].where(events["event"] == "Order Refunded", 0.0)
    events["revenue"] = events["total"].where(events["event"] == "Order Completed", 0.0)
    sums = [*KINDS, "n_events", "refunded", "revenue"]
    keys = ["customer_key", "day"]
    days = events.groupby(keys, sort=True)[sums].sum()
    days["first_event_at"] = events.groupby(keys)["occurred_at"].min()
    days["last_event_at"] = events.groupby(keys)["occurred_at"].max()
    for event in (*INSTANTS, "Order Completed"):
        days[f"last {event}"] = events[events["event"] == event].groupby(keys)["occurred_at"].max()
    lasts = ["last_event_at", *(f"last {event}" for event in (*INSTANTS, "Order Completed"))]
    days = days.reset_index()
    del events
    for as_of in weekly(END, weeks=n_weeks):
        at = pd.Timestamp(as_of.replace(tzinfo=None))
        seen = days[days["day"] < at]
        by_customer = seen.groupby("customer_key")
        parts = [by_customer[sums].sum(), by_customer[lasts].max(), by_customer["first_event_at"].min()]
        for d in WINDOWS:
            recent = seen[seen["day"] >= at - pd.Timedelta(days=d)]
            parts.append(recent.groupby("customer_key")[sums].sum().add_suffix(f"_{d}d"))
        ordered = seen.loc[seen["n_orders"] > 0, keys]
        gap = ordered.groupby("customer_key")["day"].diff().dt.days.groupby(ordered["customer_key"])
        parts.append(gap.agg(["size", "mean", "std"]).add_prefix("gap_"))
        pd.concat(parts, axis=1).astype(dict.fromkeys(sums, np.float32)).to_parquet(out / f"{as_of:%Y-%m-%d}.parquet")
    return n_columns(next(out.glob("*.parquet")))


def n_columns(path: Path) -> int:
    import pyarrow.parquet as pq

    return len(pq.read_schema(path).names)
