"""A shop with two customers of whom everything is held that can be: Ann, who will be erased, and Bob, who stays."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import FastAPI

from features.by_customer import ensure_by_customer
from features.contract import EVENT_SCHEMA
from features.database import connect
from features.identity import IdentityTable
from features.lake import Lake
from features.moments.following import follow
from features.moments.rules import MomentRule, moment_rules
from features.moments.table import create
from features.snapshots import build_snapshots
from features.starting import write_starter
from features.workspace import Workspace
from serving.engine import Engine
from serving.http import build_app

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, PHONE, BOB = "ann@example.org", "device-7f3a", "bob@example.org"
SECRET = "my sister Mallika has eczema"
WISH = """
  wish:
    kind: need
    type: text
    purpose: marketing
"""


def ago(days: float) -> datetime:
    return NOON - timedelta(days=days)


@lru_cache(maxsize=1)
def _app() -> FastAPI:
    return build_app()


def call(engine: Engine, method: str, path: str, body: object = None) -> httpx.Response:
    """One request to the app over this engine, without a socket."""
    app = _app()
    app.state.engine = engine

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            return await client.request(method, path, json=body)

    return asyncio.run(ask())


def track(engine: Engine, user: str, event: str, *, days_ago: float, **properties: Any) -> None:
    body = {
        "userId": user,
        "event": event,
        "properties": properties,
        "timestamp": ago(days_ago).isoformat(),
        "messageId": f"{user[:3]}-{event}-{days_ago}",
    }
    answer = call(engine, "POST", "/v1/track", body)
    assert answer.status_code == 202, answer.text


def decide(engine: Engine, user: str, decision_id: str) -> dict[str, Any]:
    asked = {"customer_id": user, "placement": "chat_reply", "channel": "web", "decision_id": decision_id}
    answer = call(engine, "POST", "/v1/decisions", asked | {"explain": True})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def a_shop(root: Path) -> Workspace:
    """The starter with one trait more, of free text."""
    write_starter(root)
    workspace = Workspace(root)
    text = workspace.brand_file.read_text("utf-8")
    assert "\n# What is worth reaching" in text
    text = text.replace("\n# What is worth reaching", WISH + "\n# What is worth reaching", 1)
    workspace.brand_file.write_text(text, "utf-8")
    return workspace


def fill(workspace: Workspace) -> None:
    """Imported history, live events, a device, decisions, outcomes, snapshots, scores, a refused row, a model."""
    with closing(connect(workspace.database)) as connection:
        keys = IdentityTable(connection).keys_for([ANN, BOB])
    _import(workspace, {"ann": int(keys[ANN]), "bob": int(keys[BOB])})
    with Engine(workspace, clock=lambda: NOON) as engine:
        for user in (ANN, BOB):
            track(engine, user, "Question Answered", days_ago=20, trait="skin_need", answer="dryness", question="Need?")
            track(engine, user, "Question Answered", days_ago=20.5, trait="interests", answer=["skincare", "makeup"])
            track(engine, user, "Question Answered", days_ago=19, trait="wish", answer=f"{user}: {SECRET}")
            track(engine, user, "Product Viewed", days_ago=2, products=[{"product_id": "p1", "category": "haircare"}])
        call(engine, "POST", "/v1/page", {"anonymousId": PHONE, "messageId": "page-1", "timestamp": ago(3).isoformat()})
        both = {"userId": ANN, "anonymousId": PHONE, "traits": {"locale": "en-IN"}, "messageId": "join-1"}
        assert call(engine, "POST", "/v1/identify", both).status_code == 202
        broken = {"userId": ANN, "event": "Question Answered", "properties": {"trait": "skin_need", "answer": "x"}}
        call(engine, "POST", "/v1/track", broken | {"messageId": "dead-1"})
        for user in (ANN, BOB):
            told = decide(engine, user, f"decision-of-{user[:3]}")
            outcome = {"decision_id": told["decision_id"], "outcome": "clicked", "outcome_id": f"out-{user[:3]}"}
            assert call(engine, "POST", "/v1/outcomes", outcome).status_code == 200
        track(engine, ANN, "Product Added", days_ago=0.1, products=[{"product_id": "p1"}])
        engine.ledger.write(partial(_arm, rules=moment_rules(workspace, engine.brand)))
        ensure_by_customer(workspace)
        engine.online.materialize(NOON)
    build_snapshots(workspace, [ago(10), ago(1), NOON])
    _score(workspace, [int(key) for key in keys.values()])
    _refuse(workspace)
    _train(workspace)


def _arm(connection: sqlite3.Connection, *, rules: Mapping[str, MomentRule]) -> None:
    create(connection)
    follow(connection, rules, now=int(NOON.timestamp() * 1e6))


def _import(workspace: Workspace, keys: dict[str, int]) -> None:
    """A year of orders each; one of Ann's in two versions."""
    rows = [
        {
            "event_id": f"{name}-order-{days}",
            "customer_key": key,
            "event": "Order Completed",
            "occurred_at": ago(days).replace(tzinfo=None),
            "received_at": ago(days).replace(tzinfo=None),
            "backfilled": True,
            "order_id": f"{name}-{days}",
            "total": 100.0,
            "products": [{"product_id": "p1", "category": "skincare", "quantity": 1.0, "price": 100.0}],
        }
        for name, key in keys.items()
        for days in (300, 200, 100, 50)
    ]
    corrected = rows[0] | {"total": 90.0, "received_at": ago(299).replace(tzinfo=None)}
    with Lake(workspace.lake).writer() as writer:
        writer.write(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
    with Lake(workspace.lake).writer() as writer:
        known_at = pa.array([corrected["received_at"]], pa.timestamp("us"))
        writer.supersede(pa.table({"event_id": [corrected["event_id"]], "known_at": known_at}))
        writer.write(pa.Table.from_pylist([corrected], schema=EVENT_SCHEMA))


def _score(workspace: Workspace, keys: list[int]) -> None:
    folder = workspace.lake / "scores" / "day=2026-03-01"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"customer_key": keys, "segment": ["s1"] * len(keys)}), folder / "scores.parquet")


