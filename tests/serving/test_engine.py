from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from experiments.records import read_decisions, read_outcomes
from features.workspace import Workspace
from serving.engine import Engine
from serving.profile import customer_view_soon, decision_view
from serving.refusals import Conflict, NotFound, RequestRefused
from serving.schemas import Context, DecisionRequest, OutcomeReport
from tests.serving.conftest import starter
from tests.serving.tiny_models import promote_next_purchase, promote_segments
from tests.serving.tiny_world import Clock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Draws:
    def __init__(self, draw: float) -> None:
        self.draw = draw

    def __call__(self) -> float:
        return self.draw


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return starter(tmp_path_factory.mktemp("engine") / "shop")


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def draws() -> Draws:
    return Draws(0.5)


@pytest.fixture(scope="module")
def engine(workspace: Workspace, clock: Clock, draws: Draws) -> Iterator[Engine]:
    with Engine(workspace, clock=clock, draw=draws) as engine:
        yield engine


def a_request(customer_id: str = "c-1", **changes: object) -> DecisionRequest:
    asked = {"customer_id": customer_id, "placement": "chat_reply", "channel": "web", "locale": "en"}
    return DecisionRequest.model_validate(asked | changes)


def personalised(engine: Engine, *, prefix: str = "c") -> str:
    """The first customer of that prefix who is not held out."""
    names = (f"{prefix}-{n}" for n in range(100))
    return next(name for name in names if not engine.decide(a_request(name))["holdout"])


def kept_away(told: dict[str, Any]) -> set[str]:
    """The rules that kept away what the catalogue's own rules would have let through."""
    return {one["rule"] for one in told["suppressed"]} - {"when", "when_unknown", "not_renderable"}


def an_order(customer_key: int, n: int, *, days_ago: float) -> dict[str, object]:
    at = NOON - timedelta(days=days_ago)
    return {
        "event_id": f"order-{customer_key}-{n}",
        "customer_key": customer_key,
        "event": "Order Completed",
        "occurred_at": at,
        "received_at": at,
        "order_id": f"{customer_key}-{n}",
        "total": 500.0,
        "currency": "INR",
    }


def test_an_unknown_customer_gets_a_useful_decision_that_explores(engine: Engine, workspace: Workspace) -> None:
    told = engine.decide(a_request(personalised(engine), explain=True))
    assert told["fallback_reason"] == "unknown_customer"
    assert any("new, or imported and not yet materialised" in reason for reason in told["reasons"])
    assert told["message"]["body"]
    assert sum(ranked["probability"] for ranked in told["ranking"]) == pytest.approx(1.0)
    assert min(ranked["probability"] for ranked in told["ranking"]) > 0
    assert told["explanation"]["draw"] == 0.5
    written = read_decisions(workspace.database).set_index("decision_id").loc[told["decision_id"]]
    assert written["action_id"] == told["action"]["id"]
    assert written["action_probability"] == told["action"]["probability"]


def test_the_first_outcome_moves_the_next_decision(engine: Engine) -> None:
    customer = personalised(engine, prefix="learner")
    before = engine.decide(a_request(customer))
    taken = before["action"]["id"]
    engine.record_outcomes([OutcomeReport(decision_id=before["decision_id"], outcome="converted")])
    after = engine.decide(a_request(customer))
    values = [{one["action_id"]: one["value"] for one in told["ranking"]} for told in (before, after)]
    assert values[1][taken] > values[0][taken]


@pytest.mark.parametrize(("outcome", "is_read_anew"), [("delivered", False), ("clicked", False), ("converted", True)])
def test_rates_are_read_anew_only_after_what_moves_them(
    engine: Engine, outcome: Literal["delivered", "clicked", "converted"], is_read_anew: bool, monkeypatch: Any
) -> None:
    monkeypatch.setattr("serving.rates.READ_AGAIN_SECONDS", float("inf"))  # however slow this machine is just now
    told = engine.decide(a_request(f"moved-{outcome}"))
    before = engine.deciding.rates(engine.stock, at=engine.now())
    engine.record_outcomes([OutcomeReport(decision_id=told["decision_id"], outcome=outcome)])
    assert (engine.deciding.rates(engine.stock, at=engine.now()) is not before) == is_read_anew


