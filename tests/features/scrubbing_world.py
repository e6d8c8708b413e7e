"""Ann and Bob, of whom the same is stored, and all that is stored of somebody."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from experiments.records import SCHEMA as LEDGER
from features.by_customer import ByCustomer, ensure_by_customer
from features.database import connect, create_tables
from features.event_log import EventLog
from features.identity import IdentityTable
from features.snapshots import build_snapshot, snapshot_path
from features.texts import write_text
from features.workspace import Workspace
from serving.ledger_rows import STATISTICS_SCHEMA

Event = dict[str, Any]
PERSONALISATION = '{"purpose":"personalisation"}'
TOLD = {"question": "What does it need?", "notice_version": "7"}
ANN, BOB, DEVICE = 1, 2, 9


def a_shop_of_two(a_workspace: Callable[..., Workspace], an_event: Callable[..., Event], noon: datetime) -> Workspace:
    """Ann and Bob told the same, in the lake and in the log; Ann also on a device. Ann withdraws the purpose."""
    said = {"trait": "skin_need", "answer": "acne", "channel": "web", "properties": json.dumps(TOLD)}
    traits = json.dumps({"income": 5, "locale": "hi-IN", "_told": {"notice_version": "7"}})
    events = [
        one
        for key in (ANN, BOB)
        for one in (
            an_event(key, "Question Answered", days_ago=30, **said),
            an_event(key, "identify", days_ago=29, properties=traits),
            an_event(key, "Product Viewed", days_ago=28, products=[{"product_id": "p", "category": "skincare"}]),
        )
    ]
    workspace = a_workspace([*events, an_event(DEVICE, "Question Answered", days_ago=27, **said)])
    later = {"trait": "interests", "answer": '["makeup"]'}
    with closing(connect(workspace.database)) as connection:
        create_tables(connection, LEDGER + STATISTICS_SCHEMA)
        identity = IdentityTable(connection)
        with connection:
            connection.executemany("INSERT INTO customer_merges VALUES (NULL, ?, ?, ?, 'alias')", [(DEVICE, ANN, 1)])
        assert identity.keys_of(ANN) == (ANN, DEVICE)
        log = [an_event(key, "Question Answered", days_ago=9, **later) for key in (ANN, BOB)]
        EventLog(connection).append(log)
        for key in (ANN, BOB):
            with connection:
                at = int((noon - timedelta(days=8)).timestamp() * 1e6)
                write_text(connection, customer_key=key, trait="wish", value="rain", event_id=f"t{key}", said_at_us=at)
                connection.execute("UPDATE texts SET purpose = 'personalisation'")
            decide(connection, key, f"d{key}", noon - timedelta(days=7))
    ensure_by_customer(workspace)
    for days in (10, 1):
        build_snapshot(workspace, noon - timedelta(days=days))
    with closing(connect(workspace.database)) as connection:
        stop = an_event(ANN, "Consent Withdrawn", days_ago=0.5, properties=PERSONALISATION)
        EventLog(connection).append([stop])
        decide(connection, ANN, "d-after", noon)
    return workspace


def decide(connection: Any, key: int, decision_id: str, at: datetime) -> None:
    """A decision of which the record and the kept answer speak of what was declared."""
    suppressed = [{"action_id": "a", "rule": "when", "detail": "skin_need == 'dryness'"}]
    suppressed.append({"action_id": "b", "rule": "when", "detail": "n_orders > 1.0"})
    record: dict[str, Any] = {"decision_id": decision_id, "suppressed": suppressed, "distribution": {"skin_need": 1.0}}
    record["inputs"] = {"skin_need": "acne", "trait_skin_need": 1, "n_orders": 2}
    answer = {"message": {"body": "For your acne."}, "suppressed": suppressed, "holdout": False}
    at_us = int(at.timestamp() * 1e6)
    columns: tuple[object, ...] = (
        decision_id,
        key,
        at_us,
        "chat_reply",
        "web",
        "customer",
        None,
        None,
        "personalised",
        0.9,
        "greedy",
    )
    columns += ("skin_need", 1.0, None, "{}", None, "awareness", None, None, json.dumps(record))
    with connection:
        there = [row[1] for row in connection.execute("PRAGMA table_info(decisions)")][: len(columns)]
        connection.execute(
            f"INSERT INTO decisions ({', '.join(there)}) VALUES ({', '.join('?' * len(columns))})", columns
        )
        connection.execute("INSERT INTO answers VALUES (?, ?, 'x', ?)", (decision_id, key, json.dumps(answer)))


def everything(workspace: Workspace, keys: tuple[int, ...]) -> str:
    """All that is stored of these customers, as one text."""
    found: list[Any] = ByCustomer.open(workspace).events(keys).to_pylist()
    for path in sorted(workspace.lake.rglob("*.parquet")):
        if "customer_key" in pq.read_schema(path).names:
            found += pq.read_table(path, partitioning=None, filters=[("customer_key", "in", set(keys))]).to_pylist()
    with closing(connect(workspace.database)) as connection:
        marks = ", ".join(map(str, keys))
        for table in ("event_log", "texts", "decisions", "answers"):
            found += connection.execute(f"SELECT * FROM {table} WHERE customer_key IN ({marks})").fetchall()
    known = [
        {name: value for name, value in one.items() if value is not None} if isinstance(one, dict) else one
        for one in found
    ]
    return "\n".join(map(str, known))


def rows(workspace: Workspace, at: datetime, key: int) -> dict[str, Any]:
    table = pq.read_table(snapshot_path(workspace, at), partitioning=None)
    (row,) = table.filter(pc.equal(table["customer_key"], key)).to_pylist()
    return dict(row)
