"""What was acknowledged is there, once: killed at any moment, on a full disk, a locked database, a read-only folder."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from features.database import connect
from features.starting import write_starter
from features.workspace import Workspace
from serving.keys.gate import READ_AGAIN_SECONDS
from serving.keys.scopes import Scope
from serving.keys.table import KeyTable
from tests.disks import SmallDisk, may_mount, needs_tmpfs
from tests.journeys.crash_loop import crash_loop, summary
from tests.journeys.crash_server import WORKERS, Server

PROBLEM = "application/problem+json"
Answer = tuple[int, dict[str, str], Any]


def test_the_server_killed_and_then_a_worker_under_load_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    # A client a worker: more would keep the cores from the server that starts anew, and from the other tests.
    found = crash_loop(tmp_path, kills=2, seed=7, n_clients=2, longest_seconds=2.0)
    assert found.faults == [], summary(found)
    assert [one.killed for one in found.rounds] == ["server", "worker"]
    assert sum(one.n_lost + one.n_doubled for one in found.rounds) == 0
    assert all(count > 10 for count in found.acknowledged.values()), "it was under load"
    assert found.n_unanswered > 0, "clients were cut off when it died"


# -- a store that takes no writes -------------------------------------------------------------------------------------


def asked(address: str, path: str, body: object | None = None, *, key: str | None = None) -> Answer:
    """Status, headers and JSON."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{address}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), json.loads(error.read())


def a_key(workspace: Workspace, *scopes: Scope, rate: float = 1_000.0) -> str:
    connection = connect(workspace.database)
    made = KeyTable(connection).create("test", scopes, at=datetime.now(UTC), requests_per_second=rate)
    connection.close()
    return made.token


def a_decision(one: str) -> tuple[str, object]:
    body = {"customer_id": f"c-{one}", "placement": "chat_reply", "channel": "web", "decision_id": f"d-{one}"}
    return "/v1/decisions", body


def an_outcome(one: str, *, of: str) -> tuple[str, object]:
    return "/v1/outcomes", {"decision_id": f"d-{of}", "outcome": "clicked", "outcome_id": f"o-{one}"}


def events(one: str) -> tuple[str, object]:
    view = {"type": "track", "event": "Product Viewed", "userId": f"c-{one}", "properties": {"product_id": "p-1"}}
    return "/v1/batch", {"batch": [view | {"messageId": f"m-{one}-{n}"} for n in range(3)]}


@dataclass
class Shop:
    """A served shop whose database is on a disk that can be filled, where this user may mount one."""

    address: str
    workspace: Workspace
    disk: SmallDisk | None
    while_read_only: list[Answer] = field(default_factory=list)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    root = tmp_path_factory.mktemp("nothing-lost")
    workspace = Workspace(root / "shop")
    write_starter(workspace.root)
    workspace.state.mkdir(exist_ok=True)
    server = Server(workspace.root, log=root / "server.log", variables={"RAPPORT_TIMEOUT_SECONDS": "30"})
    served = Shop(f"http://127.0.0.1:{server.port}", workspace, None)
    with _small_disk(workspace.state) as disk:
        try:
            if disk is not None:
                served.disk = disk
                connect(workspace.database).close()
                disk.make_read_only()
            server.start()
            if disk is not None:
                served.while_read_only = _answers_while_it_is_not_open(served.address)
                disk.make_writable()
            server.wait_until_ready()
            _wait_until_all_are_open(root / "server.log")
            yield served
        finally:
            server.close()


@contextmanager
def _small_disk(folder: Path) -> Iterator[SmallDisk | None]:
    if not may_mount():
        yield None
        return
    with SmallDisk(folder, "tmpfs", megabytes=48) as disk:
        yield disk


def _answers_while_it_is_not_open(address: str) -> list[Answer]:
    until = time.monotonic() + 180
    while time.monotonic() < until:
        try:
            return [asked(address, *question) for question in (("/livez",), ("/readyz",), a_decision("early"))]
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server answered nothing")


def _wait_until_all_are_open(log: Path) -> None:
    """Both workers: each finds out for itself, and which one answers is the kernel's choice."""
    until = time.monotonic() + 180
    while time.monotonic() < until:
        told = log.read_text()
        n_waited, n_opened = told.count("not open yet"), told.count("open: the database can be written")
        if told.count("Service rapport initialized") == WORKERS and n_waited == n_opened:
            return
        time.sleep(0.1)
    raise RuntimeError(f"a worker did not open:\n{log.read_text()[-4000:]}")


def assert_not_now(answer: Answer, reason: str) -> None:
    status, headers, told = answer
    assert (status, headers["content-type"]) == (503, PROBLEM)
    assert int(headers["retry-after"]) >= 1
    assert reason in told["detail"]
    assert "messageId" in told["detail"], "it says that the same ids make a retry safe"


def written(shop: Shop, table: str, column: str, like: str) -> list[str]:
    with closing(sqlite3.connect(shop.workspace.database)) as connection:
        query = f"SELECT {column} FROM {table} WHERE {column} LIKE ? ORDER BY 1"
        return [row[0] for row in connection.execute(query, (like,))]


