"""A mid-size retailer's export: visits of customers who join, come at a rate of their own, and leave without a word.

Two years of page views, product views, carts, orders (one row a line) and messages, as Parquet files with the mapping
that imports them. What somebody does next can be foretold from what they did, though not well; nothing else is
simulated. DuckDB makes it from hashes of row numbers, so the same numbers give the same files.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb

from features.starting import write_starter
from features.workspace import Workspace

END = datetime(2024, 12, 30, tzinfo=UTC)  # a Monday
DAYS = 730
EVENTS_A_VISIT = 4
FILES = 8  # a warehouse unloads several

MAPPING = """\
description: The benchmark's retailer, events as a warehouse unloads them
customer: customer_id
time: time
currency: currency
events:
  - event: Order Completed
    where: event = 'Order Completed'
    group_by: [order_id]
    order_id: order_id
    product: {product_id: product_id, name: product_name, category: category, quantity: quantity, price: price}
  - event: {column: event}
    where: event IN ('Product Viewed', 'Product Added')
    key: message_id
    product: {product_id: product_id, name: product_name, category: category, quantity: quantity, price: price}
  - event: {column: event}
    where: event IN ('Page Viewed', 'Message Sent', 'Message Opened', 'Message Clicked')
    key: message_id
    channel: channel
    campaign: campaign
"""


def write_export(folder: Path, *, n_events: int, n_customers: int) -> None:
    """`events/*.parquet` and `mapping.yaml`; an order counts as one event, however many lines it has."""
    events = folder / "events"
    events.mkdir(parents=True, exist_ok=True)
    n_visits = n_events // EVENTS_A_VISIT
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET threads = 2; SET memory_limit = '3GB'")
        connection.execute(f"SET preserve_insertion_order = false; SET temp_directory = '{folder}/spill'")
        for part in range(FILES):
            start, end = n_visits * part // FILES, n_visits * (part + 1) // FILES
            query = _events(start, end, n_customers=n_customers)
            connection.execute(f"COPY ({query}) TO '{events}/{part}.parquet' (FORMAT parquet, COMPRESSION zstd)")
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")  # the last file: the export is whole


def new_workspace(root: Path, *, horizons_days: tuple[int, ...] = (7, 30, 90)) -> Workspace:
    """The starter brand without features of its own."""
    workspace = Workspace(root)
    write_starter(workspace.root)
    for own in workspace.sql_folder.glob("*.sql"):
        own.unlink()
    text, usual = workspace.brand_file.read_text(encoding="utf-8"), "horizons_days: [7, 30, 90]"
    if usual not in text:
        raise RuntimeError(f"The starter's brand.yaml has no line '{usual}' any more: name its horizons here.")
    workspace.brand_file.write_text(text.replace(usual, f"horizons_days: {list(horizons_days)}"), encoding="utf-8")
    return workspace


def _share(*numbers: object) -> str:
    """SQL for a number in [0, 1) that depends on these only."""
    return f"(hash({', '.join(map(str, numbers))}) % 1000003 / 1000003.0)"


def _events(start: int, end: int, *, n_customers: int) -> str:
    """Rows of the visits from `start` to before `end`.

    Everybody makes one visit, few customers most of the others. One joins in the first twenty months, and leaves after
    a time whose mean is 400 days; every second customer never buys at more than one visit in ten.
    """
    began_us = int(END.timestamp() - DAYS * 86_400) * 1_000_000
    return f"""
        WITH visits AS (
            SELECT range AS visit, CASE WHEN range < {n_customers} THEN range
                   ELSE floor(pow({_share("range", 1)}, 2) * {n_customers})::BIGINT END AS customer
            FROM range({start}, {end})
        ),
        lives AS (
            SELECT *, {_share("customer", 2)} * 600 AS joined,
                   least(joined - 400 * ln(1 - {_share("customer", 3)}) + 1, {DAYS} - 0.1) AS leaves,
                   CASE WHEN {_share("customer", 4)} < 0.5 THEN 0.1 ELSE 0.2 + 0.6 * {_share("customer", 5)} END AS buys
            FROM visits
        ),
        steps AS (
            SELECT *, unnest(range({EVENTS_A_VISIT})) AS step,
                   joined + {_share("visit", 6)} * (leaves - joined) AS day,
                   {_share("visit", 7)} < buys AS is_order, {_share("visit", 8)} AS mood
            FROM lives
        ),
        told AS (
            SELECT *, CASE step
                   WHEN 0 THEN CASE WHEN mood < 0.6 THEN 'Page Viewed' ELSE 'Message Sent' END
                   WHEN 1 THEN CASE WHEN mood < 0.6 THEN 'Product Viewed' WHEN mood < 0.9 THEN 'Message Opened'
                                    ELSE 'Message Clicked' END
                   WHEN 2 THEN CASE WHEN is_order OR mood < 0.2 THEN 'Product Added' ELSE 'Product Viewed' END
                   ELSE CASE WHEN is_order THEN 'Order Completed' ELSE 'Product Viewed' END END AS event,
                   CASE WHEN event = 'Order Completed' THEN 1 + visit % 3 ELSE 1 END AS n_lines
            FROM steps
        ),
        lines AS (SELECT *, unnest(range(n_lines)) AS line FROM told),
        products AS (SELECT *, (pow({_share("visit", "step", "line")}, 2) * 5000)::BIGINT AS product FROM lines)
        SELECT 'c' || customer AS customer_id, event,
               make_timestamp({began_us}::BIGINT + (day * 86400e6)::BIGINT + step * 61000000) AS time,
               'm' || (visit * {EVENTS_A_VISIT} + step) AS message_id, 'INR' AS currency,
               CASE WHEN event = 'Order Completed' THEN 'o' || visit END AS order_id,
               CASE WHEN event LIKE 'Product%' OR event LIKE 'Order%' THEN 'p' || product END AS product_id,
               CASE WHEN product_id IS NOT NULL THEN 'Product ' || product END AS product_name,
               CASE WHEN product_id IS NOT NULL THEN 'category ' || product % 12 END AS category,
               CASE WHEN product_id IS NOT NULL THEN 1 + product % 2 END AS quantity,
               CASE WHEN product_id IS NOT NULL THEN 50 + hash(product) % 2000 END AS price,
               CASE WHEN event LIKE 'Message%' THEN 'email' END AS channel,
               CASE WHEN event LIKE 'Message%' THEN 'campaign ' || visit % 40 END AS campaign
        FROM products
    """
