"""Segment's own client libraries, pointed at this service, work unchanged."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from segment.analytics.client import Client

from features.owners import persons
from features.workspace import Workspace
from tests.serving.test_served_http import asked, call

Shop = tuple[str, Workspace]
NODE_PACKAGE = "@segment/analytics-node@3.1.0"
NODE_FOLDER = Path(__file__).parents[2] / "build" / "segment-node-3.1.0"

NODE_SCRIPT = """
const { Analytics } = require('@segment/analytics-node');
const [address, user] = process.argv.slice(2);
const analytics = new Analytics({ writeKey: 'any-key', host: address, flushAt: 4, flushInterval: 200 });
const answers = [], faults = [];
analytics.on('http_response', (response) => answers.push(response.status));
analytics.on('error', (fault) => faults.push(String(fault.reason || fault)));
analytics.page({ anonymousId: user + '-device', name: 'Home',
  context: { page: { url: 'https://shop.example/?gclid=abc', referrer: 'https://www.google.com/' } } });
analytics.identify({ userId: user, anonymousId: user + '-device', traits: { skin_need: 'acne', unheard_of: 1 } });
analytics.track({ userId: user, event: 'Order Completed', timestamp: new Date(Date.now() - 60000),
  properties: { order_id: 'node-1', total: 499.5, currency: 'INR', products: [{ product_id: 'p1', price: 499.5 }] } });