def taken(shop: Shop, question: tuple[str, object], *, key: str | None = None) -> int:
    """The status once it is no 503 any more: asked as a client would, who sends the same again."""
    until = time.monotonic() + 60
    while (status := asked(shop.address, *question, key=key)[0]) == 503:
        assert time.monotonic() < until, "it does not recover"
        time.sleep(0.2)
    return status


def test_a_key_that_is_known_is_held_to_its_scopes_and_its_rate_by_both_workers_together(shop: Shop) -> None:
    reading, slow = a_key(shop.workspace, "read"), a_key(shop.workspace, "decide", rate=3)
    time.sleep(2 * READ_AGAIN_SECONDS)
    status, headers, told = asked(shop.address, *a_decision("keyed"), key=reading)
    assert (status, headers["content-type"], told["title"]) == (403, PROBLEM, "This key may not do that.")
    assert taken(shop, a_decision("keyed"), key="a write key of Segment's") == 200
    started = time.monotonic()
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda n: asked(shop.address, *a_decision(f"keyed-{n}"), key=slow), range(40)))
    seconds = time.monotonic() - started
    n_passed = sum(status == 200 for status, _, _ in answers)
    assert 3 <= n_passed <= 3 + 3 * seconds + 1
    refused = [headers for status, headers, _ in answers if status == 429]
    assert len(refused) == 40 - n_passed
    assert {headers["retry-after"] for headers in refused} <= {"1"}


@needs_tmpfs
def test_a_server_on_a_read_only_folder_says_so_and_opens_when_it_can(shop: Shop) -> None:
    alive, ready, decision = shop.while_read_only
    assert (alive[0], alive[2]) == (200, {"status": "alive"})
    assert_not_now(ready, "the database cannot be")
    assert_not_now(decision, "the database cannot be")
    assert written(shop, "decisions", "decision_id", "d-early") == []
    assert taken(shop, a_decision("early")) == 200


def test_a_locked_database_is_503_and_the_same_ids_sent_again_are_written_once(shop: Shop) -> None:
    assert taken(shop, a_decision("locked-0")) == 200
    lock = sqlite3.connect(shop.workspace.database, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    questions = (a_decision("locked-1"), an_outcome("locked-1", of="locked-0"), events("locked-1"))
    for question in questions:
        assert_not_now(asked(shop.address, *question), "locked by another program")
    assert asked(shop.address, "/v1/decisions/d-locked-0")[0] == 200, "reading goes on"
    lock.execute("COMMIT")
    lock.close()
    for _ in range(2):
        assert [taken(shop, question) for question in questions] == [200, 200, 202]
    assert written(shop, "decisions", "decision_id", "d-locked-%") == ["d-locked-0", "d-locked-1"]
    assert written(shop, "outcomes", "outcome_id", "o-locked-%") == ["o-locked-1"]
    assert written(shop, "event_log", "event_id", "m-locked-%") == [f"m-locked-1-{n}" for n in range(3)]


def first_refused(shop: Shop, question: Callable[[int], tuple[str, object]]) -> Answer:
    """The answer to the first of many that is not taken; else to the last."""
    for number in range(500):
        answer = asked(shop.address, *question(number))
        if answer[0] >= 300:
            break
    return answer


@needs_tmpfs
def test_on_a_full_disk_everything_acknowledged_stays_and_it_goes_on_when_there_is_room(shop: Shop) -> None:
    if shop.disk is None:
        raise RuntimeError("there is no disk to fill")
    assert taken(shop, a_decision("full")) == 200
    shop.disk.fill(leave_kilobytes=1_024)
    written_first, refused = [], []
    for number in range(2_000):
        status, headers, told = asked(shop.address, *a_decision(f"full-{number:04}"))
        if status == 200:
            written_first.append(f"d-full-{number:04}")
        else:
            refused.append((status, headers, told))
        if len(refused) == 3:
            break
    for answer in refused:
        assert_not_now(answer, "the disk is full")
    assert len(written_first) > 5
    # What is smaller than a decision may still fit into what that left of the log, and is then taken and kept.
    assert_not_now(first_refused(shop, lambda n: events(f"more-{n}")), "the disk is full")
    assert_not_now(first_refused(shop, lambda n: an_outcome(f"more-{n}", of="full")), "the disk is full")
    assert asked(shop.address, "/v1/decisions/d-full")[0] == 200, "reading goes on"
    assert written(shop, "decisions", "decision_id", "d-full-%") == written_first
    shop.disk.make_room()
    assert taken(shop, events("full")) == 202
    assert taken(shop, an_outcome("full", of="full")) == 200
    assert taken(shop, a_decision("full-z")) == 200
    assert written(shop, "decisions", "decision_id", "d-full-%") == [*written_first, "d-full-z"]
    assert written(shop, "event_log", "event_id", "m-full-%") == [f"m-full-{n}" for n in range(3)]
