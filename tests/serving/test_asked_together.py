"""What one turn of an event loop asks is decided as a batch, and comes to what one after the other comes to."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.brand import Placement
from features.packing import CustomerState, Missing
from features.workspace import Workspace
from serving.deciding import Inquiry, Settled
from serving.engine import Engine
from serving.people import Keys
from serving.schemas import DecisionRequest
from tests.serving.tiny_shop import a_shop
from tests.serving.tiny_world import TIP, an_action

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HERE = {"placements": ("reply",), "channels": ("web",)}
NAMES = ("ann", "bob", "cleo", "dan")


def shop(folder: Path) -> Workspace:
    return a_shop(
        folder,
        TIP.model_copy(update=HERE),
        an_action("gift", value=90.0, expected_rate=0.5, **HERE),
        an_action("card", value=20.0, expected_rate=0.5, **HERE),
        placements={"reply": Placement(initiated_by="customer", channels=("web",), baseline="tip", fallback="tip")},
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(shop(tmp_path_factory.mktemp("shop")), clock=lambda: NOON, draw=lambda: 0.5) as opened:
        for name in NAMES:
            opened.decide(asked(name))
        yield opened


def asked(name: str, **changes: Any) -> DecisionRequest:
    return DecisionRequest(customer_id=name, placement="reply", channel="web", **changes)


def at_once(engine: Engine, requests: Sequence[DecisionRequest]) -> list[Any]:
    async def ask() -> list[Any]:
        return list(await asyncio.gather(*(engine.decide_soon(one) for one in requests), return_exceptions=True))

    return asyncio.run(ask())


def an_event(customer_key: int) -> dict[str, Any]:
    at = NOON - timedelta(minutes=1)
    return {
        "event_id": f"e-{customer_key}",
        "event": "Product Viewed",
        "occurred_at": at,
        "received_at": at,
        "customer_key": customer_key,
    }


def each_batch(engine: Engine, monkeypatch: pytest.MonkeyPatch, look: Callable[[Sequence[Inquiry]], None]) -> None:
    """Has somebody look at each batch before it is settled."""
    made = engine.deciding.settled

    def settled(inquiries: Sequence[Inquiry], *arguments: Any, **named: Any) -> list[Settled]:
        look(inquiries)
        return made(inquiries, *arguments, **named)

    monkeypatch.setattr(engine.deciding, "settled", settled)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from(("gift", "card")), unique=True), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_a_batch_is_told_what_each_would_be_alone(engine: Engine, wanted: list[tuple[str, list[str], bool]]) -> None:
    requests = [
        asked(name, excluded_actions=without or None, explain=explain, dry_run=True)
        for name, without, explain in wanted
    ]
    assert at_once(engine, requests) == [engine.decide(one) for one in requests]


def test_all_of_one_turn_are_one_batch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    each_batch(engine, monkeypatch, lambda inquiries: sizes.append(len(inquiries)))
    at_once(engine, [asked(name) for name in NAMES])
    assert sizes == [len(NAMES)]


@pytest.mark.parametrize(("fault", "told_as"), [(ArithmeticError, ArithmeticError), (StopIteration, RuntimeError)])
def test_where_a_batch_fails_only_the_request_at_fault_is_told(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, fault: type[Exception], told_as: type[Exception]
) -> None:
    def refuse_bob(inquiries: Sequence[Inquiry]) -> None:
        if any(one.request.customer_id == "bob" for one in inquiries):
            raise fault("bob")

    each_batch(engine, monkeypatch, refuse_bob)
    told = at_once(engine, [asked(name) for name in NAMES])
    assert [type(one) for one in told] == [dict, told_as, dict, dict]
    found = engine.reader.execute("SELECT count(*) FROM decisions WHERE decision_id = ?", (told[2]["decision_id"],))
    assert found.fetchone() == (1,)


def test_a_store_that_cannot_be_read_is_asked_once_a_turn(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[int] = []

    def among(keys: Sequence[Keys]) -> list[CustomerState | Missing | None]:
        asked_for.append(len(keys))
        fault = sqlite3.OperationalError("database is locked")
        fault.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise fault

    monkeypatch.setattr(engine.current, "among", among)
    told = at_once(engine, [asked(name) for name in NAMES])
    assert {type(one) for one in told} == {sqlite3.OperationalError}
    assert asked_for == [len(NAMES)]


def test_who_has_an_event_that_their_row_lacks_is_decided_on_with_it(tmp_path: Path) -> None:
    with Engine(shop(tmp_path), clock=lambda: NOON, draw=lambda: 0.5) as engine:
        for name in NAMES:
            engine.decide(asked(name))
        key = engine.key_of("bob")
        assert key is not None
        engine.online.log.append([an_event(key)])
        told = at_once(engine, [asked(name) for name in NAMES])
        assert [one["customer_id"] for one in told] == list(NAMES)
        ages = [one["features_age_seconds"] for one in told]
        assert ages[1] == 0.0, "made anew, at this instant"
        state = engine.online.read(key)
        assert isinstance(state, CustomerState)
        assert state.log_seq > 0
