"""Questions through a real engine: written with their decision, asked once however many ask, gone when released."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.brand import Placement, Trait
from features.erased_rows import personal_tables
from serving.engine import Engine
from serving.next_question.asked import read_asked
from serving.schemas import Context, DecisionRequest
from tests.serving.erasing_world import call
from tests.serving.tiny_shop import WEEKLY, a_shop
from tests.serving.tiny_world import NOON, TIP, an_action

NEED = Trait(
    kind="need",
    type="choice",
    choices=("dry", "oily"),
    question={"en": "Which skin?"},
    labels={"dry": {"en": "Dry"}, "oily": {"en": "Oily"}},
)
SPORT = NEED.model_copy(update={"question": {"en": "Which sport?"}})
CREAM = an_action("cream", when="need == 'dry'", expected_rate=0.5)
SHOES = an_action("shoes", when="sport == 'oily'", expected_rate=0.4)
ASKS = Placement(
    initiated_by="customer", channels=("web",), baseline="tip", fallback="tip", questions=("need", "sport")
)
DAY = timedelta(days=1)


class Shop:
    """An engine that asks for two traits, at an instant that can be moved."""

    def __init__(self, folder: Path, **placed: object) -> None:
        self.at: datetime = NOON
        asks = ASKS.model_copy(update=placed)
        workspace = a_shop(
            folder,
            TIP,
            CREAM,
            SHOES,
            traits={"need": NEED, "sport": SPORT},
            placements={"reply": asks, "weekly": WEEKLY},
        )
        self.engine = Engine(workspace, clock=lambda: self.at, draw=lambda: 0.5)

    def decide(self, conversation_id: str | None = None, **asked: Any) -> dict[str, Any]:
        return self.engine.decide(a_request(conversation_id, **asked))

    def asked(self) -> frozenset[str]:
        keys = self.engine.people.keys("ann")
        return read_asked(self.engine.reader, keys or (), at=self.at, conversation_id=None).traits


def a_request(conversation_id: str | None = None, **asked: Any) -> DecisionRequest:
    return DecisionRequest(
        customer_id="ann",
        placement="reply",
        channel="web",
        context=Context(conversation_id=conversation_id),
    ).model_copy(update=asked)


def rule_of(told: dict[str, Any], action_id: str) -> str:
    return str(next(one["rule"] for one in told["suppressed"] if one["action_id"] == action_id))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "shop")
    yield shop
    shop.engine.close()


def test_a_question_is_asked_once_and_the_next_one_in_another_conversation(shop: Shop) -> None:
    assert shop.decide("one")["action"]["id"] == "ask_need"
    again = shop.decide("one")
    assert (again["action"]["id"], rule_of(again, "ask_need")) == ("tip", "already_asked")
    assert rule_of(again, "ask_sport") == "enough_asked"
    assert shop.decide("two")["action"]["id"] == "ask_sport"
    assert shop.decide("three")["action"]["id"] == "tip"
    assert shop.asked() == {"need", "sport"}


def test_without_a_name_a_conversation_lasts_a_day(shop: Shop) -> None:
    shop.decide()
    told = shop.decide()
    (kept_away,) = [one for one in told["suppressed"] if one["action_id"] == "ask_sport"]
    assert datetime.fromisoformat(kept_away["eligible_at"]) == NOON + DAY
    shop.at = NOON + DAY - timedelta(microseconds=1)
    assert shop.decide(dry_run=True)["action"]["id"] == "tip"
    shop.at = NOON + DAY
    assert shop.decide(dry_run=True)["action"]["id"] == "ask_sport"


def test_a_dry_run_asks_nothing(shop: Shop) -> None:
    assert shop.decide(dry_run=True)["action"]["id"] == "ask_need"
    assert shop.asked() == frozenset()


def test_a_question_that_never_came_may_be_asked_again(shop: Shop) -> None:
    told = shop.decide("one")
    body = {"decision_id": told["decision_id"], "outcome": "failed", "code": "131026"}
    assert call(shop.engine, "POST", "/v1/outcomes", body).status_code < 300
    assert shop.asked() == frozenset()
    assert shop.decide("one")["action"]["id"] == "ask_need"


def test_a_reservation_that_nobody_exposed_asked_nothing_once_it_is_over(shop: Shop) -> None:
    assert shop.decide("one", defer=True)["action"]["id"] == "ask_need"
    assert rule_of(shop.decide("one", defer=True), "ask_need") == "already_asked"
    shop.at = NOON + timedelta(hours=25)
    assert shop.asked() == frozenset()
    assert shop.decide("one")["action"]["id"] == "ask_need"


def test_an_answer_is_known_in_the_very_next_decision(shop: Shop) -> None:
    told = shop.decide("one")
    (button, _) = told["message"]["replies"]
    said = {"trait": button["trait"], "answer": button["value"], "question": told["message"]["body"]}
    event = {"userId": "ann", "event": "Question Answered", "properties": said, "timestamp": NOON.isoformat()}
    assert call(shop.engine, "POST", "/v1/track", event).status_code == 202
    shop.at = NOON + timedelta(seconds=1)
    told = shop.decide("one")
    assert (told["action"]["id"], rule_of(told, "ask_need")) == ("cream", "already_known")


def test_sixteen_who_ask_at_once_for_one_customer_get_one_question(shop: Shop) -> None:
    shop.decide("before")  # asks for the need, so that only one question is left

    async def all_at_once() -> list[dict[str, Any]]:
        asked = [shop.engine.decide_soon(a_request("one")) for _ in range(16)]
        return list(await asyncio.gather(*asked))

    answers = Counter(told["action"]["id"] for told in asyncio.run(all_at_once()))
    assert answers == {"ask_sport": 1, "tip": 15}


def test_joined_customers_are_one_person_who_is_asked_once(shop: Shop) -> None:
    device = DecisionRequest(anonymous_id="device-1", placement="reply", channel="web")
    assert shop.engine.decide(device)["action"]["id"] == "ask_need"
    shop.decide()
    joined = {"userId": "ann", "anonymousId": "device-1", "traits": {}, "timestamp": NOON.isoformat()}
    assert call(shop.engine, "POST", "/v1/identify", joined).status_code == 202
    shop.at = NOON + 2 * DAY
    assert rule_of(shop.decide(), "ask_need") == "already_asked"


def test_erasure_forgets_what_was_asked(shop: Shop) -> None:
    assert "questions_asked" in personal_tables(shop.engine.reader)
