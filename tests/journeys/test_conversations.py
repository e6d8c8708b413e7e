"""A conversation from the first word to an order, in Hindi on WhatsApp and in Thai on LINE, over HTTP.

An unknown customer is asked one question, answers, gets an offer for that answer, says "not now", is left alone with
it for as long as the brand says, and orders with the coupon code that another offer gave them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.database import connect
from features.starting import write_starter
from features.workspace import Workspace
from serving.contact.coupons import add_codes
from serving.engine import Engine
from tests.serving.erasing_world import call

EVENING = datetime(2026, 3, 1, 13, 30, tzinfo=UTC)  # 19:00 in Mumbai, 20:30 in Bangkok
COOLDOWN = timedelta(days=14)
TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Talk:
    """Who talks where, and the words that the test waits for."""

    customer: str
    channel: str
    locale: str
    question_id: str
    question: str
    answer: str  # as the customer reads it
    not_now: str
    offer: str


HINDI = Talk(
    customer="wa-919800000001",
    channel="whatsapp",
    locale="hi-IN",
    question_id="ask_skin_need_in_words",  # four choices, and WhatsApp shows three buttons
    question="अभी आपकी त्वचा को सबसे ज़्यादा किस देखभाल की ज़रूरत है?",
    answer="रूखापन",
    not_now="अभी नहीं",
    offer="रूखापन: आपके लिए हमारी पसंद की तीन चीज़ें",
)
THAI = Talk(
    customer="line-U1",
    channel="line",
    locale="th-TH",
    question_id="ask_skin_need",
    question="ตอนนี้อยากดูแลผิวเรื่องไหนมากที่สุดคะ",
    answer="ผิวแห้ง",
    not_now="ไว้ก่อนนะคะ",
    offer="เลือกมาให้ 3 ชิ้น สำหรับผิวแห้ง",
)


def a_shop(folder: Path) -> Workspace:
    """The shipped brand, which asks for a skin need, holds nobody out, and gives a code with its first offer."""
    write_starter(folder)
    workspace = Workspace(folder)
    brand = yaml.safe_load(workspace.brand_file.read_text(encoding="utf-8"))
    brand |= {"policy": {"name": "greedy"}, "holdout_rate": 0.0}
    brand["contact_policy"] = {"refusals": {"not_now_days": COOLDOWN.days, "covers": "action"}}
    brand["placements"]["chat_reply"] |= {"questions": ["skin_need", "price_preference"]}
    catalogue = yaml.safe_load(workspace.catalogue_file.read_text(encoding="utf-8"))
    actions = {action["id"]: action for action in catalogue["actions"]}
    actions["curated_set"]["expected_rate"] = 0.15
    for locale, text in {"en": "Not now", "hi": HINDI.not_now, "th": THAI.not_now}.items():
        rendering = actions["curated_set"]["renderings"][locale]
        rendering["suggested_replies"][2] = {"text": text, "refuses": "not_now"}
    coupon = actions["first_order_coupon"]
    coupon["incentive"]["coupons"] = "first_order"
    for rendering in coupon["renderings"].values():
        rendering["body"] += " {{ coupon_code }}"
    for template in coupon["templates"].values():
        template["parameters"].append("{{ coupon_code }}")
    _write(workspace.brand_file, brand)
    _write(workspace.catalogue_file, catalogue)
    return workspace


def _write(path: Path, content: object) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")


class Conversation:
    """One customer's messages and the shop's answers, at an instant that the test moves."""

    def __init__(self, workspace: Workspace, talk: Talk) -> None:
        self.talk, self.at = talk, EVENING
        self.engine = Engine(workspace, clock=lambda: self.at, draw=lambda: 0.5)

    def post(self, path: str, body: object) -> Any:
        self.at += timedelta(minutes=1)
        told = call(self.engine, "POST", path, body)
        assert told.status_code < 300, told.text
        return told.json()

    def says(self, text: str, **asked: Any) -> dict[str, Any]:
        """The customer writes; what the shop answers."""
        talk = self.talk
        context = {"inbound_text": text, "conversation_id": f"{talk.customer}-1", "session_open": True}
        where = {"placement": "chat_reply", "channel": talk.channel, "locale": talk.locale}
        return dict(self.post("/v1/decisions", {"customer_id": talk.customer, "context": context, **where, **asked}))

    def tracks(self, event: str, **properties: Any) -> None:
        """The shop's own systems say what happened."""
        self.post("/v1/track", {"userId": self.talk.customer, "event": event, "properties": properties})

    def suppressed(self, told: dict[str, Any], action_id: str) -> dict[str, Any] | None:
        return next((one for one in told["suppressed"] if one["action_id"] == action_id), None)