def _refuse(workspace: Workspace) -> None:
    """What an import would leave: a row of each that had no time."""
    folder = workspace.lake / "quarantine"
    folder.mkdir(parents=True)
    rows = [
        {
            "file": "orders.csv",
            "row_number": n,
            "reason": "bad_time",
            "detail": None,
            "original": json.dumps({"who": who}),
        }
        for n, who in enumerate((ANN, BOB))
    ]
    rows.append({"file": "orders.csv", "row_number": 9, "reason": "bad", "detail": None, "original": f"x;{ANN};y"})
    pq.write_table(pa.Table.from_pylist(rows), folder / "orders-abc.parquet")


def _train(workspace: Workspace) -> None:
    """Two versions: one learned until a year ago, before Ann was known, one until last week."""
    for version, until in (("20250301-aaaa", ago(365)), ("20260222-bbbb", ago(7))):
        folder = workspace.artifacts / "next_purchase" / version
        folder.mkdir(parents=True)
        windows = {"train": [[until.isoformat(), (until + timedelta(days=30)).isoformat()]], "calibrate": []}
        windows["judge"] = [[NOON.isoformat(), NOON.isoformat()]]
        said = {"name": "next_purchase", "version": version, "heads": [{"horizon_days": 30, "windows": windows}]}
        (folder / "model.json").write_text(json.dumps(said), "utf-8")
    champion = {"next_purchase": {"version": "20260222-bbbb", "sha256": "0"}}
    (workspace.artifacts / "champion.json").write_text(json.dumps(champion), "utf-8")


def once_finished(engine: Engine, customer_id: str) -> dict[str, Any]:
    """The receipt, asked for until it is finished in the background."""
    for _ in range(200):
        answer = call(engine, "DELETE", f"/v1/customers/{customer_id}")
        if answer.status_code == 200:
            told: dict[str, Any] = answer.json()
            return told
        time.sleep(0.05)
    raise TimeoutError(customer_id)
