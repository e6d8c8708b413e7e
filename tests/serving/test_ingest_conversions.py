"""A live event that reaches a goal is a conversion: once an order, joined to the newest decision in its window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.database import connect
from features.workspace import Workspace
from tests.serving.conftest import starter
from tests.serving.test_ingest_durable import NOON, Shop, track

DECIDED = """
INSERT INTO decisions (decision_id, customer_key, decided_at, placement, channel, initiated_by, arm, arm_probability,
    policy, action_id, action_probability, distribution, stage, record)
VALUES (?, ?, ?, 'chat_reply', 'web', 'customer', 'personalised', 0.9,
    'greedy', 'bestsellers', 1.0, '{}', 'awareness', '{}')
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    one = Shop(starter(tmp_path))
    yield one
    one.ledger.close()


def order(message_id: str, **properties: Any) -> dict[str, Any]:
    return track(message_id, event="Order Completed", properties={"order_id": "o-1", "total": 700.0, **properties})


def conversions(workspace: Workspace) -> list[tuple[str, float | None, str | None, str]]:
    with closing(connect(workspace.database)) as connection:
        query = "SELECT goal, value, decision_id, joined_by FROM outcomes WHERE outcome = 'converted' ORDER BY rowid"
        return connection.execute(query).fetchall()


def decided(shop: Shop, decision_id: str, *, days_ago: float) -> None:
    at = int((NOON - timedelta(days=days_ago) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
    shop.ledger.write(lambda connection: connection.execute(DECIDED, (decision_id, shop.key("ann"), at)))


def test_an_order_converts_the_newest_decision_of_its_window(shop: Shop) -> None:
    shop.tell(track("m0", user="ann", event="Page Viewed"))
    decided(shop, "d-old", days_ago=3)
    decided(shop, "d-new", days_ago=1)
    assert shop.tell(order("m1") | {"userId": "ann"}) == [("accepted", None)]
    assert conversions(shop.workspace) == [("order", 700.0, "d-new", "attribution_window")]


def test_an_order_is_one_conversion_however_often_it_is_told(shop: Shop) -> None:
    shop.tell(order("m1"), order("m1"), order("m2"))
    shop.tell(order("m2"), order("m3", total=1.0))
    assert [(goal, value) for goal, value, _, _ in conversions(shop.workspace)] == [("order", 700.0)]
    shop.tell(order("m4", order_id="o-2"))
    assert len(conversions(shop.workspace)) == 2


def test_a_goal_without_a_value_and_an_event_that_is_no_goal(shop: Shop) -> None:
    shop.tell(track("m1", event="Subscribed"), track("m2", event="Page Viewed"), order("m3", total=None))
    assert [(goal, value) for goal, value, _, _ in conversions(shop.workspace)] == [
        ("subscribe", None),
        ("order", None),
    ]


def test_what_is_a_dead_letter_converts_nobody(shop: Shop) -> None:
    assert shop.tell(order("m1", total="much"))[0][0] == "dead_lettered"
    with closing(connect(shop.workspace.database)) as connection:
        assert connection.execute("SELECT count(*) FROM outcomes").fetchone() == (0,)
