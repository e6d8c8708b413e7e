"""Joined customers in decisions, outcomes and views: one person, whichever key something was written under."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from features.database import connect
from features.identity import IdentityTable
from features.online import Recomputed
from features.packing import CustomerState, Missing
from features.workspace import Workspace
from serving.contact.consent import EVERY_CHANNEL, unsubscribed_channels
from serving.engine import Engine
from serving.profile import customer_view_soon
from serving.schemas import DecisionRequest, OutcomeReport
from tests.serving.erasing_world import call

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def engine(shop: Workspace) -> Iterator[Engine]:
    with Engine(shop, clock=lambda: NOON, draw=lambda: 0.5) as opened:
        yield opened


def a_request(customer_id: str, channel: str = "line") -> DecisionRequest:
    return DecisionRequest(customer_id=customer_id, placement="weekly_message", channel=channel)


def an_order(customer_key: int) -> dict[str, Any]:
    at = NOON - timedelta(days=1)
    return {
        "event_id": f"order-{customer_key}",
        "customer_key": customer_key,
        "event": "Order Completed",
        "occurred_at": at,
        "received_at": at,
        "order_id": f"{customer_key}",
        "total": 500.0,
        "currency": "INR",
    }


def join(engine: Engine, *, user_id: str, previous_id: str) -> None:
    engine.ledger.write(
        lambda connection: IdentityTable(connection).alias(previous_id=previous_id, user_id=user_id, at_us=1)
    )


def test_whoever_unsubscribed_before_a_join_is_not_written_to_after_it(engine: Engine) -> None:
    before = engine.decide(a_request("old"))
    engine.decide(a_request("new"))
    engine.record_outcomes([OutcomeReport(decision_id=before["decision_id"], outcome="unsubscribed")])
    join(engine, user_id="new", previous_id="old")
    told = engine.decide(a_request("new"))
    assert "unsubscribed" in {one["rule"] for one in told["suppressed"]}


def test_a_join_while_a_row_is_made_leaves_nobody_unknown(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("new", "old"):
        engine.decide(a_request(name))
    key = engine.key_of("old")
    assert key is not None
    engine.online.log.append([an_order(key)])
    current_soon = engine.refresher.current_soon

    async def joined_meanwhile(keys: Sequence[int]) -> CustomerState | Missing:
        if len(keys) == 1:
            join(engine, user_id="new", previous_id="old")
        return await current_soon(keys)

    monkeypatch.setattr(engine.refresher, "current_soon", joined_meanwhile)
    told = asyncio.run(engine.decide_soon(a_request("old")))
    assert (told["fallback_reason"], told["stage"]) == ("no_model", "conversion")
    (written,) = engine.reader.execute(
        "SELECT customer_key FROM decisions WHERE decision_id = ?", (told["decision_id"],)
    ).fetchone()
    assert written == engine.key_of("new")


def test_what_is_known_of_a_customer_is_recomputed_beside_the_event_loop(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.decide(a_request("new"))
    key = engine.key_of("new")
    assert key is not None
    engine.online.log.append([an_order(key)])
    threads = []
    recompute = engine.online.recompute

    def noted(*arguments: Any, **named: Any) -> Recomputed:
        threads.append(threading.current_thread().name)
        return recompute(*arguments, **named)

    monkeypatch.setattr(engine.online, "recompute", noted)
    view = asyncio.run(customer_view_soon(engine, "new"))
    assert view is not None
    assert (view["features"]["n_orders"], threads) == (1.0, ["rapport-refresher"])


def test_a_decision_of_before_a_join_names_its_customer_after_it(engine: Engine) -> None:
    before = engine.decide(a_request("old"))
    join(engine, user_id="new", previous_id="old")
    told = call(engine, "GET", f"/v1/decisions/{before['decision_id']}").json()
    assert told["customer_id"] in ("old", "new")
    assert engine.key_of(told["customer_id"]) == engine.key_of("new")


def test_refusals_of_both_add_up(engine: Engine) -> None:
    decisions = {
        name: engine.decide(a_request(name, channel)) for name, channel in (("old", "line"), ("new", "whatsapp"))
    }
    engine.record_outcomes(
        [OutcomeReport(decision_id=one["decision_id"], outcome="unsubscribed") for one in decisions.values()]
    )
    join(engine, user_id="new", previous_id="old")
    key = engine.key_of("new")
    assert key is not None
    assert key == engine.key_of("old")
    assert unsubscribed_channels(engine.reader, [key]) == {key: {"line", "whatsapp"}}
    assert EVERY_CHANNEL not in unsubscribed_channels(engine.reader, [key])[key]


def test_an_outcome_that_names_the_customer_joins_the_newest_decision_of_any_of_their_keys(engine: Engine) -> None:
    engine.decide(a_request("new"))
    before = engine.ledger.write(
        lambda connection: connection.execute("UPDATE decisions SET decided_at = decided_at - 1")
    )
    assert before.rowcount == 1
    newest = engine.decide(a_request("old"))
    join(engine, user_id="new", previous_id="old")
    (recorded,) = engine.record_outcomes([OutcomeReport(customer_id="new", outcome="converted", value=10.0)])
    assert (recorded.decision_id, recorded.joined_by) == (newest["decision_id"], "attribution_window")


def test_an_outcome_by_a_devices_id_is_that_customers(engine: Engine) -> None:
    with connect(engine.workspace.database) as connection:
        key = IdentityTable(connection).key_or_new("device-7", "anonymous")
    decided = engine.decide(a_request("device-7"))
    (recorded,) = engine.record_outcomes([OutcomeReport(customer_id="device-7", outcome="clicked")])
    assert recorded.decision_id == decided["decision_id"]
    assert engine.key_of("device-7") == key


def test_a_customers_view_lists_the_decisions_of_all_their_keys(engine: Engine) -> None:
    ids = {engine.decide(a_request(name))["decision_id"] for name in ("old", "new")}
    join(engine, user_id="new", previous_id="old")
    view = asyncio.run(customer_view_soon(engine, "new"))
    assert view is not None
    assert {one["decision_id"] for one in view["decisions"]} == ids
