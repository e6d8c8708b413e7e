"""Buttons that say something by themselves, shoppable items, subjects and coupon codes in a rendered message."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from features.brand import Brand
from features.catalogue import Action
from features.messages import COUPON_STAND_IN, LONGEST_COUPON_CODE
from features.rendering import (
    RenderedMessage,
    render,
    with_coupon,
)

BRAND = Brand.model_validate_json(
    """{
    "name": "Tiny", "time_zone": "Asia/Kolkata", "currency": "INR", "default_locale": "en",
    "locales": {"en": {"name": "Tiny", "formatting_locale": "en-IN"}},
    "goals": {"order": {"event": "Order Completed"}},
    "channels": {"chat": {"kind": "chat", "consent": "session", "body_limit": 60, "buttons_limit": 3},
                 "email": {"kind": "email", "consent": "required", "body_limit": 200}},
    "placements": {"reply": {"initiated_by": "customer", "channels": ["chat"], "baseline": "a", "fallback": "a"}}
    }"""
)


def said(rendering: dict[str, Any], channel: str = "chat", **more: Any) -> RenderedMessage:
    whole = {
        "id": "a",
        "kind": "message",
        "stage": "awareness",
        "goal": "order",
        "channels": ("chat", "email"),
        "placements": ("reply",),
        "value": 1.0,
        "expected_rate": 0.1,
        "renderings": {"en": rendering},
    }
    action = Action.model_validate(whole | more, strict=False)
    message = render(action, brand=BRAND, locale="en", slots={"n": 3}, channel=channel)
    assert isinstance(message, RenderedMessage), message
    return message


OF_A_POOL: dict[str, Any] = {
    "kind": "offer",
    "incentive": {"kind": "amount", "value": 100.0, "cost": 100.0, "coupons": "winter"},
}


def test_a_button_carries_the_trait_or_the_refusal_that_it_stands_for() -> None:
    replies = ({"text": "Dry", "trait": "need", "value": "dry"}, {"text": "Later", "refuses": "not_now"}, "More")
    message = said({"body": "b", "suggested_replies": replies})
    assert message.replies == (
        {"text": "Dry", "trait": "need", "value": "dry"},
        {"text": "Later", "refuses": "not_now"},
        {"text": "More"},
    )
    assert message.suggested_replies == ("Dry", "Later", "More")


def test_a_channel_without_buttons_carries_no_replies() -> None:
    assert said({"body": "b", "suggested_replies": ("Yes",)}, channel="email").replies == ()


def test_items_are_written_with_their_prices_and_without_what_they_lack() -> None:
    message = said(
        {
            "body": "b",
            "items": (
                {"title": "Soap {{ n }}", "url": "https://x.example/{{ n }}", "price": "{{ 49900 | money }}"},
                {"title": "Oil", "url": "https://x.example/o", "product_id": "p9", "image": "https://x.example/o.png"},
            ),
        },
        slots={"n": {"expression": "n_orders"}},
    )
    assert message.items == (
        {"title": "Soap 3", "url": "https://x.example/3", "price": "₹49,900"},
        {"title": "Oil", "url": "https://x.example/o", "image": "https://x.example/o.png", "product_id": "p9"},
    )


@pytest.mark.parametrize(
    ("rendering", "subject"),
    [
        ({"subject": "S", "hook": "H", "body": "b"}, "S"),
        ({"subject": " ", "hook": "H", "body": "b"}, "H"),
        ({"hook": "\n\nH\ni", "body": "b"}, "H"),
        ({"hook": " ", "body": "\r\nb\rc"}, "b"),
        ({"hook": "H", "body": "b"}, "H"),
        ({"hook": "H\nI", "body": "b"}, "H"),
        ({"body": "b \n\nc"}, "b"),
    ],
)
def test_the_subject_is_the_first_line_where_there_is_no_other(rendering: dict[str, Any], subject: str) -> None:
    assert said(rendering).subject == subject


def test_the_code_of_a_coupon_comes_into_every_text_that_names_it() -> None:
    message = said(
        {
            "hook": "{{ coupon_code }}",
            "body": "Code: {{ coupon_code }}",
            "subject": "{{ coupon_code }}!",
            "link": {"url": "https://x.example/?c={{ coupon_code | urlencode }}", "label": "Use {{ coupon_code }}"},
            "items": ({"title": "{{ coupon_code }}", "url": "https://x.example/{{ coupon_code }}"},),
        },
        channel="email",
        **OF_A_POOL,
    )
    coded = with_coupon(message, "WIN-7")
    assert COUPON_STAND_IN not in str(coded.as_dict())
    assert (coded.hook, coded.body, coded.subject) == ("WIN-7", "Code: WIN-7", "WIN-7!")
    assert coded.link == {"url": "https://x.example/?c=WIN-7", "label": "Use WIN-7"}
    assert coded.items == ({"title": "WIN-7", "url": "https://x.example/WIN-7"},)
    assert with_coupon(coded, "OTHER") == coded


def test_a_code_keeps_an_address_whole() -> None:
    link = {"url": "https://x.example/?c={{ coupon_code | urlencode }}&d=1", "label": "Use it"}
    message = said({"body": "b", "link": link}, **OF_A_POOL)
    approved = {"name": "a", "parameters": [COUPON_STAND_IN]}
    coded = with_coupon(replace(message, template=approved), "50%&free")
    assert coded.link == {"url": "https://x.example/?c=50%25%26free&d=1", "label": "Use it"}
    assert coded.template == {"name": "a", "parameters": ["50%&free"]}


def test_a_limit_is_judged_by_the_longest_code_that_there_may_be() -> None:
    assert len(COUPON_STAND_IN) == LONGEST_COUPON_CODE
    action = {"body": "B" * (60 - LONGEST_COUPON_CODE + 1) + "{{ coupon_code }}"}
    with pytest.raises(AssertionError, match="over_limit"):
        said(action, **OF_A_POOL)


def test_an_action_without_a_pool_has_no_code_to_name() -> None:
    with pytest.raises(AssertionError, match="coupon_code"):
        said({"body": "{{ coupon_code }}"})


def test_an_address_of_a_slot_that_is_no_web_address_suppresses_the_action() -> None:
    link = {"url": "{{ n }}://x.example", "label": "Go"}
    with pytest.raises(AssertionError, match="no_web_address"):
        said({"body": "b", "link": link}, slots={"n": {"expression": "n_orders"}})


def test_a_slot_in_an_address_is_encoded() -> None:
    message = said(
        {
            "body": "b",
            "link": {"url": "https://x.example/s?q={{ n }} days", "label": "Go"},
            "items": ({"title": "Oil", "url": "https://x.example/น้ำมัน", "image": "https://x.example/o il.png"},),
        },
        slots={"n": {"expression": "n_orders"}},
    )
    assert message.link == {"url": "https://x.example/s?q=3%20days", "label": "Go"}
    assert message.items[0]["url"].isascii()
    assert message.items[0]["image"] == "https://x.example/o%20il.png"


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"body": "{{ ' ' }}"}, "empty_text: the body"),
        ({"body": "{{ ' ' }}", "hook": "Hi"}, "empty_text: the body"),
        ({"body": "b", "link": {"url": "https://x.example", "label": "{{ '' }}"}}, "empty_text: the label of the link"),
        ({"body": "b", "suggested_replies": ("Yes", "{{ '' }}")}, "empty_text: suggested reply 2"),
        (
            {"body": "b", "items": ({"title": "{{ '' }}", "url": "https://x.example"},)},
            "empty_text: the title of item 1",
        ),
        ({"body": "b", "items": ({"title": "Oil", "url": "{{ '' }}"},)}, "no_web_address: ''"),
        ({"body": "b {{ '\\ud800' }}"}, "template_error"),
    ],
)
def test_what_would_be_read_without_words_cannot_be_said(parts: dict[str, Any], says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        said(parts)
