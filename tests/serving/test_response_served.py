"""A promoted response model decides what an action is worth, says so, and is replayed; a rollback takes it back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from features.brand import Policy
from features.database import connect
from features.workspace import Workspace
from serving.engine import Engine
from serving.explaining.page import decision_page
from serving.ledger_rows import recorded_decision
from serving.replaying import recreating
from serving.replaying.replay import replay_decision
from serving.replaying.verdicts import as_text
from serving.schemas import DecisionRequest
from tests.serving.tiny_models import promote_response
from tests.serving.tiny_shop import WEEKLY, a_customer, a_shop
from tests.serving.tiny_world import COUPON, TIP, an_action
from training.artifact import RESPONSE, read_champions, write_champions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NEW = an_action("brand_new", value=50.0)
ON_WEB = WEEKLY.model_copy(update={"channels": ("web",)})  # the brand speaks first, and needs no consent
TRIED = ON_WEB.model_copy(update={"policy": Policy(name="squarecb")})
PLACEMENTS = {"reply": ON_WEB, "weekly": WEEKLY, "tried": TRIED}
EVERYWHERE = tuple(one.model_copy(update={"placements": tuple(PLACEMENTS)}) for one in (TIP, COUPON))

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """By the rates: the coupon 0.2 × 100 − 30 × 0.2 = 14, the tip 10, the new one 5, silence nothing."""
    workspace = a_shop(tmp_path / "shop", *EVERYWHERE, NEW, placements=PLACEMENTS)
    with Engine(workspace, clock=lambda: NOON, draw=lambda: 0.5) as engine:
        yield engine


def asked(engine: Engine, name: str, **changes: object) -> dict[str, Any]:
    request = {"customer_id": name, "placement": "reply", "channel": "web", "explain": True} | changes
    return engine.decide(DecisionRequest.model_validate(request))


def values(told: dict[str, Any]) -> dict[str, float]:
    return {one["action_id"]: one["value"] for one in told["ranking"]}


def test_once_promoted_an_action_is_worth_what_is_expected_of_it_and_the_decision_changes(engine: Engine) -> None:
    a_customer(engine, "ann", orders=2)
    before = asked(engine, "ann")
    assert before["action"]["id"] == "coupon"
    assert RESPONSE not in before["versions"]
    version = promote_response(
        engine.workspace.artifacts, engine.schema, silence=8.0, effects={"tip": 3.0, "coupon": -2.0}
    )
    after = asked(engine, "ann")
    assert values(after) == pytest.approx(
        {"tip": 11.0, "nothing": 8.0, "coupon": 6.0, "brand_new": 5.0 + (1.0 - 8.0) / 2}
    )
    assert after["action"]["id"] == "tip"
    assert after["versions"][RESPONSE] == version
    assert "The response model expects €11 of this customer with it, incentives paid, and €8 if nothing" in " ".join(
        after["reasons"]
    )


def test_what_is_expected_is_of_this_customer(engine: Engine) -> None:
    a_customer(engine, "few", orders=1)
    a_customer(engine, "many", orders=5)
    promote_response(
        engine.workspace.artifacts,
        engine.schema,
        silence=8.0,
        effects={"tip": 2.0, "coupon": 5.0},
        an_order_adds={"coupon": -2.0},
    )
    assert asked(engine, "few")["action"]["id"] == "coupon"
    assert asked(engine, "many")["action"]["id"] == "tip"
    assert values(asked(engine, "few"))["coupon"] == pytest.approx(8.0 + 5.0 - 2.0)
    assert values(asked(engine, "many"))["coupon"] == pytest.approx(8.0 + 5.0 - 10.0)


def test_whoever_is_not_known_keeps_the_rates_whoever_was_asked_before(
    engine: Engine,
) -> None:
    a_customer(engine, "ann", orders=2)
    by_rates = values(asked(engine, "stranger"))
    promote_response(engine.workspace.artifacts, engine.schema, silence=8.0, effects={"tip": 30.0, "coupon": 1.0})
    assert values(asked(engine, "ann"))["tip"] == pytest.approx(38.0)
    stranger = asked(engine, "stranger")
    assert stranger["fallback_reason"] == "unknown_customer"
    assert values(stranger) == pytest.approx(by_rates)
    assert values(asked(engine, "ann"))["tip"] == pytest.approx(38.0)


def test_what_the_model_cannot_speak_of_competes_whatever_comes_anyway_and_says_why(engine: Engine) -> None:
    a_customer(engine, "ann", orders=2)
    for day, silence in enumerate((0.0, 200.0), start=1):
        promote_response(
            engine.workspace.artifacts,
            engine.schema,
            silence=silence,
            effects={"tip": 1.0, "coupon": 2.0},
            as_of=f"2026-03-0{day}",
        )
        told = asked(engine, "ann")
        assert values(told)["brand_new"] == pytest.approx(silence + 5.0 + (1.0 - 10.0 + 2.0 - 14.0) / 2)
        new = next(one for one in told["explanation"]["values"] if one["action_id"] == "brand_new")
        assert sum(part["amount"] for part in new["parts"]) == pytest.approx(values(told)["brand_new"])
        assert new["parts"][-1]["name"] == "base"
        assert replay_decision(engine.workspace, told["decision_id"]).is_same
    one_more_known = {"tip": 30.0, "coupon": 2.0}  # the rates of the others were too low here, so is the new one's
    promote_response(engine.workspace.artifacts, engine.schema, silence=8.0, effects=one_more_known, as_of="2026-03-05")
    assert values(asked(engine, "ann"))["brand_new"] == pytest.approx(5.0 + (28.0 - 4.0) / 2)


def test_squarecb_weighs_what_actions_add_not_what_comes_anyway(engine: Engine) -> None:
    a_customer(engine, "ann", orders=2)
    gains = {"tip": 4.0, "coupon": 2.0}
    by_silence = []
    for day, silence in enumerate((0.0, 200.0), start=1):
        promote_response(
            engine.workspace.artifacts, engine.schema, silence=silence, effects=gains, as_of=f"2026-03-0{day}"
        )
        told = asked(engine, "ann", placement="tried")
        by_silence.append({one["action_id"]: one["probability"] for one in told["ranking"]})
    assert by_silence[1] == pytest.approx(by_silence[0])


def test_where_the_brand_speaks_first_and_silence_is_not_spoken_of_the_model_is_not_asked(engine: Engine) -> None:
    a_customer(engine, "ann", orders=2)
    by_rates = values(asked(engine, "ann"))
    promote_response(engine.workspace.artifacts, engine.schema, silence=8.0, effects={"tip": 30.0}, reference="coupon")
    told = asked(engine, "ann")
    assert RESPONSE in told["versions"]
    assert values(told) == pytest.approx(by_rates)


def test_the_explanation_names_the_uplift_and_what_of_the_customer_it_rests_on(engine: Engine) -> None:
    a_customer(engine, "many", orders=3)
    promote_response(
        engine.workspace.artifacts,
        engine.schema,
        silence=8.0,
        effects={"tip": 1.0, "coupon": 0.0},
        an_order_adds={"tip": 2.0},
    )
    told = asked(engine, "many")
    explanation = told["explanation"]
    tip = next(one for one in explanation["values"] if one["action_id"] == "tip")
    assert [(part["name"], part["amount"]) for part in tip["parts"]] == [("silence", 8.0), ("uplift", 7.0)]
    response = explanation["response"]
    assert response["action_id"] == "tip"
    assert response["reward"] == pytest.approx(15.0)
    assert response["base"] + sum(one["contribution"] for one in response["contributions"]) == pytest.approx(15.0)
    (orders,) = response["contributions"]
    assert (orders["name"], orders["contribution"]) == ("n_orders", pytest.approx(6.0))
    assert orders["in_words"].startswith("Orders with distinct order ids, ever is 3 orders: €6 more")
    page = decision_page(engine.workspace, told["decision_id"]) or ""
    assert "What it is expected to earn" in page
    assert "3 orders: €6 more" in page


def test_a_price_is_taken_off_and_an_incentive_is_in_the_reward(engine: Engine) -> None:
    a_customer(engine, "ann", orders=1)
    promote_response(engine.workspace.artifacts, engine.schema, silence=8.0, effects={"coupon": 4.0})
    request = DecisionRequest(customer_id="ann", placement="weekly", channel="mail", explain=True)
    engine.online.refresh([engine.key_of("ann") or 0], now=NOON)
    told = engine.decide(request)
    kept_away = {one["action_id"] for one in told["suppressed"]}
    assert kept_away == {"tip", "coupon", "brand_new"}  # no consent to mail
    assert values(told) == pytest.approx({"nothing": 8.0})


def test_what_was_decided_by_it_is_decided_once_more_byte_for_byte_after_a_rollback_too(engine: Engine) -> None:
    artifacts = engine.workspace.artifacts
    a_customer(engine, "ann", orders=2)
    by_rates = asked(engine, "ann")
    promote_response(artifacts, engine.schema, silence=8.0, effects={"tip": 3.0, "coupon": 1.0})
    by_model, told = asked(engine, "ann"), asked(engine, "ann", context={"traits": {"income": 30_000}})
    champions = read_champions(artifacts)
    champions.pop(RESPONSE)
    write_champions(artifacts, champions)
    again = asked(engine, "ann")
    assert values(again) == values(by_rates)
    assert RESPONSE not in again["versions"]
    for one in (by_rates, by_model, told, again):
        verdict = replay_decision(engine.workspace, one["decision_id"])
        assert verdict.is_same, as_text(verdict)
    recorded = record_of(engine.workspace, by_model["decision_id"])
    assert '"reward":11.0' in recorded
    shutil.rmtree(artifacts / RESPONSE)
    recreating._MODELS.clear()  # as another process, which has not loaded it
    assert replay_decision(engine.workspace, by_model["decision_id"]).status == "cannot"
    assert replay_decision(engine.workspace, by_rates["decision_id"]).is_same


def record_of(workspace: Workspace, decision_id: str) -> str:
    with closing(connect(workspace.database)) as connection:
        return recorded_decision(connection, decision_id) or ""


def test_a_model_that_cannot_be_loaded_leaves_the_one_before_it_and_says_so(engine: Engine) -> None:
    artifacts = engine.workspace.artifacts
    a_customer(engine, "ann", orders=2)
    promote_response(artifacts, engine.schema, silence=8.0, effects={"tip": 3.0})
    engine.models.refresh()
    good = engine.models.served.versions[RESPONSE]
    bad = promote_response(artifacts, engine.schema, silence=9.0, effects={"tip": 3.0}, as_of="2026-03-02")
    (artifacts / RESPONSE / bad / "model.json").write_text("{}", encoding="utf-8")
    assert asked(engine, "ann")["versions"][RESPONSE] == good
    assert any(RESPONSE in refusal for refusal in engine.models.served.refusals)