def test_a_held_out_customer_who_asks_gets_the_baseline(engine: Engine, workspace: Workspace) -> None:
    told = next(told for n in range(100) if (told := engine.decide(a_request(f"held-{n}")))["holdout"])
    assert (told["action"]["id"], told["arm"]) == ("bestsellers", "holdout")
    written = read_decisions(workspace.database).set_index("decision_id").loc[told["decision_id"]]
    assert written["would_be_action_id"] in written["distribution"]
    assert written["arm_probability"] == pytest.approx(0.1)


def test_a_customer_with_orders_is_known_and_in_a_later_stage(engine: Engine) -> None:
    customer = personalised(engine, prefix="buyer")
    key = engine.key_of(customer)
    assert key is not None
    engine.online.log.append([an_order(key, n, days_ago=10 * n + 5) for n in range(2)])
    engine.online.refresh([key], now=NOON)
    told = engine.decide(a_request(customer))
    assert (told["stage"], told["fallback_reason"]) == ("loyalty", "no_model")
    view = asyncio.run(customer_view_soon(engine, customer))
    assert view is not None
    assert view["features"]["n_orders"] == 2.0
    assert view["features_age_seconds"] == 0.0
    assert view["decisions"][0]["decision_id"] == told["decision_id"]


def test_a_live_event_is_in_the_very_next_decision(engine: Engine) -> None:
    customer = personalised(engine, prefix="live")
    key = engine.key_of(customer)
    assert key is not None
    engine.online.log.append([an_order(key, 1, days_ago=1)])
    assert engine.decide(a_request(customer))["stage"] == "conversion"


def test_features_past_their_age_are_not_used_and_the_answer_says_so(engine: Engine, clock: Clock) -> None:
    customer = personalised(engine, prefix="stale")
    key = engine.key_of(customer)
    assert key is not None
    engine.online.log.append([an_order(key, 1, days_ago=1)])
    engine.online.refresh([key], now=NOON)
    clock.now = NOON + timedelta(days=8)
    told = engine.decide(a_request(customer))
    clock.now = NOON
    assert told["fallback_reason"] == "features_stale"
    assert told["features_age_seconds"] == 8 * 86_400


def test_the_clients_own_decision_id_gives_the_same_answer_again(engine: Engine, workspace: Workspace) -> None:
    request = a_request(decision_id="mine-1")
    assert engine.decide(request) == engine.decide(request)
    assert (read_decisions(workspace.database)["decision_id"] == "mine-1").sum() == 1


def test_the_same_decision_id_for_another_question_is_a_conflict(engine: Engine) -> None:
    engine.decide(a_request(decision_id="mine-2"))
    with pytest.raises(Conflict, match="mine-2"):
        engine.decide(a_request("c-2", decision_id="mine-2"))


def test_a_batch_decides_as_a_loop_does(engine: Engine) -> None:
    requests = [a_request(f"batch-{n}") for n in range(8)]
    batch = engine.decide_many(requests)
    loop = [engine.decide(request) for request in requests]
    assert [decision.action_id for decision in batch] == [told["action"]["id"] for told in loop]
    assert [decision.action_probability for decision in batch] == pytest.approx(
        [told["action"]["probability"] for told in loop]
    )


def test_every_name_that_the_brand_lacks_is_said_at_once_with_the_closest(engine: Engine) -> None:
    with pytest.raises(RequestRefused) as refusal:
        engine.decide(
            a_request(placement="chat_replay", context=Context(traits={"skin_nead": "dryness", "income": "x"}))
        )
    pointers = [fault.pointer for fault in refusal.value.faults]
    assert pointers == ["/context/traits/skin_nead", "/context/traits/income", "/placement"]
    assert "Closest: 'chat_reply'" in str(refusal.value)
    assert "Closest: 'skin_need'" in str(refusal.value)


def test_what_the_customer_wrote_is_nowhere_in_the_ledger(engine: Engine, workspace: Workspace) -> None:
    said = {"inbound_text": "my very private words", "traits": {"income": 987654321}}
    asked = a_request("c-private", decision_id="private-1", context=said, explain=True)
    told = engine.decide(asked)
    assert engine.decide(asked) == told
    with pytest.raises(Conflict, match="another question"):
        engine.decide(a_request("c-private", decision_id="private-1", context={"inbound_text": "others"}))
    with closing(sqlite3.connect(workspace.database)) as connection:
        written = "\n".join(connection.iterdump())
    assert "private-1" in written
    assert "private words" not in written
    assert "987654321" not in written


def test_an_outcome_of_an_unknown_decision_is_not_found(engine: Engine, workspace: Workspace) -> None:
    n_before = len(read_outcomes(workspace.database))
    with pytest.raises(NotFound, match="there is no decision 'nope'"):
        engine.record_outcomes([OutcomeReport(decision_id="nope", outcome="clicked")], single=True)
    assert len(read_outcomes(workspace.database)) == n_before


