"""Who is let through, before a byte of the body is read."""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from features.database import connect
from features.workspace import Workspace
from serving.guard import Guard
from serving.http import build_app
from serving.keys.gate import READ_AGAIN_SECONDS, Gate
from serving.keys.loopback import is_from_here, is_loopback
from serving.keys.rates import SharedRates
from serving.keys.scopes import SCOPES, may, needed_scope
from serving.keys.table import KeyTable
from serving.settings import Settings

HERE, OUTSIDE = ("127.0.0.1", 3000), ("10.0.0.7", 3000)
NOW = datetime.now(UTC)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return Workspace(tmp_path).database


@pytest.fixture
def gate(database: Path) -> Iterator[Gate]:
    gate = Gate(connect(database), rates=SharedRates(database.parent / "rates"), required=False)
    yield gate
    gate.close()


def a_key(database: Path, *scopes: Any, rate: float = 1_000.0) -> str:
    connection = connect(database)
    made = KeyTable(connection).create("test", scopes, at=NOW, requests_per_second=rate)
    connection.close()
    return made.token


def a_request(
    token: str | None = None, *, method: str = "POST", path: str = "/v1/decisions", server: object = OUTSIDE
) -> dict[str, Any]:
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    return {"type": "http", "method": method, "path": path, "headers": headers, "server": server}


def status(gate: Gate, request: dict[str, Any]) -> int:
    refused = gate.judge(request)
    return 200 if refused is None else refused.status


def test_from_outside_a_key_is_needed_and_from_here_it_is_not(gate: Gate, database: Path) -> None:
    token = a_key(database, "decide")
    assert status(gate, a_request()) == 401
    assert status(gate, a_request("rapport_aaaaaaaa_" + "0" * 48)) == 401
    assert status(gate, a_request(token[:-1] + ("0" if token[-1] != "0" else "1"))) == 401
    assert status(gate, a_request(token)) == 200
    assert status(gate, a_request(server=HERE)) == 200
    assert status(gate, a_request("a write key of Segment's", server=HERE)) == 200


def test_where_keys_are_required_this_machine_needs_one_too(database: Path) -> None:
    token = a_key(database, "decide")
    gate = Gate(connect(database), rates=SharedRates(database.parent / "rates"), required=True)
    assert status(gate, a_request(server=HERE)) == 401
    assert status(gate, a_request(token, server=HERE)) == 200
    gate.close()


def test_a_key_is_held_to_its_scopes_also_from_here(gate: Gate, database: Path) -> None:
    token = a_key(database, "ingest")
    refused = gate.judge(a_request(token, server=HERE))
    assert refused is not None
    assert refused.status == 403
    assert "needs a key with the scope 'decide'" in refused.detail


@pytest.mark.parametrize("ended", ["revoked", "expired"])
def test_a_key_that_was_taken_back_says_so_and_opens_nothing(database: Path, ended: str) -> None:
    token = a_key(database, "decide")
    connection = connect(database)
    table = KeyTable(connection)
    key_id = token.split("_")[1]
    if ended == "revoked":
        table.revoke(key_id, at=NOW)
    else:
        table.replace(key_id, at=NOW, grace=timedelta(0))
    gate = Gate(connection, rates=SharedRates(database.parent / "rates"), required=False)
    refused = gate.judge(a_request(token))
    assert refused is not None
    assert (refused.status, f"is {ended}" in refused.detail) == (401, True)
    assert refused.headers["www-authenticate"].startswith("Bearer")
    gate.close()


def test_a_revoked_key_is_refused_within_a_second(gate: Gate, database: Path) -> None:
    token = a_key(database, "decide")
    assert status(gate, a_request(token)) == 200
    connection = connect(database)
    KeyTable(connection).revoke(token.split("_")[1], at=NOW)
    connection.close()
    gate._read_at -= READ_AGAIN_SECONDS  # a second later
    assert status(gate, a_request(token)) == 401


