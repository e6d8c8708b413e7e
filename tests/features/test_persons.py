"""All events of a person are read, also while they move from the log into the lake."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest

from features import persons
from features.by_customer import ByCustomer
from features.contract import EVENT_SCHEMA
from features.database import connect
from features.event_log import EventLog
from features.lake import Lake
from features.workspace import Workspace


def test_an_event_that_leaves_the_log_for_the_lake_between_the_reads_is_read_once(
    a_workspace: Callable[..., Workspace],
    an_event: Callable[..., dict[str, Any]],
    events_table: Callable[..., pa.Table],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workspace, event = a_workspace(), an_event(1, "Page Viewed")
    read_log, read_lake = EventLog.of_customers, ByCustomer.events
    moves: list[str] = []

    def move_once() -> None:
        if not moves:
            moves.append("sync and prune")
            with Lake(workspace.lake).writer() as writer:
                writer.write(events_table([event], EVENT_SCHEMA))
            with closing(connect(workspace.database)) as other, other:
                other.execute("DELETE FROM event_log")

    def of_customers(self: EventLog, *given: Any, **named: Any) -> pa.Table:
        found = read_log(self, *given, **named)
        move_once()
        return found

    def events(self: ByCustomer, *given: Any, **named: Any) -> pa.Table:
        found = read_lake(self, *given, **named)
        move_once()
        return found

    monkeypatch.setattr(EventLog, "of_customers", of_customers)
    monkeypatch.setattr(ByCustomer, "events", events)
    with closing(connect(workspace.database)) as connection:
        EventLog(connection).append([event])
        found = persons.events_of(workspace, connection, [1])
    assert moves
    assert found["event_id"].to_pylist() == [event["event_id"]]