analytics.screen({ userId: user, name: 'Cart' });
analytics.group({ userId: user, groupId: 'family' });
analytics.alias({ userId: user, previousId: user + '-old' });
analytics.closeAndFlush({ timeout: 20000 }).then(() => console.log(JSON.stringify({ answers, faults })));
"""


def events_of(workspace: Workspace, user: str) -> list[dict[str, Any]]:
    """What the log holds of a person, oldest first: of a device that was joined too, whichever batch came first."""
    query = "SELECT customer_key, payload, occurred_at, received_at FROM event_log ORDER BY log_seq"
    named = "SELECT customer_key FROM identity WHERE kind = 'user' AND customer_id = ?"
    with closing(sqlite3.connect(workspace.database)) as connection:
        rows = connection.execute(query).fetchall()
        (key,) = connection.execute(named, (user,)).fetchone()
    joined = persons(workspace)
    who = joined.get(key, key)
    return [
        json.loads(payload) | {"occurred_us": occurred, "received_us": received}
        for one, payload, occurred, received in rows
        if joined.get(one, one) == who
    ]


def dead_letters(workspace: Workspace) -> int:
    with closing(sqlite3.connect(workspace.database)) as connection:
        made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'dead_letters'").fetchone()
        return connection.execute("SELECT count(*) FROM dead_letters").fetchone()[0] if made else 0


def declared_of(address: str, user: str) -> dict[str, Any]:
    """What a customer has declared, after a decision: which brings their row up to what was acknowledged."""
    assert call(f"{address}/v1/decisions", asked(user))[0] == 200
    return {name: one["value"] for name, one in call(f"{address}/v1/customers/{user}")[2]["declared"].items()}


def tell_everything(client: Client, user: str) -> None:
    now = datetime.now(UTC)
    page = {"url": "https://shop.example/?gclid=abc", "referrer": "https://www.google.com/"}
    client.page(anonymous_id=f"{user}-device", name="Home", context={"page": page})
    client.identify(user, {"skin_need": "acne", "unheard_of": 1}, anonymous_id=f"{user}-device")
    order = {"order_id": "py-1", "total": 499.5, "currency": "INR", "when": now, "odd": float("nan")}
    client.track(user, "Order Completed", order, timestamp=now - timedelta(minutes=1))
    client.screen(user, name="Cart")
    client.group(user, "family")
    client.alias(f"{user}-old", user)


def assert_everything_is_there(shop: Shop, user: str) -> None:
    address, workspace = shop
    events = events_of(workspace, user)
    # The first page was the device's, whose history became the user's; a group is no event of a customer.
    assert sorted(event["event"] for event in events) == sorted(
        ["Page Viewed", "identify", "Order Completed", "Page Viewed", "alias"]
    )
    assert {event.get("source") for event in events if event["event"] == "Page Viewed"} == {"google / cpc", "unknown"}
    order = next(event for event in events if event["event"] == "Order Completed")
    assert (order["total"], order["currency"]) == (499.5, "INR")
    assert 50e6 < order["received_us"] - order["occurred_us"] < 70e6
    assert declared_of(address, user) == {"skin_need": "acne"}


@pytest.mark.parametrize(
    "options",
    [{}, {"gzip": True}, {"sync_mode": True}, {"upload_size": 1}],
    ids=["in batches", "gzip", "one call a request", "batches of one"],
)
def test_the_python_client_works_unchanged(served_shop: Shop, options: dict[str, Any]) -> None:
    address, workspace = served_shop
    faults: list[object] = []
    before = dead_letters(workspace)
    user = f"segment-python-{'-'.join(options) or 'plain'}"
    client = Client("any-key", host=address, on_error=lambda fault, _: faults.append(fault), **options)
    tell_everything(client, user)
    if not options.get("sync_mode"):
        client.flush()
        client.join()
    assert faults == []
    assert dead_letters(workspace) == before
    assert_everything_is_there(served_shop, user)


def test_the_python_clients_largest_batch_is_taken(served_shop: Shop) -> None:
    address, workspace = served_shop
    faults: list[object] = []
    client = Client("any-key", host=address, on_error=lambda fault, _: faults.append(fault), upload_interval=2)
    for n in range(17):  # sixteen of almost 32 KB pass 500,000 bytes, and only then the client cuts
        client.track("segment-large", "Note Taken", {"n": n, "text": "x" * 31_900})
    client.flush()
    client.join()
    assert faults == []
    assert len(events_of(workspace, "segment-large")) == 17


def test_what_the_python_client_sends_again_is_taken_once(served_shop: Shop) -> None:
    address, workspace = served_shop
    client = Client("any-key", host=address, sync_mode=True)
    for _ in range(3):
        client.track("segment-again", "Note Taken", message_id="the-same-note")
    assert len(events_of(workspace, "segment-again")) == 1


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], dict[str, Any]]:
    """Runs the script against an address, with Segment's package for Node; installed once, kept under build/."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        reason = "There is no npm and node here, which Segment's package for Node needs."
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    if not (NODE_FOLDER / "node_modules" / "@segment" / "analytics-node").is_dir():
        _install_node_package()
    script = tmp_path_factory.mktemp("node") / "tell.js"
    script.write_text(NODE_SCRIPT)

    def run(address: str, user: str) -> dict[str, Any]:
        ran = subprocess.run(
            ["node", str(script), address, user],
            env=os.environ | {"NODE_PATH": str(NODE_FOLDER / "node_modules")},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, ran.stderr
        told: dict[str, Any] = json.loads(ran.stdout)
        return told

    return run


def _install_node_package() -> None:
    """Into a folder of its own, then renamed: a run that is interrupted leaves no half of it."""
    partial = NODE_FOLDER.with_name(f"{NODE_FOLDER.name}.{os.getpid()}")
    partial.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--prefix", str(partial)]
    subprocess.run([*command, NODE_PACKAGE], check=True, capture_output=True, timeout=240)
    try:
        partial.rename(NODE_FOLDER)
    except OSError:  # another run was faster
        shutil.rmtree(partial)


def test_the_node_client_works_unchanged(served_shop: Shop, node: Callable[[str, str], dict[str, Any]]) -> None:
    address, workspace = served_shop
    before = dead_letters(workspace)
    told = node(address, "segment-node")
    assert told == {"answers": [202, 202], "faults": []}
    assert dead_letters(workspace) == before
    assert_everything_is_there(served_shop, "segment-node")


def test_a_gzipped_batch_of_a_client_that_knows_nothing_of_us_is_taken(served_shop: Shop) -> None:
    address, workspace = served_shop
    batch = {"batch": [{"type": "track", "userId": "segment-gzip", "event": "X", "messageId": "gz-1"}], "writeKey": "k"}
    body = gzip.compress(json.dumps(batch).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "Authorization": "Basic azo="}
    status, _, told = call(f"{address}/v1/batch", body, headers=headers)
    assert (status, told["accepted"]) == (202, 1), told
    assert [event["event"] for event in events_of(workspace, "segment-gzip")] == ["X"]
