"""A conversation as it happens: said, bought, signed in, run over night, erased; all over HTTP and the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.shop import RAPPORT, Shop, free_port, run, wait_until_ready

PLACE = {"placement": "chat_reply", "channel": "web"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with a history: a few hundred customers, imported; no night has run yet."""
    folder = tmp_path_factory.mktemp("live")
    shop = Shop.opened(folder / "shop", currency="INR", time_zone="Asia/Kolkata")
    export = folder / "export"
    run("simulate", "--out", str(export), "--customers", "300", "--days", "120", "--seed", "3")
    shop.run("import", str(export / "events.parquet"), "--mapping", str(export / "mapping.yaml"))
    return shop


@dataclass
class Again:
    """The shop as it is served a second time."""

    client: httpx.Client
    port: int
    command: list[str]
    server: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def again(shop: Shop) -> Iterator[Again]:
    """By two workers, which take no event that is older than a month; started when it is first asked for."""
    port = free_port()
    command = [str(RAPPORT), "serve", "--workspace", str(shop.workspace), "--port", str(port)]
    log = shop.workspace / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {"RAPPORT_INGEST_PAST_DAYS": "30"}
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
            wait_until_ready(client, server=server, log=log)
            yield Again(client, port, command, server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


def test_a_conversation_counts_at_once_survives_the_night_and_can_be_forgotten(
    shop: Shop, request: pytest.FixtureRequest
) -> None:
    with shop.served() as client:
        asked = ask(client, None, anonymous_id="device-7", locale="hi-IN")
        assert asked["stage"] == "awareness"

        sent(client, [question(), cart()])
        assert ask(client, None, anonymous_id="device-7", locale="hi-IN")["stage"] == "consideration"
        assert declared(client, "device-7") == "dryness"
        sent(client, [{"type": "identify", "anonymousId": "device-7", "userId": "meera", "messageId": "m-join"}])
        assert declared(client, "meera") == "dryness"

        sent(client, [order("meera", "o-1")])
        assert ask(client, "meera")["stage"] == "conversion"
        assert sent(client, [order("meera", "o-1")]) == ["duplicate"]

        night = shop.json("run")  # while the server goes on
        assert night["is_whole"], night
        assert {"sync", "scrub", "build", "train", "materialize", "report"} <= {step["name"] for step in night["steps"]}
        assert ask(client, "meera")["stage"] == "conversion"
        sent(client, [order("meera", "o-2")])
        assert ask(client, "meera")["stage"] == "loyalty"

        sent(client, [withdrawal("meera")])
        assert declared(client, "meera") is None

        (traits,) = client.get("/v1/customers/meera/traits").json()["traits"]
        assert (traits["withdrawn_by"], traits["value"]) == ("purpose", None)

    exported = json.loads(shop.run("customer", "export", "meera"))
    assert "o-2" in json.dumps(exported)
    receipt = shop.json("customer", "erase", "meera")
    assert receipt["finished_at"]
    assert nowhere(shop.workspace, b"device-7", b"meera")
    served: Again = request.getfixturevalue("again")
    assert served.client.get("/v1/customers/meera").status_code == 404
    assert ask(served.client, "meera")["stage"] == "awareness"


def test_how_old_an_event_may_be_is_the_shops_to_say(again: Again) -> None:
    event = {"type": "track", "userId": "old", "event": "Page Viewed", "messageId": "m-old"}
    long_ago = (datetime.now(UTC) - timedelta(days=60)).isoformat()
    answer = again.client.post("/v1/batch", json={"batch": [event | {"timestamp": long_ago}]})
    assert [one["status"] for one in answer.json()["events"]] == ["dead_lettered"]
    assert "time_too_long_ago" in answer.text


def test_workers_do_not_outlive_their_server(again: Again) -> None:
    assert "cannot be listened on" in subprocess.run(again.command, capture_output=True, text=True).stderr
    again.server.kill()
    again.server.wait(timeout=30)
    until = time.monotonic() + 60
    while (busy := is_taken(again.port)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not busy


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(client: httpx.Client, customer: str | None, **more: Any) -> dict[str, Any]:
    who = {} if customer is None else {"customer_id": customer}
    answer = client.post("/v1/decisions", json=who | PLACE | more)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def sent(client: httpx.Client, events: list[dict[str, Any]]) -> list[str]:
    answer = client.post("/v1/batch", json={"batch": events})
    assert answer.status_code == 202, answer.text
    verdicts = [event["status"] for event in answer.json()["events"]]
    assert set(verdicts) <= {"accepted", "duplicate"}, answer.text
    return verdicts


def declared(client: httpx.Client, customer: str) -> str | None:
    answer = client.get(f"/v1/customers/{customer}")
    return answer.json()["declared"].get("skin_need", {}).get("value") if answer.status_code == 200 else None


def question() -> dict[str, Any]:
    said = {
        "trait": "skin_need",
        "answer": "dryness",
        "question": "अभी?",
        "channel": "web",
        "conversation_id": "k1",
        "step": "need",
    }
    return {
        "type": "track",
        "anonymousId": "device-7",
        "event": "Question Answered",
        "messageId": "m-q",
        "properties": said,
    }


def cart() -> dict[str, Any]:
    said = {"product_id": "serum-1", "category": "skincare", "price": 499.0}
    return {
        "type": "track",
        "anonymousId": "device-7",
        "event": "Product Added",
        "messageId": "m-c",
        "properties": said,
    }


def order(customer: str, number: str) -> dict[str, Any]:
    said = {
        "order_id": number,
        "total": 499.0,
        "currency": "INR",
        "products": [{"product_id": "serum-1", "price": 499.0}],
    }
    return {
        "type": "track",
        "userId": customer,
        "event": "Order Completed",
        "messageId": f"m-{number}",
        "properties": said,
    }


def withdrawal(customer: str) -> dict[str, Any]:
    said = {"purpose": "personalisation"}
    return {"type": "track", "userId": customer, "event": "Consent Withdrawn", "messageId": "m-w", "properties": said}


def nowhere(workspace: Path, *words: bytes) -> bool:
    """Whether no file of the workspace, whatever it is, holds any of these."""
    time.sleep(0.1)
    found = [
        (path, word)
        for path in workspace.rglob("*")
        if path.is_file() and path.suffix != ".log"
        for word in words
        if word in path.read_bytes()
    ]
    assert not found, found
    return True
