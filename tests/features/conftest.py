"""Tiny worlds for the tests of features: a workspace of the starter brand, and events that name only what matters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from features.brand import Brand, load_brand
from features.contract import EVENT_SCHEMA
from features.event_log import LOG_SCHEMA
from features.lake import Lake
from features.starting import write_starter
from features.workspace import Workspace

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)

Event = dict[str, Any]


@pytest.fixture(scope="session")
def an_event() -> Callable[..., Event]:
    """Makes an event `days_ago` before 2024-06-01 12:00 UTC; received when it happened unless said otherwise."""
    numbers = itertools.count()

    def make(customer_key: int, event: str, *, days_ago: float = 1.0, **columns: Any) -> Event:
        at = columns.pop("occurred_at", NOON - timedelta(days=days_ago))
        return {
            "event_id": f"e{next(numbers)}",
            "customer_key": customer_key,
            "event": event,
            "occurred_at": at,
            "received_at": at,
            "backfilled": False,
        } | columns

    return make


@pytest.fixture(scope="session")
def an_order(an_event: Callable[..., Event]) -> Callable[..., Event]:
    """Makes an order with its own order_id unless said otherwise."""
    numbers = itertools.count()

    def make(customer_key: int, *, days_ago: float = 1.0, total: float | None = 100.0, **columns: Any) -> Event:
        order_id = columns.pop("order_id", f"o{next(numbers)}")
        return an_event(customer_key, "Order Completed", days_ago=days_ago, order_id=order_id, total=total, **columns)

    return make


@pytest.fixture(scope="session")
def events_table() -> Callable[..., pa.Table]:
    """Events as a table of the event log's (default) or the lake's columns."""

    def make(events: Iterable[Mapping[str, Any]], schema: pa.Schema = LOG_SCHEMA) -> pa.Table:
        rows = [{"log_seq": n} | dict(event) for n, event in enumerate(events, start=1)]
        return pa.table(
            [pa.array([_naive(row.get(name)) for row in rows], schema.field(name).type) for name in schema.names],
            schema=schema,
        )

    return make


def _naive(value: Any) -> Any:
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


@pytest.fixture(scope="session")
def a_workspace(
    tmp_path_factory: pytest.TempPathFactory, events_table: Callable[..., pa.Table]
) -> Callable[..., Workspace]:
    """Makes a workspace of the starter brand whose lake holds these events."""

    def make(events: Iterable[Mapping[str, Any]] = ()) -> Workspace:
        workspace = Workspace(tmp_path_factory.mktemp("shop"))
        write_starter(workspace.root)
        table = events_table(events, EVENT_SCHEMA)
        if table.num_rows:
            with Lake(workspace.lake).writer() as writer:
                writer.write(table)
        return workspace

    return make


@pytest.fixture(scope="session")
def starter(a_workspace: Callable[..., Workspace]) -> tuple[Workspace, Brand]:
    """The starter's workspace, with an empty lake, and its brand."""
    workspace = a_workspace()
    return workspace, load_brand(workspace)


@pytest.fixture(scope="session")
def noon() -> datetime:
    """2024-06-01 12:00 UTC: where `days_ago` counts from."""
    return NOON


@pytest.fixture
def empty_lake(tmp_path: Path) -> Lake:
    """A lake without events."""
    return Lake(tmp_path / "lake")