def test_while_the_table_cannot_be_read_known_keys_work_and_without_any_it_is_503(tmp_path: Path) -> None:
    database = Workspace(tmp_path).database
    token = a_key(database, "decide")
    connection = connect(database)
    gate = Gate(connection, rates=SharedRates(database.parent / "rates"), required=False)
    assert status(gate, a_request(token)) == 200
    connection.close()
    gate._read_at -= READ_AGAIN_SECONDS
    assert status(gate, a_request(token)) == 200
    closed = sqlite3.connect(database)
    closed.close()
    blind = Gate(closed, rates=SharedRates(database.parent / "rates"), required=False)
    assert status(blind, a_request(token)) == 503


def test_the_use_of_a_key_is_noted_once_a_minute(database: Path) -> None:
    noted: list[str] = []
    gate = Gate(
        connect(database),
        rates=SharedRates(database.parent / "rates"),
        required=True,
        note_use=lambda key_id, at: noted.append(key_id),
    )
    token = a_key(database, "decide")
    for _ in range(5):
        gate.judge(a_request(token))
    assert noted == [token.split("_")[1]]
    gate.close()


# -- scopes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/v1/track", "ingest"),
        ("POST", "/v1/identify", "ingest"),
        ("POST", "/v1/batch", "ingest"),
        ("POST", "/v1/alias", "ingest"),
        ("POST", "/v1/decisions", "decide"),
        ("POST", "/v1/decisions/batch", "decide"),
        ("POST", "/v1/outcomes", "decide"),
        ("GET", "/v1/customers/c-1", "read"),
        ("GET", "/v1/moments", "read"),
        ("GET", "/report", "read"),
        ("GET", "/report/audience/s1.csv", "read"),
        ("DELETE", "/v1/customers/c-1", "admin"),
        ("GET", "/metrics", "read"),
        ("GET", "/reports", "admin"),
        ("POST", "/v1/whatever/comes", "admin"),
        ("PUT", "/v1/track", "admin"),
        ("POST", "/livez", "admin"),
        ("GET", "/livez", None),
        ("GET", "/readyz", None),
        ("GET", "/", None),
        ("GET", "/docs/assets/swagger-ui.css", None),
        ("GET", "/r/AQAB", None),
        ("POST", "/u/AQAB", None),
        ("POST", "/r/AQAB", "admin"),
    ],
)
def test_each_path_needs_its_scope(method: str, path: str, scope: str | None) -> None:
    assert needed_scope(method, path) == scope


def test_no_route_of_the_app_is_open_that_is_not_meant_to_be() -> None:
    open_paths = {
        path
        for route in build_app().router.routes
        for method in getattr(route, "methods", None) or ()
        if needed_scope(method, path := str(getattr(route, "path", ""))) is None
    }
    by_tokens = {"/r/{token}", "/o/{token}.gif", "/u/{token}"}
    assert open_paths <= {"/", "/livez", "/readyz", "/docs", "/openapi.json"} | by_tokens


@given(st.sets(st.sampled_from(SCOPES)), st.sampled_from(SCOPES))
def test_admin_may_do_everything_and_the_others_what_they_say(scopes: set[Any], needed: Any) -> None:
    assert may(frozenset(scopes), needed) == (needed in scopes or "admin" in scopes)


