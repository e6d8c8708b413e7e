"""An event with a token or a coupon code joins exactly its decision; the attribution window is for the rest."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.serving.joining_world import World, a_joining_shop, payload

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(a_joining_shop(tmp_path_factory.mktemp("following") / "shop"), public_url=None)
    yield world
    world.engine.close()


@pytest.fixture(autouse=True)
def another_day(world: World) -> None:
    world.clock.later(days=1)


def events(world: World, event: str) -> list[str]:
    query = "SELECT payload FROM event_log WHERE payload LIKE ? ORDER BY log_seq"
    return [row[0] for row in world.rows(query, f'%"event":"{event}"%')]


def two_decisions(world: World, customer_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    first = world.decided(customer_id)
    world.clock.later(hours=1)
    second = world.decided(customer_id)
    world.clock.later(hours=1)
    return first, second


def token_of(told: dict[str, Any]) -> str:
    return str(told["message"]["link"]["url"]).rpartition("rapport_token=")[2]


def test_pressing_a_button_that_declares_something_is_its_answer(world: World) -> None:
    told = world.decided("ann")
    verdict = world.track("Message Replied", "ann", properties={"payload": payload(told, "Dry"), "channel": "chat"})
    assert verdict["status"] == "accepted"
    (written,) = events(world, "Question Answered")
    assert '"trait":"need"' in written
    assert '"answer":"dry"' in written
    assert payload(told, "Dry") not in written  # or it would outlive a withdrawal of what it declares
    assert world.outcomes(told["decision_id"]) == [("replied", "token")]
    view = world.send("GET", "/v1/customers/ann").json()
    assert view["declared"]["need"]["value"] == "dry"


def test_an_answer_sent_with_its_own_words_keeps_them(world: World) -> None:
    told = world.decided("own")
    given = {"payload": payload(told, "Dry"), "trait": "need", "answer": "oily"}
    assert world.track("Question Answered", "own", properties=given)["status"] == "accepted"
    assert '"answer":"oily"' in events(world, "Question Answered")[-1]


def test_pressing_not_now_is_a_refusal_of_what_was_said(world: World) -> None:
    told = world.decided("busy")
    world.track("Message Replied", "busy", properties={"payload": payload(told, "Not now")})
    assert world.outcomes(told["decision_id"], "outcome, reason") == [("refused", "not_now")]
    again = world.decided("busy")
    assert [one["rule"] for one in again["suppressed"] if one["action_id"] == "hello"] == ["refused"]


def test_an_order_after_a_link_joins_the_decision_of_the_link_and_not_the_newest(world: World) -> None:
    first, second = two_decisions(world, "buyer")
    given = {"order_id": "o-1", "total": 70.0, "rapport_token": token_of(first)}
    world.track("Order Completed", "buyer", properties=given)
    assert world.outcomes(first["decision_id"]) == [("converted", "token")]
    assert world.outcomes(second["decision_id"]) == []
    world.track("Order Completed", "buyer", properties={"order_id": "o-2", "total": 70.0})
    assert world.outcomes(second["decision_id"]) == [("converted", "attribution_window")]


def test_an_order_with_a_coupon_joins_the_decision_that_gave_it_out(world: World) -> None:
    told = world.decided("saver", "deal")
    assert told["action"]["id"] == "coded"
    world.clock.later(hours=1)
    newer = world.decided("saver")
    world.clock.later(hours=1)
    given = {"order_id": "o-3", "total": 50.0, "coupon": told["coupon_code"]}
    world.track("Order Completed", "saver", properties=given)
    world.track("Order Completed", "saver", properties=given)  # told twice, with other message ids
    assert world.outcomes(told["decision_id"]) == [("redeemed", "coupon"), ("converted", "coupon")]
    assert world.outcomes(newer["decision_id"]) == []


def test_a_coupon_that_was_pasted_with_blanks_joins_its_decision(world: World) -> None:
    told = world.decided("paster", "deal")
    world.clock.later(hours=1)
    newer = world.decided("paster")
    world.clock.later(hours=1)
    given = {"order_id": "o-33", "total": 50.0, "coupon": f" {told['coupon_code']} "}
    world.track("Order Completed", "paster", properties=given)
    assert world.outcomes(told["decision_id"]) == [("redeemed", "coupon"), ("converted", "coupon")]
    assert world.outcomes(newer["decision_id"]) == []


def test_a_coupon_that_nobody_gave_out_leaves_the_order_to_the_window(world: World) -> None:
    told = world.decided("other")
    world.track("Order Completed", "other", properties={"order_id": "o-4", "total": 5.0, "coupon": "WELCOME10"})
    assert world.outcomes(told["decision_id"]) == [("converted", "attribution_window")]


def test_an_order_with_a_coupon_that_was_passed_on_stays_the_other_customer_s(world: World) -> None:
    told = world.decided("giver", "deal")
    world.track(
        "Order Completed", "friend", properties={"order_id": "o-5", "total": 5.0, "coupon": told["coupon_code"]}
    )
    friend = world.engine.key_of("friend")
    assert world.outcomes(told["decision_id"], "outcome, customer_key") == [("redeemed", friend), ("converted", friend)]


def test_an_order_of_a_device_that_nobody_signed_in_on_is_the_token_s_customer_s(world: World) -> None:
    told = world.decided("guest")
    body = {"type": "track", "event": "Order Completed", "anonymousId": "device-9"}
    given = {"order_id": "o-6", "total": 5.0, "rapport_token": token_of(told)}
    assert world.send("POST", "/v1/batch", json={"batch": [body | {"properties": given}]}).status_code == 202
    assert world.outcomes(told["decision_id"], "customer_key") == [(world.engine.key_of("guest"),)]


def test_a_page_that_the_link_led_to_is_its_click_once_an_hour(world: World) -> None:
    told = world.decided("reader")
    page = {"url": f"https://shop.example/sale?size=2&rapport_token={token_of(told)}", "search": "?size=2"}
    for kind in ("page", "page", "track"):
        body = {"type": kind, "userId": "reader", "event": "Product Viewed", "context": {"page": page}}
        assert world.send("POST", "/v1/batch", json={"batch": [body]}).status_code == 202
    assert world.outcomes(told["decision_id"]) == [("clicked", "token")]


@pytest.mark.parametrize("event", ["Message Opened", "Message Clicked", "Message Replied"])
def test_an_event_of_a_message_is_what_its_name_says(world: World, event: str) -> None:
    told = world.decided("named")
    world.track(event, "named", properties={"rapport_token": token_of(told)})
    assert world.outcomes(told["decision_id"]) == [(event.split()[1].lower(), "token")]


def test_a_forged_token_is_a_dead_letter_and_moves_nothing(world: World) -> None:
    before = world.n_outcomes()
    verdict = world.track("Product Viewed", "ann", properties={"rapport_token": "forged"})
    assert (verdict["status"], verdict["reason"]) == ("dead_lettered", "forged_token")
    assert "was not made here" in verdict["detail"]
    assert world.n_outcomes() == before


def test_a_payload_of_somebody_else_s_button_and_a_spoilt_address_are_the_caller_s_own(world: World) -> None:
    before = world.n_outcomes()
    mine = world.track("Message Replied", "ann", properties={"payload": "MENU_HELP"})
    spoilt = world.track("Product Viewed", "ann", context={"page": {"url": "https://shop.example/?rapport_token=x%"}})
    assert (mine["status"], spoilt["status"]) == ("accepted", "accepted")
    assert "MENU_HELP" in events(world, "Message Replied")[-1]
    padded = base64.urlsafe_b64encode(b"menu:choose:size:10").decode()
    assert padded.endswith("=")
    assert world.track("Message Replied", "ann", properties={"payload": padded}) | {"messageId": ""} == mine | {
        "messageId": ""
    }
    assert padded in events(world, "Message Replied")[-1]
    assert world.n_outcomes() == before


@pytest.mark.parametrize("spoil", [str.lower, lambda token: token[:30], lambda token: token[:-2] + "__"])
def test_a_reply_with_a_spoilt_payload_is_kept_and_said_to_be_spoilt(world: World, spoil: Callable[[str], str]) -> None:
    told = world.decided("spoilt")
    n_before, spoilt = len(events(world, "Message Replied")), spoil(payload(told, "Dry"))
    verdict = world.track("Message Replied", "spoilt", properties={"payload": spoilt, "step": "2"}, messageId=spoilt)
    assert (verdict["status"], verdict["reason"]) == ("accepted", "spoilt_payload")
    assert "cut short or changed" in verdict["detail"]
    replies = events(world, "Message Replied")
    assert len(replies) == n_before + 1
    assert '"step"' in replies[-1]
    assert "payload" not in replies[-1]  # what it declares would outlive a withdrawal
    assert world.outcomes(told["decision_id"]) == []


def test_a_token_of_a_decision_that_is_not_there_leaves_the_event_as_it_is(world: World) -> None:
    told = world.decided("window")
    token = world.mint.token("another-workspace-1", 0, "link")
    given = {"order_id": "o-7", "total": 5.0, "rapport_token": token}
    assert world.track("Order Completed", "window", properties=given)["status"] == "accepted"
    assert world.outcomes(told["decision_id"]) == [("converted", "attribution_window")]