def test_an_outcome_needs_exactly_one_of_decision_and_customer(engine: Engine) -> None:
    for report in (
        OutcomeReport(outcome="clicked"),
        OutcomeReport(decision_id="a", customer_id="b", outcome="clicked"),
    ):
        with pytest.raises(RequestRefused, match="exactly one"):
            engine.record_outcomes([report])


def test_a_decision_can_be_read_back_with_what_followed(engine: Engine) -> None:
    told = engine.decide(a_request("reader"))
    engine.record_outcomes(
        [OutcomeReport(decision_id=told["decision_id"], outcome="converted", goal="order", value=900.0)]
    )
    view = decision_view(engine, told["decision_id"])
    assert view is not None
    assert view["customer_id"] == "reader"
    assert [(one["outcome"], one["goal"], one["value"]) for one in view["outcomes"]] == [("converted", "order", 900.0)]
    assert decision_view(engine, "nope") is None


def test_new_champions_are_served_without_a_restart_and_a_damaged_one_is_refused(
    engine: Engine, workspace: Workspace
) -> None:
    customer = personalised(engine, prefix="scored")
    key = engine.key_of(customer)
    assert key is not None
    engine.online.log.append([an_order(key, n, days_ago=10 * n + 5) for n in range(2)])
    engine.online.refresh([key], now=NOON)
    versions = {
        "segments": promote_segments(workspace.artifacts, engine.schema),
        "next_purchase": promote_next_purchase(workspace.artifacts, engine.schema),
    }
    told = engine.decide(a_request(customer, locale="hi-IN"))
    assert told["segment"]["name"] == "नियमित"
    assert told["fallback_reason"] is None
    assert told["purchase_propensity"]["7d"] <= told["purchase_propensity"]["30d"] <= told["purchase_propensity"]["90d"]
    assert versions.items() <= told["versions"].items()
    stranger = engine.decide(a_request("stranger", context={"traits": {"skin_need": "acne"}}))
    assert stranger["segment"] is not None
    assert (stranger["purchase_propensity"], stranger["fallback_reason"]) == (None, "unknown_customer")
    newer = promote_segments(workspace.artifacts, engine.schema, as_of="2026-03-08")
    _damage(workspace.artifacts / "segments" / newer / "booster0.txt")
    assert engine.decide(a_request(customer))["versions"]["segments"] == versions["segments"]
    assert "sha256" in engine.models.served.refusals[0]


def _damage(path: Path) -> None:
    path.write_text(path.read_text() + " ")


def test_whoever_unsubscribes_is_not_written_to_again_on_that_channel(engine: Engine) -> None:
    def weekly(channel: str) -> DecisionRequest:
        return a_request("c-leaves", placement="weekly_message", channel=channel)

    before = engine.decide(weekly("line"))
    engine.record_outcomes([OutcomeReport(decision_id=before["decision_id"], outcome="unsubscribed")])
    after, elsewhere = engine.decide(weekly("line")), engine.decide(weekly("whatsapp"))
    asked = engine.decide(a_request("c-leaves", channel="line"))
    assert {one["rule"] for one in before["suppressed"]} & {"unsubscribed"} == set()
    assert kept_away(after) == {"unsubscribed"}
    assert "unsubscribed" not in {one["rule"] for one in elsewhere["suppressed"]}
    assert "unsubscribed" not in {one["rule"] for one in asked["suppressed"]}


def test_an_unsubscription_that_names_only_the_customer_counts_for_every_channel_whatever_they_last_asked(
    engine: Engine,
) -> None:
    engine.decide(a_request("c-chatted", channel="web"))
    (recorded,) = engine.record_outcomes([OutcomeReport(customer_id="c-chatted", outcome="unsubscribed")])
    told = engine.decide(a_request("c-chatted", placement="weekly_message", channel="line"))
    assert recorded.joined_by == "attribution_window"
    assert kept_away(told) == {"unsubscribed"}


def test_an_unsubscription_without_a_decision_counts_for_every_channel(engine: Engine) -> None:
    engine.record_outcomes([OutcomeReport(customer_id="c-leaves-all", outcome="unsubscribed")])
    told = engine.decide(a_request("c-leaves-all", placement="weekly_message", channel="whatsapp"))
    assert kept_away(told) == {"unsubscribed"}