def test_only_addresses_of_this_machine_are_loopback() -> None:
    assert [host for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost") if not is_loopback(host)] == []
    assert [host for host in ("0.0.0.0", "::", "10.0.0.7", "localhost.evil.example", "") if is_loopback(host)] == []
    assert Settings(host="0.0.0.0").needs_keys
    assert not Settings().needs_keys
    assert Settings(keys="required").needs_keys
    assert is_from_here({"server": ("/run/rapport.sock", None)})
    assert not is_from_here({"server": OUTSIDE})


# -- rates ------------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_above_its_rate_a_key_is_told_when_to_come_again(gate: Gate, database: Path) -> None:
    token = a_key(database, "decide", rate=0.5)
    assert status(gate, a_request(token)) == 200
    refused = gate.judge(a_request(token))
    assert refused is not None
    assert (refused.status, refused.headers["retry-after"]) == (429, "2")


def test_a_key_and_those_that_replace_it_have_one_rate_among_them(database: Path) -> None:
    connection = connect(database)
    table = KeyTable(connection)
    first, other = (table.create(name, ["decide"], at=NOW, requests_per_second=0.5) for name in ("first", "other"))
    second = table.replace(first.key_id, at=NOW, grace=timedelta(hours=1))
    third = table.replace(second.key_id, at=NOW, grace=timedelta(hours=1))
    gate = Gate(connection, rates=SharedRates(database.parent / "rates"), required=True)
    asked = [status(gate, a_request(made.token)) for made in (first, second, third, other)]
    assert asked == [200, 429, 429, 200]
    gate.close()


def test_a_bucket_holds_what_a_second_allows_and_fills_at_its_rate(tmp_path: Path, clock: Clock) -> None:
    rates = SharedRates(tmp_path / "rates", clock=clock)
    assert [rates.wait_of(1, per_second=4) == 0 for _ in range(5)] == [True] * 4 + [False]
    clock.now += 0.25
    assert [rates.wait_of(1, per_second=4) == 0 for _ in range(2)] == [True, False]
    assert rates.wait_of(2, per_second=4) == 0, "another key's bucket is another"
    clock.now += 3_600
    assert [rates.wait_of(1, per_second=4) == 0 for _ in range(5)] == [True] * 4 + [False]
    rates.close()


@given(
    st.floats(0.2, 50),
    st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_over_any_time_no_more_pass_than_the_rate_and_one_bucket(per_second: float, gaps: list[float]) -> None:
    clock = Clock()
    rates = SharedRates(Path("/nowhere/rates"), clock=clock)  # no file: this process alone
    started, passed = clock.now, 0
    for gap in gaps:
        clock.now += gap
        wait = rates.wait_of(1, per_second=per_second)
        passed += wait == 0
        if wait:
            clock.now += wait
            assert rates.wait_of(1, per_second=per_second) < 1e-6, "after the wait that was told it passes"
            passed += 1
    assert passed <= (clock.now - started) * per_second + max(1.0, per_second) + 1e-6


def test_a_clock_that_is_set_back_locks_nobody_out(tmp_path: Path, clock: Clock) -> None:
    rates = SharedRates(tmp_path / "rates", clock=clock)
    while rates.wait_of(1, per_second=2) == 0:
        pass
    clock.now -= 86_400
    assert rates.wait_of(1, per_second=2) == 0
    rates.close()


def _passed(file: str, tries: int) -> int:
    rates = SharedRates(Path(file), clock=lambda: 1_000.0)
    return sum(rates.wait_of(3, per_second=100) == 0 for _ in range(tries))


def test_the_workers_of_a_machine_share_one_bucket(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        passed = pool.starmap(_passed, [(str(tmp_path / "rates"), 80)] * 2)
    assert sum(passed) == 100


# -- in the guard -----------------------------------------------------------------------------------------------------


def test_nothing_of_the_body_is_read_before_the_key_is_known(gate: Gate) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        pytest.fail("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("reached")(scope, receive, send)

    guard = Guard(app, body_limit_bytes=10, timeout_seconds=2, gate=gate)
    headers = [(b"content-length", b"999999"), (b"x-request-id", b"r-1")]
    asyncio.run(guard(a_request() | {"headers": headers}, receive, send))
    assert sent[0]["status"] == 401
    headers_sent = dict(sent[0]["headers"])
    assert headers_sent[b"content-type"] == b"application/problem+json"
    assert headers_sent[b"www-authenticate"].startswith(b"Bearer")
    assert headers_sent[b"x-request-id"] == b"r-1"
    assert json.loads(sent[1]["body"])["title"] == "A key is needed."


@pytest.mark.parametrize("path", ["/report", "/report/audience/s1.csv"])
def test_a_browser_is_asked_for_the_key_of_a_page_and_may_give_it_as_the_user(
    gate: Gate, database: Path, path: str
) -> None:
    given = base64.b64encode(f"{a_key(database, 'read')}:".encode())
    asked = a_request(method="GET", path=path)
    refused = gate.judge(asked)
    assert refused is not None
    assert refused.headers["www-authenticate"].startswith("Basic ")
    assert gate.judge(asked | {"headers": [(b"authorization", b"Basic " + given)]}) is None
