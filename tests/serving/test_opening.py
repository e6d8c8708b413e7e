from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message

from features.database import connect
from serving.opening import open_when_possible, trouble_with
from serving.unavailable import Unavailable, unavailability


def answered(app: ASGIApp, path: str) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": []}

    async def ask() -> None:
        await app(scope, receive, send)

    asyncio.run(ask())
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_a_worker_whose_database_is_locked_says_so_and_opens_when_it_is_not(tmp_path: Path) -> None:
    database = tmp_path / "rapport.db"
    lock = connect(database)
    lock.execute("BEGIN IMMEDIATE")
    apps: list[ASGIApp] = []
    is_open = threading.Event()

    def opened() -> ASGIApp:
        is_open.set()
        return PlainTextResponse("open")

    open_when_possible(database, opened, answer_with=apps.append)
    status, headers, body = answered(apps[-1], "/v1/decisions")
    assert (status, headers[b"retry-after"]) == (503, b"1")
    assert "locked by another program" in json.loads(body)["detail"]
    assert answered(apps[-1], "/livez")[0] == 200
    assert not is_open.is_set()
    lock.commit()
    lock.close()
    assert is_open.wait(10)


def test_a_database_that_can_be_written_is_opened_at_once(tmp_path: Path) -> None:
    apps: list[ASGIApp] = []
    open_when_possible(tmp_path / "state" / "rapport.db", lambda: PlainTextResponse("open"), answer_with=apps.append)
    assert answered(apps[-1], "/")[2] == b"open"


def test_a_broken_database_is_no_reason_to_wait(tmp_path: Path) -> None:
    database = tmp_path / "rapport.db"
    database.write_bytes(b"no database at all, but longer than a header " * 10)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        trouble_with(database)


def test_a_folder_that_cannot_be_made_is_trouble(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    assert trouble_with(tmp_path / "state" / "rapport.db") is not None


def test_only_what_the_disk_or_a_lock_did_is_unavailability() -> None:
    wrapped = RuntimeError("a layer above")
    wrapped.__cause__ = OSError(28, "No space left on device")
    assert str(unavailability(wrapped)) == "the disk is full"
    for other in (ValueError("x"), OSError(2, "no such file"), TimeoutError(), sqlite3.IntegrityError("UNIQUE")):
        assert unavailability(other) is None
    told = Unavailable("why", retry_after_seconds=7)
    assert unavailability(told) is told
