"""What a customer reads, in which locale, and why an action cannot be said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from features.brand import Brand
from features.catalogue import Action
from features.rendering import NotRenderable, RenderedMessage, render

BRAND = Brand.model_validate_json(
    """{
    "name": "Tiny", "time_zone": "Asia/Kolkata", "currency": "INR", "default_locale": "en",
    "locales": {"en": {"name": "Tiny", "formatting_locale": "en-IN"}, "hi": {"name": "टाइनी"},
                "th": {"name": "ไทนี่", "calendar": "buddhist"}},
    "traits": {"need": {"kind": "need", "type": "choice", "choices": ["dry", "oily"],
               "labels": {"dry": {"en": "dryness", "hi": "रूखापन"}, "oily": {"en": "shine"}}}},
    "goals": {"order": {"event": "Order Completed"}},
    "channels": {
        "chat": {"kind": "chat", "consent": "session", "body_limit": 60, "buttons_limit": 2, "button_label_limit": 8,
                 "session_window_hours": 24},
        "email": {"kind": "email", "consent": "required", "body_limit": 200}},
    "placements": {"reply": {"initiated_by": "customer", "channels": ["chat"], "baseline": "a", "fallback": "a"}}
    }"""
)


def an_action(renderings: dict[str, dict[str, Any]], **more: Any) -> Action:
    whole = {
        "id": "a",
        "kind": "message",
        "stage": "awareness",
        "goal": "order",
        "channels": ("chat", "email"),
        "placements": ("reply",),
        "value": 1.0,
        "expected_rate": 0.1,
        "renderings": renderings,
    }
    return Action.model_validate({**whole, **more}, strict=False)


def said(action: Action, locale: str | None = "en", channel: str = "chat", **slots: object) -> RenderedMessage:
    message = render(action, brand=BRAND, locale=locale, slots=slots, channel=channel)
    assert isinstance(message, RenderedMessage), message
    return message


def unsaid(action: Action, *, locale: str | None = "en", templated: bool = False, **slots: object) -> str:
    message = render(action, brand=BRAND, locale=locale, slots=slots, channel="chat", templated=templated)
    assert isinstance(message, NotRenderable), message
    return message.reason


HELLO = an_action({"en": {"body": "Hello"}, "hi": {"body": "नमस्ते"}})
NAMED = {"slots": {"x": {"expression": "stage"}}}


@pytest.mark.parametrize(
    ("asked", "used"),
    [("hi-IN", "hi"), ("hi", "hi"), ("hi_IN", "hi"), ("hi-Latn", "en"), ("th", "en"), (None, "en"), ("xx-!", "en")],
)
def test_the_message_says_which_locale_it_is_really_in(asked: str | None, used: str) -> None:
    assert said(HELLO, asked).locale == used


def test_everything_of_a_rendering_is_there() -> None:
    action = an_action(
        {
            "en": {
                "hook": "Look",
                "body": "Here",
                "media": {"url": "https://x.example/{{ x }}.jpg", "alt": "a {{ x }}"},
                "link": {"url": "https://x.example/{{ x }}", "label": "Go"},
                "suggested_replies": ("Yes", "No"),
            }
        },
        **NAMED,
    )
    assert said(action, x="rose").as_dict() == {
        "locale": "en",
        "hook": "Look",
        "body": "Here",
        "media": {"url": "https://x.example/rose.jpg", "kind": "image", "alt": "a rose"},
        "link": {"url": "https://x.example/rose", "label": "Go"},
        "suggested_replies": ["Yes", "No"],
        "template": None,
        "replies": [{"text": "Yes"}, {"text": "No"}],
        "items": [],
        "subject": "Look",
        "open_url": "",
        "unsubscribe_url": "",
    }


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_slot_that_is_not_known_suppresses_the_action(value: object) -> None:
    action = an_action({"en": {"body": "Hi {{ x }}, hello"}}, **NAMED)
    assert unsaid(action, x=value) == "slot_unknown: x"


def test_a_slot_that_is_not_known_takes_its_default() -> None:
    action = an_action({"en": {"body": "Hi {{ x }}"}}, slots={"x": {"expression": "stage", "default": "there"}})
    assert said(action).body == "Hi there"


def test_zero_and_false_are_known() -> None:
    action = an_action({"en": {"body": "{{ x }} points"}}, **NAMED)
    assert said(action, x=0).body == "0 points"


@pytest.mark.parametrize(
    ("asked", "written"), [("en", "₹1,00,000"), ("hi", "₹1,00,000"), ("th", "₹100,000"), ("en-US", "₹100,000")]
)
def test_money_is_written_as_people_of_that_locale_write_it(asked: str, written: str) -> None:
    action = an_action({locale: {"body": "{{ 100000 | money }}"} for locale in ("en", "hi", "th")})
    assert said(action, asked).body == written


def test_dates_are_in_the_brands_time_zone_and_the_voices_calendar() -> None:
    action = an_action({locale: {"body": "{{ x | date }}"} for locale in ("en", "hi", "th")}, **NAMED)
    late = datetime(2026, 11, 20, 20, tzinfo=UTC)  # 01:30 of the 21st in Kolkata
    assert [said(action, locale, x=late).body for locale in ("en", "hi", "th")] == [
        "21 November 2026",
        "21 नवंबर 2026",
        "21 พฤศจิกายน พ.ศ. 2569",
    ]


def test_every_text_may_name_the_voice_of_its_locale() -> None:
    body = "{{ voice.name }}, {{ voice.formality }}{% if voice.emoji %} ❤{% endif %}{{ voice.particles | join }}"
    action = an_action({locale: {"body": body} for locale in ("en", "th")})
    assert [said(action, locale).body for locale in ("en", "th")] == ["Tiny, friendly ❤", "ไทนี่, friendly ❤"]


def test_a_choice_is_called_by_its_label() -> None:
    action = an_action({locale: {"body": "{{ x | label('need') }}"} for locale in ("en", "hi")}, **NAMED)
    assert (said(action, "en", x="dry").body, said(action, "hi", x="dry").body) == ("dryness", "रूखापन")


def test_a_label_of_another_language_never_stands_in() -> None:
    action = an_action({locale: {"body": "{{ x | label('need') }}"} for locale in ("en", "hi")}, **NAMED)
    assert unsaid(action, locale="hi", x="oily") == "no_label: need.oily in hi"


@pytest.mark.parametrize(
    ("rendering", "told"),
    [
        ({"hook": "H" * 30, "body": "B" * 30}, "hook and body are 62 characters, 60 at most"),
        ({"body": "b", "suggested_replies": ("a", "b", "c")}, "3 suggested replies, 2 at most"),
        ({"body": "b", "suggested_replies": ("123456789",)}, "is 9 characters, 8 at most"),
    ],
)
def test_nothing_passes_a_limit_of_its_channel(rendering: dict[str, Any], told: str) -> None:
    assert told in unsaid(an_action({"en": rendering}))


def test_a_channel_without_buttons_shows_no_replies() -> None:
    action = an_action({"en": {"body": "b", "suggested_replies": ("a", "b")}})
    assert said(action, channel="email").suggested_replies == ()


def test_outside_the_session_window_only_a_template_is_sent() -> None:
    template = {"name": "t_v1", "language": "hi", "category": "marketing", "parameters": ("{{ 5 | money }}",)}
    action = an_action({"en": {"body": "Hello"}, "hi": {"body": "नमस्ते"}}, templates={"hi": template})
    message = render(action, brand=BRAND, locale="hi-IN", slots={}, channel="chat", templated=True)
    assert isinstance(message, RenderedMessage)
    assert message.template == {"name": "t_v1", "language": "hi", "category": "marketing", "parameters": ["₹5"]}
    assert unsaid(action, locale="en", templated=True) == "outside_session_window"
    assert unsaid(HELLO, templated=True) == "outside_session_window"


def test_a_channel_without_a_window_needs_no_template() -> None:
    message = render(HELLO, brand=BRAND, locale="en", slots={}, channel="email", templated=True)
    assert isinstance(message, RenderedMessage)
    assert message.template is None


def test_no_rendering_in_any_fallback_locale_is_told() -> None:
    assert unsaid(an_action({"th": {"body": "สวัสดี"}}), locale="hi") == "no_rendering: hi"


@pytest.mark.parametrize(
    "text", ["{{ ''.__class__.__mro__ }}", "{{ x.__init__ }}", "{{ x.append(1) }}", "{% include 'a' %}", "{{ 1 / 0 }}"]
)
def test_texts_cannot_reach_out_of_their_sandbox(text: str) -> None:
    assert unsaid(an_action({"en": {"body": text}}, **NAMED), x=[1]).startswith("template_error")


def test_a_value_cannot_move_texts_into_one_another() -> None:
    action = an_action({"en": {"hook": "{{ x }}", "body": "{{ x }}"}}, **NAMED)
    assert unsaid(action, x="a\x1eb").startswith("template_error")


def test_values_are_not_templates() -> None:
    action = an_action({"en": {"body": "{{ x }}"}}, **NAMED)
    assert said(action, x="{{ 7 * 7 }}").body == "{{ 7 * 7 }}"
