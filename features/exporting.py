"""Everything that is kept of one person, as one JSON object: their right to have it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pyarrow.parquet as pq

from features.brand import load_brand
from features.database import connect
from features.erased_rows import personal_tables
from features.evidence import evidence_of
from features.faults import CallersMistake
from features.forgetting import KEY, tables_of
from features.identity import IdentityTable
from features.persons import events_of
from features.workspace import Workspace

FORMAT = 1
_ELSEWHERE = ("identity", "event_log", "texts")  # told as ids, events and traits
_JSON = ("record", "distribution", "answer", "payload", "charges")


def export_customer(workspace: Workspace, customer_id: str, *, now: datetime | None = None) -> dict[str, Any]:
    """What is known of a person under all of their keys: ids, traits, events, decisions, and what was derived.

    Args:
        workspace: whose customer.
        customer_id: the shop's own id, or a device's.
        now: the instant at which what was declared is weighed; the present where it is None.

    Raises:
        CallersMistake: nobody has ever heard of this id.
    """
    now, brand = now or datetime.now(UTC), load_brand(workspace)
    with closing(connect(workspace.database)) as connection:
        identity = IdentityTable(connection)
        key = identity.key_said(customer_id)
        if key is None:
            raise CallersMistake(
                f"Asked to export the customer '{customer_id}', but nobody by that id was ever seen here. It is your "
                "own id of the customer, as sent with their events, or a device's anonymous id."
            )
        keys = identity.keys_of(key)
        events = events_of(workspace, connection, keys)
        evidence = evidence_of(workspace, connection, keys, brand=brand, at=now, events=events)
        return {
            "format": FORMAT,
            "customer_id": customer_id,
            "exported_at": now.isoformat(),
            "ids": _ids(connection, keys),
            "traits": _json_types([asdict(one) for one in evidence]),
            "events": [_said(row) for row in events.to_pylist()],
            "tables": _rows(connection, keys),
            "files": _derived(workspace, keys),
        }


def _ids(connection: sqlite3.Connection, customer_keys: Sequence[int]) -> list[dict[str, Any]]:
    marks = ", ".join("?" * len(customer_keys))
    query = (
        f"SELECT customer_id, kind, first_seen_at FROM identity WHERE customer_key IN ({marks}) ORDER BY first_seen_at"
    )
    return [
        {"id": customer_id, "kind": kind, "first_seen_at": datetime.fromtimestamp(at / 1e6, UTC).isoformat()}
        for customer_id, kind, at in connection.execute(query, tuple(customer_keys))
    ]


def _rows(connection: sqlite3.Connection, customer_keys: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """Every row of every other table that is theirs, by table: decisions, outcomes, moments, kept answers."""
    found = {}
    keys = ", ".join(str(int(key)) for key in customer_keys)
    for table in personal_tables(connection):
        if table in _ELSEWHERE:
            continue
        cursor = connection.execute(f'SELECT * FROM "{table}" WHERE customer_key IN ({keys})')
        names = [column[0] for column in cursor.description]
        rows = [_readable(dict(zip(names, row, strict=True))) for row in cursor]
        if rows:
            found[table] = rows
    return found


def _derived(workspace: Workspace, customer_keys: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """Their rows of snapshots and scores, by file; packed rows hold the same once more and are left out."""
    found = {}
    for path in tables_of(workspace):
        name = path.relative_to(workspace.lake)
        if name.parts[0] == "vectors":
            continue
        table = pq.read_table(path, partitioning=None, filters=[(KEY, "in", {int(key) for key in customer_keys})])
        if table.num_rows:
            found[name.as_posix()] = [_said(row) for row in table.to_pylist()]
    return found


def _readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without our key, its instants written out, its JSON as JSON."""
    told: dict[str, Any] = {}
    for name, value in row.items():
        if name == KEY or value is None:
            continue
        if name.endswith(("_at", "until")) and isinstance(value, int):
            told[name] = datetime.fromtimestamp(value / 1e6, UTC).isoformat()
        elif name in _JSON and isinstance(value, str):
            told[name] = _without_key(json.loads(value))
        elif isinstance(value, bytes):
            told[name] = value.decode("utf-8", "replace")
        else:
            told[name] = value
    return told


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    """An event or a stored row without what is not known."""
    kept = {name: value for name, value in row.items() if name != KEY and value is not None and value == value}
    return _json_types(kept)  # type: ignore[no-any-return]


def _without_key(said: Any) -> Any:
    return {name: value for name, value in said.items() if name != KEY} if isinstance(said, dict) else said


def _json_types(value: Any) -> Any:
    return json.loads(json.dumps(value, ensure_ascii=False, default=_as_text))


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return str(value)
