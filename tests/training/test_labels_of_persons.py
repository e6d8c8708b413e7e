"""Customers who turned out to be one person have that person's orders, whichever of their keys a row has."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.contract import EVENT_SCHEMA
from features.database import connect
from features.history import open_workspace
from features.identity import IdentityTable
from features.lake import Lake, instant_us
from features.starting import write_starter
from features.workspace import Workspace
from training.labels import label_window, read_orders

DAY = timedelta(days=1)
START = datetime.fromisoformat("2024-06-01T12:00:00+00:00")


def an_order(key: int, number: int, *, at: datetime) -> dict[str, Any]:
    named = {"event_id": f"e{key}-{number}", "customer_key": key, "event": "Order Completed", "order_id": f"o{number}"}
    return named | {"occurred_at": at, "received_at": at, "backfilled": False, "total": 10.0}


def a_shop(root: Path, orders: Callable[[int, int], list[dict[str, Any]]]) -> tuple[Workspace, int, int]:
    """A workspace in which a device and a user were joined on the third day: its lake holds these orders of theirs."""
    workspace = Workspace(root)
    write_starter(root)
    connection = connect(workspace.database)
    identity = IdentityTable(connection)
    user, device = identity.key_or_new("asha"), identity.key_or_new("browser", "anonymous")
    joined = identity.join(user_id="asha", anonymous_id="browser", at_us=instant_us(START + 3 * DAY))
    connection.close()
    assert (joined.key, joined.merged_from) == (user, device)
    rows = [{name: _naive(row.get(name)) for name in EVENT_SCHEMA.names} for row in orders(user, device)]
    with Lake(workspace.lake).writer() as writer:
        writer.write(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA))
    return workspace, user, device


def _naive(value: Any) -> Any:
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


def test_a_label_counts_the_orders_of_the_whole_person(tmp_path: Path) -> None:
    workspace, user, device = a_shop(
        tmp_path, lambda user, device: [an_order(device, 1, at=START + DAY), an_order(user, 2, at=START + 9 * DAY)]
    )
    within = open_workspace(workspace.root).orders_within(START, horizon_days=7)
    assert within.set_index("customer_key")["n_orders_within"].to_dict() == {user: 1, device: 1}
    orders = read_orders(workspace, event="Order Completed", known_until=START + 30 * DAY)
    assert orders.customers_within(label_window(START, 7)).tolist() == sorted([user, device])
    assert orders.n_within(label_window(START, 30)) == 2


def test_one_order_told_under_both_keys_is_one_order(tmp_path: Path) -> None:
    workspace, user, device = a_shop(
        tmp_path, lambda user, device: [an_order(device, 1, at=START + DAY), an_order(user, 1, at=START + 2 * DAY)]
    )
    within = open_workspace(workspace.root).orders_within(START, horizon_days=7).set_index("customer_key")
    assert within.loc[[user, device], "revenue_within"].tolist() == [10.0, 10.0]
    assert (
        read_orders(workspace, event="Order Completed", known_until=START + 30 * DAY).n_within(label_window(START, 7))
        == 1
    )
