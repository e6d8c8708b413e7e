"""What live ingest is measured beside: a bare FastAPI endpoint that inserts each event into SQLite and commits it."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

DATABASE = "BARE_DATABASE"
SCHEMA = "CREATE TABLE IF NOT EXISTS events (message_id TEXT PRIMARY KEY, user_id TEXT, event TEXT, body TEXT)"

_here = threading.local()


class Event(BaseModel):
    """One event of a batch."""

    messageId: str  # noqa: N815  # Segment's name
    userId: str  # noqa: N815
    event: str
    timestamp: str
    properties: dict[str, Any] = {}


class Batch(BaseModel):
    """Some events."""

    batch: list[Event]


app = FastAPI()


@app.get("/readyz")
def ready() -> dict[str, str]:
    """It is."""
    _connection()
    return {"status": "ready"}


@app.post("/v1/batch")
def batch(events: Batch) -> dict[str, int]:
    """One row a commit, and nothing else: no joined customers, no features, no verdicts."""
    connection = _connection()
    for event in events.batch:
        row = (event.messageId, event.userId, event.event, json.dumps(event.properties))
        connection.execute("INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?)", row)
        connection.commit()
    return {"accepted": len(events.batch)}


def _connection() -> sqlite3.Connection:
    """As durable as ours, one a thread."""
    if not hasattr(_here, "connection"):
        connection = sqlite3.connect(os.environ[DATABASE], timeout=60)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(SCHEMA)
        _here.connection = connection
    return _here.connection  # type: ignore[no-any-return]
