"""Over HTTP, with two workers: an event is sent, its moment comes, its decision is asked for; and reach."""

from __future__ import annotations

import time
from typing import Any

import pytest

from features.workspace import Workspace
from tests.serving.test_served_http import PROBLEM, call

SOON = 20.0


@pytest.fixture
def address(served_shop: tuple[str, Workspace]) -> str:
    return served_shop[0]


def moments(address: str, customers: set[str]) -> list[dict[str, Any]]:
    """What a consumer who follows the cursor gets of these customers, until all are due or SOON has passed."""
    found: list[dict[str, Any]] = []
    since, until = 0, time.monotonic() + SOON
    while len(found) < len(customers) and time.monotonic() < until:
        status, _, told = call(f"{address}/v1/moments?since={since}&limit=2")
        assert status == 200
        found += [one for one in told["moments"] if one["customer_id"] in customers]
        since = told["next"]
        if not told["is_more"]:
            time.sleep(0.05)
    return found


def test_a_messaging_system_learns_who_is_due_and_asks_for_their_decision(address: str) -> None:
    carts = {f"cart-{n}" for n in range(5)}
    for customer in carts:
        event = {"userId": customer, "event": "Product Added", "properties": {"channel": "web"}}
        assert call(f"{address}/v1/track", event)[0] in (200, 202)
    due = moments(address, carts)
    assert sorted(one["customer_id"] for one in due) == sorted(carts)
    assert [one["moment_seq"] for one in due] == sorted({one["moment_seq"] for one in due})
    time.sleep(2)  # both workers have looked again
    assert call(f"{address}/v1/moments?since={due[-1]['moment_seq']}")[2]["moments"] == []
    for one in due:
        asked = {
            "decision_id": f"moment-{one['moment_seq']}",
            "customer_id": one["customer_id"],
            "placement": one["placement"],
            "channel": "line",
        }
        first, again = (call(f"{address}/v1/decisions", asked) for _ in range(2))
        assert first[0] == 200
        assert again[2]["action"] == first[2]["action"]  # a retry of the same moment says nothing else


@pytest.mark.parametrize(
    ("query", "pointer", "says"),
    [
        ("since=-1", "/since", "whole number from 0"),
        ("since=1e3", "/since", "whole number"),
        ("since=99999999999999999999", "/since", "whole number"),
        ("since=4000000000", "/since", "another database"),
        ("limit=0", "/limit", "from 1 to 1000"),
        ("limit=%D9%A3", "/limit", "whole number"),
        ("moment=abandoned_carts", "/moment", "Closest: 'abandoned_cart'"),
        ("sinse=3", "/sinse", "Closest: 'since'"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(address: str, query: str, pointer: str, says: str) -> None:
    status, headers, told = call(f"{address}/v1/moments?{query}")
    assert (status, headers["content-type"]) == (422, PROBLEM)
    (fault,) = told["errors"]
    assert fault["pointer"] == pointer
    assert says in fault["detail"]


def test_reach_is_json_that_sums_to_everybody(address: str) -> None:
    call(f"{address}/v1/track", {"userId": "visitor", "event": "Product Viewed", "properties": {"channel": "web"}})
    status, headers, told = call(f"{address}/v1/reach")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert told["n_customers"] >= 1
    assert {one["channel"] for one in told["channels"]} == {"whatsapp", "line", "email", "web"}
    for one in told["channels"]:
        assert one["reachable_this_week"] + one["not_reachable"] == told["n_customers"]


def test_what_may_be_asked_is_described(address: str) -> None:
    told = call(f"{address}/openapi.json")[2]["paths"]
    assert {one["name"] for one in told["/v1/moments"]["get"]["parameters"]} == {"since", "limit", "moment"}
    assert "/v1/reach" in told
