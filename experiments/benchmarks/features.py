"""Twelve weekly snapshots of every customer: Rapport beside one DuckDB script by hand, polars and pandas.

    python -m experiments.benchmarks.features --events 10000000 --customers 100000

Each contender runs in a process of its own, reads the same Parquet files (the lake's), writes twelve Parquet files, and
reports seconds and its peak resident memory. The hand-written ones make the same windowed counts and sums, lifetime
counts, instants, gaps, baskets, categories, prices and habits; Rapport also makes declared traits, consents and the
last campaign touch, keeps late and corrected events apart, and removes doubled orders.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from features.lake import SQL_TYPES, Lake
from features.snapshots import build_snapshots, weekly
from features.starting import write_starter
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


def generate(workspace: Workspace, *, n_events: int, n_customers: int) -> None:
    """A year of events in the lake: few very active customers, many quiet ones, visits in bursts."""
    write_starter(workspace.root)
    for own in workspace.sql_folder.glob("*.sql"):
        own.unlink()  # nobody else makes the brand's own features
    query = f"""
        WITH drawn AS (
            SELECT range AS n, hash(range) / 18446744073709551615.0 AS u, hash(range + 1) / 18446744073709551615.0 AS w,
                   hash(range // 4, 7) / 18446744073709551615.0 AS visit, hash(range // 4, 9) AS who
            FROM range({n_events})
        ),
        timed AS (
            SELECT *, (pow((who % 1000003) / 1000003.0, 2) * {n_customers})::BIGINT AS customer_key,
                   make_timestamp(({int(END.timestamp())}::BIGINT - 365 * 86400) * 1000000
                       + (visit * 365 * 86400e6)::BIGINT + (n % 4) * 61000000) AS occurred_at,
                   CASE WHEN u < 0.05 THEN 'Order Completed' WHEN u < 0.055 THEN 'Order Refunded'
                        WHEN u < 0.45 THEN 'Product Viewed' WHEN u < 0.55 THEN 'Product Added'
                        WHEN u < 0.76 THEN 'Page Viewed' WHEN u < 0.78 THEN 'Ad Clicked'
                        WHEN u < 0.80 THEN 'Question Answered' WHEN u < 0.93 THEN 'Message Sent'
                        WHEN u < 0.97 THEN 'Message Opened' WHEN u < 0.99 THEN 'Message Clicked'
                        ELSE 'Message Replied' END AS event
            FROM drawn
        ),
        filled AS (
            SELECT *, CASE WHEN event LIKE 'Order%' THEN 'o' || n END AS order_id,
                   CASE WHEN event LIKE 'Order%' THEN round(w * 5000, 2) END AS total,
                   CASE WHEN event = 'Order Completed' THEN [
                            {{product_id: 'p' || n % 500, name: NULL, category: 'c' || n % 7,
                              quantity: 1.0 + n % 3, price: round(w * 1000, 2)}},
                            {{product_id: 'p' || n % 300, name: NULL, category: 'c' || n % 5,
                              quantity: 1.0, price: round(w * 500, 2)}}]
                        WHEN event LIKE 'Product%' THEN [
                            {{product_id: 'p' || n % 500, name: NULL, category: 'c' || n % 7,
                              quantity: 1.0, price: 100.0}}] END AS products,
                   CASE WHEN event = 'Question Answered' THEN 'skin_need' END AS trait,
                   CASE WHEN event = 'Question Answered'
                        THEN (['dryness', 'acne', 'dullness', 'sensitivity'])[1 + n % 4] END AS answer,
                   CASE WHEN event LIKE 'Message%' THEN 'email' END AS channel,
                   CASE WHEN event LIKE 'Message%' THEN 'campaign' || n % 9 END AS campaign,
                   CASE WHEN event LIKE 'Message%' THEN 'action' || n % 9 END AS action_id
            FROM timed
        )
        SELECT 'e' || n AS event_id, customer_key, event, occurred_at, occurred_at AS received_at, true AS backfilled,
               NULL AS superseded_at, order_id, total, 'INR' AS currency, products, trait, answer, channel, campaign,
               NULL AS source, NULL AS conversation_id, NULL AS step, action_id, NULL AS arm,
               NULL AS action_probability, NULL AS outcome, NULL AS value, NULL AS window_days,
               NULL AS properties
        FROM filled
    """
    typed = ", ".join(f"{name}::{kind} AS {name}" for name, kind in SQL_TYPES.items())
    with duckdb.connect() as connection, Lake(workspace.lake).writer() as writer:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '3GB'")
        writer.write_query(connection, f"SELECT {typed} FROM ({query})")


def rapport(workspace: Workspace, out: Path, n_weeks: int) -> int:
    """Ours."""
    paths = build_snapshots(workspace, weekly(END, weeks=n_weeks))
    return _n_columns(paths[-1])


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
    return _n_columns(next(out.glob("*.parquet")))


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
    return _n_columns(next(out.glob("*.parquet")))


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
    return _n_columns(next(out.glob("*.parquet")))


def _peak_kib() -> int:
    """This process's own peak: on Linux ru_maxrss also remembers the parent's, from before exec."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def _n_columns(path: Path) -> int:
    import pyarrow.parquet as pq

    return len(pq.read_schema(path).names)


CONTENDERS = {"rapport": rapport, "duckdb by hand": duckdb_by_hand, "polars": polars, "pandas": pandas}


def measure(name: str, workspace: Workspace, n_weeks: int) -> None:
    """One contender, in this process."""
    out = workspace.root / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    shutil.rmtree(workspace.lake / "snapshots", ignore_errors=True)
    started, cpu = time.perf_counter(), time.process_time()
    n_columns = CONTENDERS[name](workspace, out, n_weeks)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = _peak_kib() / 1024**2
    print(json.dumps({"name": name, "seconds": seconds, "cpu": cpu, "peak_gib": peak, "columns": n_columns}))


def main() -> None:
    """Generates the events once, then runs every contender in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--weeks", type=int, default=12)
    parser.add_argument("--folder", type=Path, help="Where the events are kept between runs.")
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--measure", choices=list(CONTENDERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="rapport-features-"))
    workspace = Workspace(folder)
    if arguments.measure:
        measure(arguments.measure, workspace, arguments.weeks)
        return
    if not workspace.brand_file.is_file():
        started = time.perf_counter()
        generate(workspace, n_events=arguments.events, n_customers=arguments.customers)
        print(f"generated {Lake(workspace.lake).n_events():,} events in {time.perf_counter() - started:.0f} s")
    print(f"{arguments.weeks} weekly snapshots; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'contender':16} {'seconds':>8} {'cpu s':>7} {'peak GiB':>9} {'columns':>8}")
    for name in arguments.only:
        command = [
            sys.executable,
            "-m",
            "experiments.benchmarks.features",
            "--measure",
            name,
            "--folder",
            str(folder),
            "--weeks",
            str(arguments.weeks),
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"{name:16} failed: {run.stderr.strip().splitlines()[-1]}")
            continue
        told = json.loads(run.stdout.strip().splitlines()[-1])
        print(f"{name:16} {told['seconds']:8.1f} {told['cpu']:7.1f} {told['peak_gib']:9.2f} {told['columns']:8}")
    if arguments.folder is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
