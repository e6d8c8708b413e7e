"""Dry runs, reservations, own ids and keys, candidates: what each way of asking writes, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from features.brand import Policy
from features.catalogue import Incentive, Rendering
from features.contact_policy import Budget, ContactPolicy, FrequencyCap, QuietHours
from features.kept_answers import forget_old_answers
from features.withdrawing import record_without
from features.workspace import Workspace
from serving.engine import Engine
from serving.http import build_app
from tests.serving.tiny_shop import WEEKLY, a_shop
from tests.serving.tiny_world import TIP, Clock, an_action

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GIFT = an_action(
    "gift", kind="offer", expected_rate=0.9, incentive=Incentive(kind="free_item", value=1.0, cost=5.0), tags=("free",)
)
CARDS = [an_action(f"card_{n}", expected_rate=0.5 - n / 100, tags=("card",)) for n in range(4)]
REPLY = {"customer_id": "ann", "placement": "reply", "channel": "web"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    coded = Incentive(kind="amount", value=5.0, cost=5.0, coupons="spring")
    return a_shop(
        tmp_path_factory.mktemp("asking") / "shop",
        TIP,
        GIFT.model_copy(update={"budget": Budget(units=500)}),
        an_action("coded", kind="offer", incentive=coded, renderings={"en": Rendering(body="{{ coupon_code }}")}),
        *CARDS,
        policy=Policy(name="greedy"),
        placements={
            "reply": WEEKLY.model_copy(
                update={"initiated_by": "customer", "channels": ("web", "chat"), "at_most_per_tag": 2}
            ),
            "weekly": WEEKLY.model_copy(update={"channels": ("web",)}),
        },
        contact_policy=ContactPolicy(
            frequency_caps={"gift": FrequencyCap(at_most=1, rolling_days=1, actions=("gift",), governs="everyone")},
            quiet_hours=(QuietHours(start="11:00", until="15:30", channels=("web",), then="wait"),),
        ),
    )


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def engine(workspace: Workspace, clock: Clock) -> Iterator[Engine]:
    with Engine(workspace, clock=clock, draw=lambda: 0.5) as engine:
        yield engine


@pytest.fixture(scope="module")
def app() -> Any:
    return build_app()


class Shop:
    """The app over one engine, without a socket."""

    def __init__(self, engine: Engine, app: Any) -> None:
        self.engine, self._app = engine, app
        app.state.engine = engine

    def ask(self, *, headers: Any = None, **body: Any) -> httpx.Response:
        return self.post("/v1/decisions", REPLY | body, headers=headers)

    def post(self, path: str, body: object, *, headers: dict[str, str] | None = None) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.post(path, json=body, headers=headers)

        return asyncio.run(send())

    def decided(self, **body: Any) -> dict[str, Any]:
        answer = self.ask(**body)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told


@pytest.fixture
def shop(engine: Engine, app: Any) -> Shop:
    return Shop(engine, app)


def everything_written(workspace: Workspace) -> str:
    with closing(sqlite3.connect(workspace.database)) as connection:
        return "\n".join(connection.iterdump())


# -- dry runs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("customer_id", ["ann", "nobody-knows-them"])
def test_a_dry_run_leaves_no_trace(shop: Shop, workspace: Workspace, customer_id: str) -> None:
    shop.decided()
    before = everything_written(workspace)
    told = shop.decided(customer_id=customer_id, dry_run=True, limit=3)
    assert everything_written(workspace) == before
    assert told["dry_run"] is True
    assert told["decision_id"] is None
    assert told["message"]["body"]


def test_a_dry_run_says_what_the_real_one_would(shop: Shop) -> None:
    real = shop.decided(customer_id="bob")
    dry = shop.decided(customer_id="bob", dry_run=True)
    assert dry["suppressed"] != real["suppressed"]  # the gift that bob really got counts, and is told
    assert [one["rule"] for one in dry["suppressed"] if one["action_id"] == "gift"] == ["frequency_cap"]
    again = shop.decided(customer_id="bob")
    assert {name: dry[name] for name in ("action", "ranking", "suppressed")} == {
        name: again[name] for name in ("action", "ranking", "suppressed")
    }


def test_a_dry_run_keeps_nothing_for_a_retry(shop: Shop) -> None:
    shop.decided(dry_run=True, decision_id="only-tried", headers={"Idempotency-Key": "only-tried"})
    assert shop.decided(decision_id="only-tried", customer_id="carl")["customer_id"] == "carl"


# -- deferring --------------------------------------------------------------------------------------------------


def test_what_is_deferred_counts_until_it_is_released(shop: Shop, clock: Clock) -> None:
    first = shop.decided(customer_id="dora", defer=True)
    assert (first["action"]["id"], first["deferred"]) == ("gift", True)
    assert shop.decided(customer_id="dora")["action"]["id"] != "gift"
    clock.now = NOON + timedelta(hours=25)
    try:
        assert shop.decided(customer_id="dora")["action"]["id"] == "gift"
    finally:
        clock.now = NOON


def test_what_is_deferred_stays_counted_once_it_was_seen(shop: Shop, clock: Clock) -> None:
    first = shop.decided(customer_id="emil", defer=True)
    clock.now = NOON + timedelta(hours=20)
    try:
        seen = shop.post(f"/v1/decisions/{first['decision_id']}/exposure", {})
        assert seen.status_code == 200, seen.text
        clock.now = NOON + timedelta(hours=30)
        assert shop.decided(customer_id="emil")["action"]["id"] != "gift"
    finally:
        clock.now = NOON


# -- the same again ---------------------------------------------------------------------------------------------


def test_the_same_key_and_body_get_the_same_answer_for_a_day(shop: Shop, clock: Clock, workspace: Workspace) -> None:
    key = {"Idempotency-Key": "f3b1"}
    first = shop.decided(customer_id="fay", headers=key)
    assert shop.decided(customer_id="fay", headers=key) == first
    clock.now = NOON + timedelta(hours=23)
    try:
        assert shop.decided(customer_id="fay", headers=key) == first
        clock.now = NOON + timedelta(hours=25)
        later = shop.decided(customer_id="fay", headers=key)
        assert later["decision_id"] != first["decision_id"]
        forget_old_answers(workspace, now=NOON + timedelta(hours=25))
        assert shop.decided(customer_id="fay", headers=key) == later
    finally:
        clock.now = NOON


def test_the_same_key_with_another_body_is_refused_and_nothing_is_written(shop: Shop, workspace: Workspace) -> None:
    shop.decided(customer_id="gus", headers={"Idempotency-Key": "used"})
    before = everything_written(workspace)
    refused = shop.ask(customer_id="gus", limit=2, headers={"Idempotency-Key": "used"})
    assert refused.status_code == 422
    assert "was already used for another question" in refused.text
    assert everything_written(workspace) == before


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused(shop: Shop, key: str) -> None:
    refused = shop.ask(headers={"Idempotency-Key": key})
    assert refused.status_code == 422
    assert "printable ASCII" in refused.text


def test_the_places_of_one_request_share_the_clients_id_and_one_answer(shop: Shop) -> None:
    places = [{"placement": "reply", "channel": "web"}, {"placement": "weekly", "channel": "web"}]
    asked = {"customer_id": "hal", "placements": places, "decision_id": "own-1"}
    first = shop.post("/v1/decisions", asked)
    assert [one["decision_id"] for one in first.json()["decisions"]] == ["own-1", "own-1.2"]
    assert shop.post("/v1/decisions", asked).json() == first.json()
    assert shop.post("/v1/decisions", asked | {"explain": True}).status_code == 409


def test_a_key_is_kept_also_where_the_decision_id_had_its_answer(shop: Shop, workspace: Workspace) -> None:
    asked = {"customer_id": "hal", "decision_id": "own-2"}
    first = shop.decided(**asked, headers={"Idempotency-Key": "k-2"})
    assert shop.decided(**asked, headers={"Idempotency-Key": "k-3"}) == first
    before = everything_written(workspace)
    for key in ("k-2", "k-3"):
        assert shop.decided(**asked, headers={"Idempotency-Key": key}) == first
        for other in ({"customer_id": "hal"}, asked | {"limit": 2}):
            refused = shop.ask(**other, headers={"Idempotency-Key": key})
            assert (refused.status_code, "already used for another question" in refused.text) == (422, True)
    assert shop.ask(**asked, limit=2, headers={"Idempotency-Key": "k-4"}).status_code == 409
    assert everything_written(workspace) == before


def test_an_id_that_a_further_place_would_get_is_another_decisions(shop: Shop, workspace: Workspace) -> None:
    shop.decided(customer_id="hal", decision_id="own-3.2")
    before = everything_written(workspace)
    places = [{"placement": "reply", "channel": "web"}, {"placement": "weekly", "channel": "web"}]
    asked = {"customer_id": "hal", "placements": places, "decision_id": "own-3"}
    refused = shop.post("/v1/decisions", asked)
    assert (refused.status_code, "'own-3.2' is the id of another" in refused.text) == (409, True)
    assert everything_written(workspace) == before
    assert shop.post("/v1/decisions", asked | {"decision_id": "own-4"}).status_code == 200
    assert shop.ask(customer_id="hal", decision_id="own-4.2").status_code == 409


# -- where and what ---------------------------------------------------------------------------------------------


def test_a_ranked_set_says_each_action_with_its_message_and_chances(shop: Shop) -> None:
    told = shop.decided(customer_id="ida", limit=4)
    said = [one["action"]["id"] for one in told["slots"]]
    assert said == ["gift", "card_0", "card_1", "tip"]  # at most two of one tag: no third card
    assert {one["action_id"] for one in told["suppressed"] if one["rule"] == "tag_limit"} == {"card_2", "card_3"}
    assert [one["probability"] for one in told["slots"]] == [1.0] * 4
    assert told["action"] == told["slots"][0]["action"]
    assert all(one["message"]["body"] for one in told["slots"])
    record = json.loads(shop.engine.reader.execute(_RECORD, (told["decision_id"],)).fetchone()[0])
    assert [slot["action_id"] for slot in record["slots"]] == said


_RECORD = "SELECT record FROM decisions WHERE decision_id = ?"


def test_of_several_channels_the_dearer_one_loses_and_what_waits_says_until_when(shop: Shop) -> None:
    told = shop.decided(customer_id="jon", channel=None, channels=["chat", "web"], placement="reply")
    assert told["channel"] == "web"  # a message on chat costs 1
    assert {one["channel"] for one in told["ranking"]} == {"chat", "web"}
    weekly = shop.decided(customer_id="jon", placement="weekly")
    assert weekly["send_at"] == "2026-03-01T15:30:00+00:00"


def test_two_places_say_two_things(shop: Shop) -> None:
    places = [{"placement": "reply", "channel": "web", "limit": 2}, {"placement": "weekly", "channel": "web"}]
    body = {"customer_id": "kim", "placements": places}
    first, second = shop.post("/v1/decisions", body).json()["decisions"]
    said = [one["action"]["id"] for one in first["slots"]] + [second["action"]["id"]]
    assert len(set(said)) == 3


def test_only_candidates_are_offered_and_what_is_excluded_is_not_even_the_fallback(shop: Shop) -> None:
    told = shop.decided(customer_id="leo", candidate_actions=["card_1", "tip"], limit=5)
    assert [one["action"]["id"] for one in told["slots"]] == ["card_1", "tip"]
    assert {one["rule"] for one in told["suppressed"]} == {"not_a_candidate"}
    nothing = shop.decided(customer_id="leo", candidate_actions=["card_1"], excluded_actions=["card_1", "tip"])
    assert nothing["action"]["id"] == "nothing"
    assert nothing["message"] is None
    assert {"card_1", "tip"} <= {one["action_id"] for one in nothing["suppressed"]}


def test_what_answers_all_the_same_is_not_told_as_suppressed(shop: Shop) -> None:
    told = shop.decided(customer_id="leo", candidate_actions=["card_1"], excluded_actions=["card_1"])
    assert (told["action"]["id"], told["fallback_reason"]) == ("tip", "nothing_eligible")
    assert {one["action_id"] for one in told["suppressed"]} >= {"card_1", "gift"}
    assert "tip" not in {one["action_id"] for one in told["suppressed"]}


def test_an_action_that_there_is_not_is_refused_with_the_names_that_there_are(shop: Shop) -> None:
    asked = {**REPLY, "candidate_actions": ["card1", "zzz"]}
    near, far = shop.post("/v1/decisions", asked).json()["errors"]
    assert "Closest: 'card_1'." in near["detail"]
    assert "There are: card_0, card_1, card_2, card_3, coded, gift, tip." in far["detail"]


def test_an_offer_without_a_code_left_is_not_made(shop: Shop) -> None:
    told = shop.decided(customer_id="mia", candidate_actions=["coded", "tip"])
    assert told["action"]["id"] == "tip"
    (one,) = [one for one in told["suppressed"] if one["action_id"] == "coded"]
    assert one["rule"] == "no_coupon_code"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"limit": 0}, "/limit"),
        ({"limit": 51}, "/limit"),
        ({"placement": "repli"}, "Closest: 'reply'"),
        ({"placement": None}, "There are: reply, weekly"),
        ({"channel": "mail"}, "There are: chat, web"),
        ({"channel": None}, "name one `channel`"),
        ({"channels": ["chat"]}, "name one `channel`"),
        ({"channel": None, "channels": []}, "/channels"),
        ({"channel": None, "channels": ["web", "web"]}, "names a channel twice"),
        ({"channel": None, "channels": ["web", "fax"]}, "/channels/1"),
        ({"placements": [{"placement": "reply", "channel": "web"}]}, "belongs into each of"),
        ({"candidate_actions": ["gifd"]}, "Closest: 'gift'"),
        ({"excluded_actions": ["tip", "no_such_action"]}, "/excluded_actions/1"),
        ({"candidate_actions": []}, "/candidate_actions"),
        ({"context": {"currency": "USD"}}, "the brand's prices are in EUR"),
        ({"dry_run": True, "defer": True}, "/defer"),
        ({"format": "fax"}, "/format"),
        ({"customer_id": "x" * 10_240}, "at most 256"),
        ({"locale": "english"}, "/locale"),
        ({"locale": "zz-ZZ"}, "The brand speaks: en, hi;"),
        ({"locale": "xen"}, "there is no language 'xen', as 'xen' has it. Closest: 'en'."),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do_and_nothing_is_written(
    shop: Shop, workspace: Workspace, body: dict[str, Any], says: str
) -> None:
    before = everything_written(workspace)
    refused = shop.ask(**body)
    assert refused.status_code == 422, refused.text
    assert refused.headers["content-type"] == "application/problem+json"
    assert says in json.dumps(refused.json(), ensure_ascii=False).replace('\\"', '"')
    assert everything_written(workspace) == before


@pytest.mark.parametrize("locale", ["fr-CA", "iw", "xog", "en-ZZ", "und"])
def test_a_language_that_the_brand_does_not_speak_falls_back_and_the_answer_names_it(shop: Shop, locale: str) -> None:
    assert shop.decided(customer_id="lea", locale=locale)["locale"] == {"asked": locale, "used": "en"}


def test_every_fault_of_every_place_is_told_at_once(shop: Shop) -> None:
    places = [{"placement": "repli", "channel": "web"}, {"placement": "reply", "channel": "fax"}]
    refused = shop.post("/v1/decisions", {"customer_id": "c", "placements": places, "excluded_actions": ["gone"]})
    pointers = {one["pointer"] for one in refused.json()["errors"]}
    assert pointers == {"/placements/0/placement", "/placements/1/channel", "/excluded_actions/0"}


@pytest.mark.parametrize(
    ("asked", "pointers"),
    [
        # What no brand would take, and what this one does not have.
        ({"limit": 0, "channel": "fax", "locale": "zz-ZZ"}, {"/limit", "/channel", "/locale"}),
        ({"context": {"traits": {"ned": "x"}, "intend": "buy"}}, {"/context/intend", "/context/traits/ned"}),
        ({"context": {"currency": 7}, "excluded_actions": ["gone"]}, {"/context/currency", "/excluded_actions/0"}),
        # Nothing is said of what only the wrong part's absence makes wrong.
        ({"customer_id": 7, "placement": "repli"}, {"/customer_id", "/placement"}),
        ({"anonymous_id": 7, "customer_id": None}, {"/anonymous_id"}),
        ({"channel": None, "channels": "web", "locale": "zz-ZZ"}, {"/channels", "/locale"}),
        (
            {"placement": None, "channel": None, "placements": [{"placement": "reply", "limit": "x"}]},
            {"/placements/0/limit"},
        ),
        ({"excluded_actions": ["gone", 7]}, {"/excluded_actions/1"}),
    ],
)
def test_what_no_brand_would_take_and_what_this_one_does_not_have_are_told_together(
    shop: Shop, asked: dict[str, Any], pointers: set[str]
) -> None:
    refused = shop.ask(**asked)
    assert refused.status_code == 422
    assert {one["pointer"] for one in refused.json()["errors"]} == pointers


@pytest.mark.parametrize("second", [{"channel": "web"}, {"channels": ["chat", "web"], "limit": 3}])
def test_a_place_is_not_asked_for_twice_on_one_channel(
    shop: Shop, workspace: Workspace, second: dict[str, Any]
) -> None:
    before = everything_written(workspace)
    places = [{"placement": "reply", "channel": "web"}, {"placement": "reply"} | second]
    refused = shop.post("/v1/decisions", {"customer_id": "kim", "placements": places})
    assert refused.status_code == 422
    (one,) = refused.json()["errors"]
    assert one["pointer"] == "/placements/1"
    assert "on web a second time" in one["detail"]
    assert "`limit`" in one["detail"]
    assert everything_written(workspace) == before
    places[1] = {"placement": "reply", "channel": "chat"}
    assert shop.post("/v1/decisions", {"customer_id": "kim", "placements": places}).status_code == 200


def test_what_was_said_in_any_slot_or_place_is_gone_with_a_withdrawn_purpose() -> None:
    one = {
        "message": {"body": "For your dry skin."},
        "slots": [{"message": {"body": "dry"}, "formatted": {"a": "dry"}}],
    }
    for kept in (one, {"decisions": [one]}):
        left = record_without(json.dumps(kept), {"need"}, {"personalisation"})
        assert "dry" not in left
