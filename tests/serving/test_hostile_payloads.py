"""What nobody should send: answered with a problem that says what to do, never with a 500."""

from __future__ import annotations

import gzip
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from features.workspace import Workspace
from serving.refusals import WrongField

Shop = tuple[str, Workspace]
GOOD = {"customer_id": "c", "placement": "chat_reply", "channel": "web"}
NUMBER = b', "context": {"traits": {"income": %s}}}'
DECISIONS, OUTCOMES = "/v1/decisions", "/v1/outcomes"


def send(address: str, path: str, body: bytes, *, headers: dict[str, str] | None = None, method: str = "POST") -> Any:
    """Status and problem of one raw request."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} | (headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), json.loads(answer.read())
    finally:
        connection.close()


def body(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


@pytest.mark.parametrize(
    ("path", "payload", "status", "says"),
    [
        (DECISIONS, b"", 422, "not JSON"),
        (DECISIONS, b"{", 422, "not JSON"),
        (DECISIONS, b'{"customer_id": ' + b"9" * 5_000 + b"}", 422, "not JSON"),
        (DECISIONS, b"null", 422, "object"),
        (DECISIONS, b"[]", 422, "object"),
        (DECISIONS, b'"c"', 422, "object"),
        (DECISIONS, b"\xff\xfe\x00", 422, "not JSON"),
        (DECISIONS, b'{"customer_id": ' + b"[" * 100_000, 422, "not JSON"),
        (DECISIONS, body(customer_id=""), 422, "/customer_id"),
        (DECISIONS, body(customer_id="x" * 10_240), 422, "10240 characters long; at most 256"),
        (DECISIONS, body(customer_id=7), 422, "/customer_id"),
        (DECISIONS, body(customer_id="a\u0000b"), 422, "printable"),
        (DECISIONS, body(customer_id="a\ud800"), 422, ""),
        (DECISIONS, body(placement="chat_repli"), 422, "Closest: 'chat_reply'"),
        (DECISIONS, body(channel="wep"), 422, "Closest: 'web'"),
        (DECISIONS, body(channel="email"), 422, "There are: line, web, whatsapp"),
        (DECISIONS, body(locale="english"), 422, "written like en, hi-IN or hi-Latn"),
        (DECISIONS, body(locale="../../etc"), 422, "/locale"),
        (DECISIONS, body(explain="yes"), 422, "/explain"),
        (DECISIONS, body(explain=1), 422, "/explain"),
        (DECISIONS, body(costumer_id="c"), 422, "Closest: 'customer_id'"),
        (DECISIONS, body(decision_id="a b"), 422, "an id of a decision is 1 to 64"),
        (DECISIONS, body(context={"traits": {"skin_need": {"a": 1}}}), 422, "/context/traits/skin_need"),
        (DECISIONS, body(context={"traits": {"skin_need": None}}), 422, "/context/traits/skin_need"),
        (DECISIONS, body(context={"traits": {"interests": ["skincare", "cars"]}}), 422, "list of these"),
        (DECISIONS, body(context={"traits": {"interests": "skincare"}}), 422, "list of these"),
        (DECISIONS, body(context={"traits": {"birthday": "yesterday"}}), 422, "a date such as"),
        (DECISIONS, body(context={"traits": {"income": True}}), 422, "a number"),
        (DECISIONS, body(context={"traits": {str(n): 1 for n in range(100)}}), 422, "/context/traits"),
        (DECISIONS, body(context={"inbound_text": "x" * 5_000}), 422, "at most 4096"),
        (
            DECISIONS,
            json.dumps(GOOD).replace("}", ', "context": {"traits": {"income": NaN}}}').encode(),
            422,
            "/context/traits/income: is nan",
        ),
        (DECISIONS, json.dumps(GOOD).replace("}", ', "context": {"traits": {"income": 1e999}}}').encode(), 422, ""),
        (DECISIONS, json.dumps(GOOD)[:-1].encode() + NUMBER % (b"9" * 400), 422, "a number between"),
        (DECISIONS, json.dumps(GOOD)[:-1].encode() + NUMBER % b"1e300", 422, "a number between"),
        (OUTCOMES, b"[" * 100_000, 422, "nested too deeply"),
        (OUTCOMES, b"[" * 900 + b"]" * 900, 422, "/0"),
        (OUTCOMES, b"[]", 422, "holds 0 outcomes"),
        (OUTCOMES, b"[" + b",".join([b'{"customer_id":"c","outcome":"clicked"}'] * 1_001) + b"]", 422, "1 to 1000"),
        (OUTCOMES, b'[1, "a", null]', 422, "/0"),
        (OUTCOMES, b'{"customer_id": "c", "outcome": "boughtt"}', 422, "/outcome"),
        (
            OUTCOMES,
            b'{"customer_id": "c", "outcome": "clicked", "value": 1}',
            422,
            "belongs to the outcome 'converted'",
        ),
        (OUTCOMES, b'{"customer_id": "c", "outcome": "converted", "value": -1}', 422, "/value"),
        (OUTCOMES, b'{"customer_id": "c", "outcome": "converted", "value": "1"}', 422, "/value"),
        (OUTCOMES, b'{"customer_id": "c", "outcome": "converted", "occurred_at": "2026-01-01"}', 422, "/occurred_at"),
        (OUTCOMES, b'{"customer_id": "c", "outcome": "clicked", "occurred_at": "2999-01-01T00:00:00Z"}', 422, "future"),
        (OUTCOMES, b'{"outcome": "clicked"}', 422, "exactly one"),
        (OUTCOMES, b'{"decision_id": "nope", "outcome": "clicked"}', 404, "there is no decision 'nope'"),
    ],
    ids=range(47),
)
def test_it_is_answered_with_a_problem_that_says_what_is_wrong(
    served_shop: Shop, path: str, payload: bytes, status: int, says: str
) -> None:
    found, content_type, told = send(served_shop[0], path, payload)
    assert (found, content_type) == (status, "application/problem+json"), told
    assert says in told["detail"]
    assert told["request_id"]
    assert len(json.dumps(told)) < 20_000


def test_a_body_over_the_limit_is_413_whether_it_says_its_length_or_not(served_shop: Shop) -> None:
    address, _ = served_shop
    large = body(context={"inbound_text": "x" * 600_000})
    assert send(address, DECISIONS, large)[0] == 413
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    pieces = (large[start : start + 50_000] for start in range(0, len(large), 50_000))
    connection.request("POST", DECISIONS, pieces, {"Content-Type": "application/json"}, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (413, "application/problem+json")
    connection.close()


def test_only_json_is_taken_so_that_no_other_sites_page_can_post_here(served_shop: Shop) -> None:
    status, _, told = send(served_shop[0], DECISIONS, body(), headers={"Content-Type": "text/plain"})
    assert status == 415
    assert "Content-Type: application/json" in told["detail"]


def test_another_method_is_405_and_says_which_one_is_taken(served_shop: Shop) -> None:
    status, _, told = send(served_shop[0], DECISIONS, b"", method="GET")
    assert status == 405
    assert "POST" in told["detail"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/report", "/v1/customers/nobody"])
def test_head_is_get_without_its_body(served_shop: Shop, path: str) -> None:
    by_get, by_head = (looked(served_shop[0], path, method=method) for method in ("GET", "HEAD"))
    assert by_head[:2] == by_get[:2]
    assert by_get[2]
    assert not by_head[2]


def test_head_of_what_only_takes_a_body_is_405(served_shop: Shop) -> None:
    assert looked(served_shop[0], DECISIONS, method="HEAD")[0] == 405


def looked(address: str, path: str, *, method: str) -> tuple[int, str | None, bytes]:
    """Status, type and body of a request without one."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()
    finally:
        connection.close()


def test_a_body_of_gzip_is_told_where_it_is_taken(served_shop: Shop) -> None:
    status, _, told = send(served_shop[0], DECISIONS, gzip.compress(body()), headers={"Content-Encoding": "gzip"})
    assert status == 415
    assert "Send it plain" in told["detail"]


@pytest.mark.parametrize("customer_id", ["' OR 1=1 --", "{{7*7}}", "ลูกค้า", "a" * 256, "../../x", "%00"])
def test_strange_but_valid_ids_are_just_customers(served_shop: Shop, customer_id: str) -> None:
    status, _, told = send(served_shop[0], DECISIONS, body(customer_id=customer_id))
    assert (status, told["customer_id"]) == (200, customer_id)


def test_a_fault_of_the_whole_body_is_told_without_a_place() -> None:
    assert f"{WrongField('', 'the body is not JSON: EOF.')}" == "the body is not JSON: EOF."
    assert f"{WrongField('', 'is not a JSON object.')}" == "the body is not a JSON object."
    assert f"{WrongField('/batch', 'is empty.')}" == "/batch: is empty."