@pytest.fixture(params=[HINDI, THAI], ids=["hindi-whatsapp", "thai-line"])
def conversation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Conversation]:
    workspace = a_shop(tmp_path / "shop")
    talking = Conversation(workspace, request.param)
    with closing(connect(workspace.database)) as connection, connection:
        add_codes(connection, "first_order", ["WELCOME1", "WELCOME2"])
    yield talking
    talking.engine.close()


def test_from_the_first_word_to_an_order(conversation: Conversation) -> None:
    talk = conversation.talk

    asked = conversation.says("?", format=talk.channel)
    assert asked["fallback_reason"] == "unknown_customer"
    assert (asked["action"]["id"], asked["action"]["kind"]) == (talk.question_id, "question")
    assert asked["message"]["body"].splitlines()[0] == talk.question
    assert talk.answer in str(asked["formatted"])  # a button on LINE, a line to type on WhatsApp

    no_answer = conversation.says("…")
    assert no_answer["action"]["kind"] != "question"
    assert conversation.suppressed(no_answer, talk.question_id)["rule"] == "already_asked"  # type: ignore[index]
    assert conversation.suppressed(no_answer, "ask_price_preference")["rule"] == "enough_asked"  # type: ignore[index]

    said = {"channel": talk.channel, "conversation_id": f"{talk.customer}-1", "question": talk.question}
    if asked["message"]["replies"]:
        (pressed,) = [reply for reply in asked["message"]["replies"] if reply["text"] == talk.answer]
        conversation.tracks("Message Replied", payload=pressed["payload"], **said)
    else:  # they typed it, and the bot has understood
        conversation.tracks("Question Answered", trait="skin_need", answer="dryness", **said)
    offer = conversation.says(talk.answer)
    assert offer["action"]["id"] == "curated_set"
    assert offer["message"]["hook"] == talk.offer
    assert offer["message"]["locale"] == talk.locale[:2]
    assert conversation.suppressed(offer, talk.question_id)["rule"] == "already_known"  # type: ignore[index]

    (pressed,) = [reply for reply in offer["message"]["replies"] if reply["text"] == talk.not_now]
    conversation.post("/v1/outcomes", {"token": pressed["payload"]})
    refused_at = conversation.at
    other = conversation.says(talk.not_now)
    kept_away = conversation.suppressed(other, "curated_set")
    assert kept_away is not None
    assert kept_away["rule"] == "refused"
    eligible_at = datetime.fromisoformat(kept_away["eligible_at"])
    assert eligible_at == refused_at + COOLDOWN

    assert other["action"]["id"] == "first_order_coupon"
    code = other["coupon_code"]
    assert code in ("WELCOME1", "WELCOME2")
    assert code in other["message"]["body"]
    later = conversation.says("ok")  # the newest decision is not the one that earns the order
    conversation.at += timedelta(days=1)
    conversation.tracks("Order Completed", order_id=f"o-{talk.customer}", total=900, currency="INR", coupon=code)
    found = {told["decision_id"]: _outcomes(conversation, told) for told in (other, later)}
    assert found[other["decision_id"]] >= {"converted", "redeemed"}
    assert not found[later["decision_id"]] & {"converted", "redeemed"}

    for at, is_kept_away in ((eligible_at - TICK, True), (eligible_at, False)):
        conversation.at = at - timedelta(minutes=1)
        then = conversation.says("?", dry_run=True)
        assert (conversation.suppressed(then, "curated_set") is not None) == is_kept_away


def _outcomes(conversation: Conversation, told: dict[str, Any]) -> set[str]:
    found = call(conversation.engine, "GET", f"/v1/decisions/{told['decision_id']}").json()
    return {outcome["outcome"] for outcome in found["outcomes"]}
