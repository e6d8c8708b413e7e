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
from pathlib import Path

import duckdb

from experiments.benchmarks.features_by_hand import END, duckdb_by_hand, n_columns, pandas, polars
from features.lake import SQL_TYPES, Lake
from features.snapshots import build_snapshots, weekly
from features.starting import write_starter
from features.workspace import Workspace


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
    return n_columns(paths[-1])


def _peak_kib() -> int:
    """This process's own peak: on Linux ru_maxrss also remembers the parent's, from before exec."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


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
