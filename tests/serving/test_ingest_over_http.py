"""Live events over HTTP, with two workers: the routes, whole requests that are refused, and what nobody should send."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import subprocess
import threading
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from features.workspace import Workspace
from serving.ingest.instants import FUTURE, PAST, UNREADABLE
from serving.ingest.reading import LARGEST_BODY
from tests.serving.test_hostile_payloads import send
from tests.serving.test_served_http import call

Shop = tuple[str, Workspace]
PROBLEM = "application/problem+json"


def logged(workspace: Workspace, prefix: str) -> list[str]:
    with closing(sqlite3.connect(workspace.database)) as connection:
        query = "SELECT event_id FROM event_log WHERE substr(event_id, 1, ?) = ? ORDER BY log_seq"
        return [row[0] for row in connection.execute(query, (len(prefix), prefix))]


def track(message_id: str, **changes: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "http", "event": "Note Taken", "messageId": message_id} | changes


def batch(*calls: object) -> bytes:
    return json.dumps({"batch": calls}).encode()


@pytest.mark.parametrize(
    ("path", "body", "event"),
    [
        ("identify", {"traits": {"skin_need": "acne"}}, "identify"),
        ("track", {"event": "Note Taken"}, "Note Taken"),
        ("page", {"name": "Home"}, "Page Viewed"),
        ("screen", {"name": "Home"}, "Page Viewed"),
        ("alias", {"previousId": "http-old"}, "alias"),
    ],
)
def test_each_call_has_its_route_whatever_type_it_says(
    served_shop: Shop, path: str, body: dict[str, Any], event: str
) -> None:
    address, workspace = served_shop
    message_id = f"route-{path}"
    sent = {"userId": "http", "messageId": message_id, "type": "something else", "writeKey": "x"} | body
    status, _, told = call(f"{address}/v1/{path}", sent)
    assert (status, told["events"]) == (202, [{"messageId": message_id, "status": "accepted"}])
    with closing(sqlite3.connect(workspace.database)) as connection:
        (payload,) = connection.execute("SELECT payload FROM event_log WHERE event_id = ?", (message_id,)).fetchone()
    assert json.loads(payload)["event"] == event


@pytest.mark.parametrize("path", ["batch", "import", "b"])
def test_a_batch_is_answered_with_a_verdict_for_each_event_in_order(served_shop: Shop, path: str) -> None:
    address, workspace = served_shop
    large = track(f"{path}-large", properties={"text": "x" * 40_000})
    group = {"type": "group", "userId": "http", "groupId": "g", "messageId": f"{path}-group"}
    sent = [track(f"{path}-1"), track(f"{path}-1"), track(f"{path}-2", event=""), large, group, 17]
    status, _, told = call(f"{address}/v1/{path}", batch(*sent))
    assert status == 202
    assert [(one["status"], one.get("reason")) for one in told["events"]] == [
        ("accepted", None),
        ("duplicate", None),
        ("dead_lettered", "no_event_name"),
        ("rejected", "too_large"),
        ("rejected", "not_kept"),
        ("dead_lettered", "not_valid"),
    ]
    assert {name: told[name] for name in ("accepted", "duplicates", "dead_lettered", "rejected")} == {
        "accepted": 1,
        "duplicates": 1,
        "dead_lettered": 2,
        "rejected": 2,
    }
    assert logged(workspace, f"{path}-") == [f"{path}-1"]


def test_what_only_python_calls_json_costs_no_other_event_of_its_batch(served_shop: Shop) -> None:
    address, workspace = served_shop
    odd = b'{"batch": [%s, {"type": "track", "userId": "http", "event": "X", "messageId": "odd-2", "properties": %s}]}'
    for n, properties in enumerate((b'{"a": NaN, "b": -Infinity}', b'{"a": 1e999}', b'{"a": "\\ud800"}')):
        body = odd.replace(b"odd-2", f"odd-{n}b".encode()) % (json.dumps(track(f"odd-{n}a")).encode(), properties)
        status, _, told = call(f"{address}/v1/batch", body)
        assert (status, told["events"][0]["status"]) == (202, "accepted"), told
    assert {"odd-0a", "odd-0b", "odd-1a", "odd-2a", "odd-2b"} <= set(logged(workspace, "odd-"))


BOMB = gzip.compress(b'{"batch": [' + b" " * 50_000_000 + b"]}")
GOOD_GZIP = gzip.compress(batch(track("wrong-gz")))
MANY = batch(*({} for _ in range(2_501)))
DEEP = b'{"batch": ' + b"[" * 100_000
GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"", {}, 400, "not JSON"),
        (b"{", {}, 400, "not JSON"),
        (b"\xff\xfe\x00", {}, 400, "not JSON"),
        (DEEP, {}, 400, "nested too deeply"),
        (b'{"batch": [' + b"9" * 5_000 + b"]", {}, 400, "not JSON"),
        (b"null", {}, 422, "not a JSON object"),
        (b"[]", {}, 422, "not a JSON object"),
        (b"{}", {}, 422, "/batch"),
        (b'{"batch": null}', {}, 422, "/batch"),
        (b'{"batch": {"type": "track"}}', {}, 422, "/batch"),
        (b'{"batch": []}', {}, 422, "empty"),
        (MANY, {}, 413, "2,500"),
        (b" " * LARGEST_BODY + b"{}", {}, 413, "560000"),
        (BOMB, GZIP, 413, "inflated"),
        (b"no gzip", GZIP, 400, "gzip"),
        (GOOD_GZIP[:-9], GZIP, 400, "ends midway"),
        (GOOD_GZIP + b"more", GZIP, 400, "goes on after its end"),
        (zlib.compress(batch(track("wrong-z"))), GZIP, 400, "gzip"),
        (GOOD_GZIP, {"Content-Encoding": "br"}, 415, "encoded as 'br'"),
        (batch(track("wrong-x")), {"Content-Type": "text/plain"}, 415, "Send JSON"),
    ],
    ids=range(20),
)
def test_a_request_that_is_wrong_as_a_whole_is_a_problem_and_leaves_nothing(
    served_shop: Shop, body: bytes, headers: dict[str, str], status: int, says: str
) -> None:
    address, workspace = served_shop
    found, content_type, told = send(address, "/v1/batch", body, headers=headers)
    assert (found, content_type) == (status, PROBLEM), told
    assert says in told["detail"]
    assert len(json.dumps(told)) < 20_000
    assert logged(workspace, "wrong-") == []  # other files' tests send to this server too, under other names


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("track", b"", 400),
        ("track", b"[", 400),
        ("track", b"[]", 422),
        ("identify", b'"text"', 422),
        ("page", b"[" * 100_000, 400),
    ],
)
def test_a_single_call_that_is_no_object_is_a_problem(served_shop: Shop, path: str, body: bytes, status: int) -> None:
    found, content_type, _ = send(served_shop[0], f"/v1/{path}", body)
    assert (found, content_type) == (status, PROBLEM)


HOSTILE: list[bytes] = [
    b'{"userId": "u", "event": "X", "properties": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    b'{"userId": "u", "event": "X", "properties": {"total": ' + b"9" * 400 + b"}}",
    b'{"userId": "u", "event": "Order Completed", "properties": {"total": 1e308, "products": [{"price": 1e308}]}}',
    b'{"userId": "u", "event": "X", "properties": {"__proto__": {"a": 1}, "": "", "a\\u0000b": "\\u0000"}}',
    b'{"userId": "u", "event": "X\'; DROP TABLE event_log; --"}',
    b'{"userId": "u", "event": "X", "timestamp": "9999-12-31T23:59:59-14:00"}',
    b'{"userId": "u", "event": "X", "timestamp": "0001-01-01T00:00:00+14:00", "sentAt": "9999-12-31T23:59:59Z"}',
    b'{"userId": "u", "event": "X", "context": {"page": {"url": "http://[::1", "search": "?gclid=%ff%fe&&&=&gclid"}}}',
    b'{"userId": "u", "event": "X", "context": {"campaign": {"source": {"a": []}, "medium": 1e308, "name": true}}}',
    b'{"userId": "u", "event": "X", "context": []}',
    b'{"userId": true, "event": "X"}',
    b'{"userId": 1e400, "event": "X"}',
    b'{"userId": "u", "event": "X", "messageId": {"$ne": null}}',
    b'{"userId": "u", "event": "X", "userId": "v"}',
    b'{"userId": "\xff\xfe", "event": "X"}',
    b'{"userId": "u", "event": "Question Answered", "properties": {"trait": {"a": 1}, "answer": {"b": 2}}}',
    b'{"userId": "u", "event": "Question Answered", "properties": {"trait": "skin_need", "answer": ["acne"]}}',
    b'{"userId": "u", "event": "Question Answered", "properties": {"trait": "time_zone", "answer": "../etc"}}',
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_a_call_holds_it_gets_a_verdict_or_a_problem_and_never_a_500(served_shop: Shop, body: bytes) -> None:
    status, content_type, told = send(served_shop[0], "/v1/track", body)
    if status == 202:
        assert told["events"][0]["status"] in ("accepted", "dead_lettered")
    else:
        assert (status, content_type) == (400, PROBLEM)
    assert call(f"{served_shop[0]}/v1/customers/u")[0] in (200, 404)  # and whoever it was about can still be read


def test_calls_sent_at_once_through_both_workers_are_each_taken_once(served_shop: Shop) -> None:
    address, workspace = served_shop
    statuses: list[str] = []

    def tell(worker: int) -> None:
        for n in range(10):  # every message from two threads
            told = call(f"{address}/v1/batch", batch(*(track(f"at-once-{n}-{m}-{worker // 2}") for m in range(5))))[2]
            statuses.extend(one["status"] for one in told["events"])

    threads = [threading.Thread(target=tell, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == ["accepted"] * 200 + ["duplicate"] * 200
    found = logged(workspace, "at-once-")
    assert len(found) == len(set(found)) == 200


def test_the_routes_are_described(served_shop: Shop) -> None:
    paths = call(f"{served_shop[0]}/openapi.json")[2]["paths"]
    assert {"/v1/identify", "/v1/track", "/v1/page", "/v1/screen", "/v1/alias", "/v1/batch"} <= paths.keys()
    assert "202" in paths["/v1/batch"]["post"]["responses"]
    assert {"400", "413", "415", "422"} <= paths["/v1/batch"]["post"]["responses"].keys()


def test_the_documented_calls_are_taken(served_shop: Shop) -> None:
    text = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text("utf-8")
    commands = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    assert len(commands) >= 2
    for command in commands:
        asked = command.replace("http://127.0.0.1:3000", served_shop[0])
        ran = subprocess.run(["bash", "-c", asked], capture_output=True, timeout=30)
        told = json.loads(ran.stdout)
        assert {one["status"] for one in told["events"]} == {"accepted"}, told


def test_every_reason_of_a_dead_letter_is_documented() -> None:
    root = Path(__file__).parents[2]
    code = "".join(path.read_text("utf-8") for path in (root / "serving" / "ingest").glob("*.py"))
    reasons = set(re.findall(r'WrongEventError\(\s*"([a-z_]+)"', code)) | {UNREADABLE, FUTURE, PAST}
    text = (root / "docs" / "ingest.md").read_text("utf-8")
    assert len(reasons) > 12
    assert {reason for reason in reasons if f"`{reason}`" not in text} == set()
