"""Served over HTTP, by the command that serves in earnest, with two workers."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from experiments.records import read_decisions, read_outcomes
from features.brand import load_brand
from features.schema import feature_schema
from features.workspace import Workspace
from serving.metrics import CONTENT_TYPE, NOBODY_LOOKED
from tests.serving.tiny_models import promote_segments

Shop = tuple[str, Workspace]
PROBLEM = "application/problem+json"


def call(
    url: str, body: object = None, *, method: str | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON (or text) of one request; never raises for a status."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} | (headers or {})
    request = urllib.request.Request(url, data=data, headers=sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status, found, content = answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        status, found, content = error.code, dict(error.headers), error.read()
    found = {name.lower(): value for name, value in found.items()}
    text = content.decode()
    return status, found, json.loads(text) if "json" in found.get("content-type", "") else text


def asked(customer_id: str, **changes: object) -> dict[str, object]:
    return {"customer_id": customer_id, "placement": "chat_reply", "channel": "web", "locale": "en"} | changes


def worth_in(told: dict[str, Any]) -> dict[str, float]:
    return {one["action_id"]: one["value"] for one in told["ranking"]}


def worth(address: str, customer_id: str) -> dict[str, float]:
    """The values of the least informed of some answers: two workers take turns as they like."""
    answers = [worth_in(call(f"{address}/v1/decisions", asked(customer_id))[2]) for _ in range(4)]
    return {action: min(one[action] for one in answers) for action in answers[0]}


def test_with_no_data_and_no_model_it_decides_explores_and_learns_from_the_first_outcome(served_shop: Shop) -> None:
    address, _ = served_shop
    decisions = [call(f"{address}/v1/decisions", asked(f"new-{n}"))[2] for n in range(6)]
    assert all(len(told["ranking"]) > 1 for told in decisions)
    assert all(ranked["probability"] > 0 for told in decisions for ranked in told["ranking"])
    assert all(told["message"]["body"] and told["fallback_reason"] == "unknown_customer" for told in decisions)
    first = next(told for told in decisions if not told["holdout"])
    status, _, recorded = call(
        f"{address}/v1/outcomes", {"decision_id": first["decision_id"], "outcome": "converted", "value": 900.0}
    )
    assert (status, recorded["status"], recorded["joined_by"]) == (200, "recorded", "decision_id")
    taken, until = first["action"]["id"], time.monotonic() + 5
    while worth(address, first["customer_id"])[taken] <= worth_in(first)[taken]:
        assert time.monotonic() < until, "a worker has not learned from the outcome"
        time.sleep(0.05)


def test_what_is_answered_is_in_the_ledger(served_shop: Shop) -> None:
    address, workspace = served_shop
    told = call(f"{address}/v1/decisions", asked("written"))[2]
    rows = read_decisions(workspace.database).set_index("decision_id")
    assert rows.loc[told["decision_id"], "action_id"] == told["action"]["id"]


def test_outcomes_come_as_a_list_and_are_written_once(served_shop: Shop) -> None:
    address, workspace = served_shop
    decision_id = call(f"{address}/v1/decisions", asked("listed"))[2]["decision_id"]
    reports = [
        {"decision_id": decision_id, "outcome": "delivered", "outcome_id": "listed-1"},
        {"customer_id": "listed", "outcome": "clicked", "outcome_id": "listed-2"},
    ]
    first = call(f"{address}/v1/outcomes", reports)[2]["outcomes"]
    again = call(f"{address}/v1/outcomes", reports)[2]["outcomes"]
    assert [one["status"] for one in first] == ["recorded", "recorded"]
    assert [one["joined_by"] for one in first] == ["decision_id", "attribution_window"]
    assert [one["status"] for one in again] == ["duplicate", "duplicate"]
    assert read_outcomes(workspace.database)["outcome_id"].isin(["listed-1", "listed-2"]).sum() == 2


def test_one_wrong_outcome_of_a_list_is_pointed_at_and_nothing_is_written(served_shop: Shop) -> None:
    address, workspace = served_shop
    decision_id = call(f"{address}/v1/decisions", asked("pointed"))[2]["decision_id"]
    reports = [
        {"decision_id": decision_id, "outcome": "clicked", "outcome_id": "pointed-1"},
        {"decision_id": decision_id, "outcome": "converted", "goal": "ordr"},
        {"decision_id": "nope", "outcome": "clikked"},
    ]
    status, _, told = call(f"{address}/v1/outcomes", reports)
    assert status == 422
    assert [error["pointer"] for error in told["errors"]] == ["/2/outcome"]
    status, _, told = call(f"{address}/v1/outcomes", reports[:2])
    assert [error["pointer"] for error in told["errors"]] == ["/1/goal"]
    assert "Closest: 'order'" in told["detail"]
    assert not read_outcomes(workspace.database)["outcome_id"].eq("pointed-1").any()


def test_what_is_known_of_a_customer_and_of_a_decision_can_be_read(served_shop: Shop) -> None:
    address, _ = served_shop
    told = call(f"{address}/v1/decisions", asked("shop/ระ 7"))[2]
    status, _, customer = call(f"{address}/v1/customers/shop/%E0%B8%A3%E0%B8%B0%207")
    assert (status, customer["customer_id"]) == (200, "shop/ระ 7")
    assert customer["decisions"][0]["decision_id"] == told["decision_id"]
    status, _, decision = call(f"{address}/v1/decisions/{told['decision_id']}")
    assert (status, decision["customer_id"], decision["action_id"]) == (200, "shop/ระ 7", told["action"]["id"])
    assert "customer_key" not in decision
    assert call(f"{address}/v1/customers/nobody")[0] == 404
    assert call(f"{address}/v1/decisions/nothing")[0] == 404


def test_the_message_speaks_the_customers_language(served_shop: Shop) -> None:
    address, _ = served_shop
    for locale, used in (("hi-IN", "hi"), ("th-TH", "th"), ("fr", "en"), ("hi-Latn", "en")):
        told = call(f"{address}/v1/decisions", asked("reader", locale=locale))[2]
        assert told["locale"] == {"asked": locale, "used": used}


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/assets/swagger-ui.css", "/docs/assets/swagger-ui-bundle.js"])
def test_the_pages_load_nothing_from_elsewhere(served_shop: Shop, path: str) -> None:
    status, _, text = call(f"{served_shop[0]}{path}")
    assert status == 200
    if not path.startswith("/docs/assets"):
        assert "https://" not in text
        assert "googletagmanager" not in text


def test_openapi_describes_the_requests(served_shop: Shop) -> None:
    schema = call(f"{served_shop[0]}/openapi.json")[2]
    body = schema["paths"]["/v1/decisions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/DecisionRequest"}
    asked = schema["components"]["schemas"]["DecisionRequest"]["properties"]
    assert {"placement", "channel", "placements", "limit", "dry_run", "defer"} <= set(asked)
    text = json.dumps(schema)
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= set(schema["components"]["schemas"])


def test_health_is_told_by_us_and_not_by_the_server_around_us(served_shop: Shop) -> None:
    address, _ = served_shop
    assert call(f"{address}/livez")[2] == {"status": "alive"}
    assert call(f"{address}/readyz")[2]["status"] == "ready"
    for path in ("/schema.json", "/docs.json", "/v1/decisionz"):
        status, headers, _ = call(f"{address}{path}")
        assert (status, headers["content-type"]) == (404, PROBLEM)
    status, headers, text = call(f"{address}/metrics")
    assert (status, headers["content-type"]) == (200, CONTENT_TYPE)
    assert text == NOBODY_LOOKED  # ours, and not that of the server around us


def test_the_callers_request_id_comes_back_and_a_wild_one_is_replaced(served_shop: Shop) -> None:
    address, _ = served_shop
    _, headers, told = call(f"{address}/v1/nowhere", headers={"X-Request-Id": "trace-7"})
    assert (headers["x-request-id"], told["request_id"]) == ("trace-7", "trace-7")
    _, headers, _ = call(f"{address}/livez", headers={"X-Request-Id": "a b<script>"})
    assert headers["x-request-id"] != "a b<script>"


def test_the_report_is_a_page(served_shop: Shop) -> None:
    status, headers, text = call(f"{served_shop[0]}/report?locale=en")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert "<html" in text


def test_the_audience_of_a_segment_that_nobody_scored_is_a_problem(served_shop: Shop) -> None:
    status, headers, told = call(f"{served_shop[0]}/report/audience/s99.csv")
    assert (status, headers["content-type"]) == (404, PROBLEM)
    assert "rapport score" in told["detail"]


def test_a_new_champion_is_picked_up_by_every_worker_without_a_failed_request(served_shop: Shop) -> None:
    address, workspace = served_shop
    statuses: list[int] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            statuses.append(call(f"{address}/v1/decisions", asked("loaded"))[0])

    asking = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in asking:
        thread.start()
    schema = feature_schema(load_brand(workspace), workspace)
    version = promote_segments(workspace.artifacts, schema)
    told_segment = {"context": {"traits": {"skin_need": "acne"}}}
    seen: list[str | None] = []
    until = time.monotonic() + 30
    while seen[-25:] != [version] * 25 and time.monotonic() < until:
        seen.append(call(f"{address}/v1/decisions", asked("told", **told_segment))[2]["versions"].get("segments"))
    stop.set()
    for thread in asking:
        thread.join()
    assert seen[-25:] == [version] * 25
    assert set(statuses) == {200}


def test_two_workers_write_one_ledger_without_losing_a_row(served_shop: Shop) -> None:
    address, workspace = served_shop
    answered: list[str] = []

    def ask(worker: int) -> None:
        for n in range(25):
            answered.append(call(f"{address}/v1/decisions", asked(f"many-{worker}-{n}"))[2]["decision_id"])

    threads = [threading.Thread(target=ask, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sqlite3.connect(workspace.database) as connection:
        written = {row[0] for row in connection.execute("SELECT decision_id FROM decisions")}
    connection.close()
    assert len(answered) == 150
    assert set(answered) <= written


def test_nothing_is_written_into_the_folder_but_state(served_shop: Shop) -> None:
    _, workspace = served_shop
    there = {path.name for path in Path(workspace.root).iterdir()}
    assert there <= {"brand.yaml", "catalogue.yaml", "features", "state", "artifacts", "lake", "server.log"}
