"""What buttons, items, codes and providers' limits make a fault of in catalogue.yaml, in which language, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.faults import Fault, InvalidFile
from features.starting import write_starter
from features.workspace import Workspace
from tests.features.two_messages import TWO_MESSAGES

TRIED = """\
  - id: tried
    kind: KIND
    stage: conversion
    goal: order
    channels: [CHANNEL]
    placements: [chat_reply]
    value: 480
    expected_rate: 0.05
    renderings:
      en: {body: Choose, EN}
      hi: {body: चुनिए, HI}
"""
OFFER = "offer\n    incentive: {kind: amount, value: 50, cost: 50, coupons: winter}"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def load(workspace: Workspace, *, en: str, hi: str = "", channel: str = "whatsapp", kind: str = "message") -> None:
    text = (TWO_MESSAGES + TRIED).replace("KIND", kind).replace("CHANNEL", channel)
    text = text.replace(", EN}", f", {en}}}" if en else "}").replace(", HI}", f", {hi}}}" if hi else "}")
    workspace.catalogue_file.write_text(text, encoding="utf-8")
    load_catalogue(workspace, load_brand(workspace))


def faults_of(
    workspace: Workspace, *, en: str, hi: str = "", channel: str = "whatsapp", kind: str = "message"
) -> list[Fault]:
    with pytest.raises(InvalidFile) as raised:
        load(workspace, en=en, hi=hi, channel=channel, kind=kind)
    return [fault for fault in raised.value.faults if fault.where.startswith("actions.tried")]


def button(text: str, says: str) -> str:
    return f"suggested_replies: [{{text: {text}, {says}}}]"


def test_buttons_that_say_something_the_brand_knows_are_right(workspace: Workspace) -> None:
    says = ("trait: skin_need, value: acne", "refuses: not_now")
    en, hi = (
        "suggested_replies: [" + ", ".join(f"{{text: {word} {n}, {said}}}" for n, said in enumerate(says)) + "]"
        for word in ("Tap", "चुनें")
    )
    load(workspace, en=en, hi=hi)


@pytest.mark.parametrize(
    ("says", "where", "closest"),
    [
        ("trait: skin_ned, value: acne", "trait", "skin_need"),
        ("trait: skin_need, value: acn", "value", "acne"),
        ("trait: skin_need", "value", None),
        ("value: acne", "trait", None),
        ("trait: income, value: much", "value", None),
        ("trait: birthday, value: tomorrow", "value", None),
        ("trait: interests, value: skincar", "value", "skincare"),
    ],
)
def test_a_button_can_only_say_what_the_brand_knows(
    workspace: Workspace, says: str, where: str, closest: str | None
) -> None:
    faults = faults_of(workspace, en=button("Tap", says), hi=button("चुनें", says))
    assert [(fault.where, fault.closest) for fault in faults] == [
        (f"actions.tried.renderings.{locale}.suggested_replies[0].{where}", closest) for locale in ("en", "hi")
    ]


def test_a_button_says_one_thing(workspace: Workspace) -> None:
    says = "trait: skin_need, value: acne, refuses: never"
    faults = faults_of(workspace, en=button("Tap", says), hi=button("चुनें", says))
    assert {fault.problem for fault in faults} == {"declares a trait and refuses."}


def test_a_button_means_the_same_in_every_language(workspace: Workspace) -> None:
    (fault,) = faults_of(workspace, en=button("No", "refuses: never"), hi="suggested_replies: [नहीं]")
    assert fault.where == "actions.tried.renderings.hi"
    assert fault.problem == "has no suggested reply for refuses: never, which en has."


@pytest.mark.parametrize(
    ("channel", "en", "problem"),
    [
        ("whatsapp", "suggested_replies: [Yes, Yes]", "'Yes' stands 2 times"),
        ("whatsapp", "link: {url: 'https://x.example', label: This is far too long a label}", "label is 28 characters"),
        ("whatsapp", "media: {url: 'https://x.example/a.mp3', kind: audio, alt: a}", "goes with no text"),
        ("line", "media: {url: 'https://x.example/a.mp4', kind: video, alt: a}", "cannot be shown on LINE"),
        ("line", "media: {url: 'http://x.example/a.png', alt: a}", "no https address"),
        ("web", "items: [{title: Soap, url: 'shop/soap'}]", "'shop/soap'"),
        ("web", "items: [{title: Soap, url: 'https://x.example', image: 'file:///soap'}]", "'file:///soap'"),
    ],
)
def test_what_the_provider_refuses_is_told_before_it_is_sent(
    workspace: Workspace, channel: str, en: str, problem: str
) -> None:
    (fault,) = faults_of(workspace, en=en, channel=channel)
    assert fault.where == "actions.tried.renderings.en"
    assert problem in fault.problem


def test_every_limit_that_one_rendering_passes_is_told_at_once(workspace: Workspace) -> None:
    long = "a label that is much too long"
    (fault,) = faults_of(workspace, en=f"suggested_replies: [Yes, Yes, '{long}', Last]")
    assert "4 suggested replies, 3 at most" in fault.problem
    assert f"'{long}' is {len(long)} characters, 20 at most" in fault.problem
    assert "'Yes' stands 2 times" in fault.problem


def test_each_language_is_held_to_the_limits(workspace: Workspace) -> None:
    (fault,) = faults_of(workspace, en="hook: Short", hi="hook: " + "लंबा" * 300)
    assert fault.where == "actions.tried.renderings.hi"
    assert "1024 at most" in fault.problem


def test_a_template_is_held_to_what_whatsapp_approves(workspace: Workspace) -> None:
    text = workspace.catalogue_file.read_text("utf-8")
    assert "name: first_order_v1, language: th" in text
    text = text.replace("name: first_order_v1, language: th", "name: First Order, language: th")
    workspace.catalogue_file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFile) as raised:
        load_catalogue(workspace, load_brand(workspace))
    (fault,) = raised.value.faults
    assert fault.where == "actions.first_order_coupon.templates.th"
    assert "'First Order'" in fault.problem


def test_a_code_is_said_in_every_language(workspace: Workspace) -> None:
    load(workspace, en="hook: 'Your code: {{ coupon_code }}'", hi="hook: '{{ coupon_code }}'", kind=OFFER)
    for en, silent in {"hook: 'Your code: {{ coupon_code }}'": ["hi"], "hook: Your code": ["en", "hi"]}.items():
        faults = faults_of(workspace, en=en, kind=OFFER)
        assert [fault.where for fault in faults] == [f"actions.tried.renderings.{locale}" for locale in silent]
        assert {fault.problem for fault in faults} == {"does not say {{ coupon_code }}."}


def test_a_code_is_said_by_the_template_that_is_sent_once_the_session_is_over(workspace: Workspace) -> None:
    def told(parameter: str, channel: str) -> list[str]:
        template = f"{{name: tried_v1, language: en, category: marketing, parameters: ['{parameter}']}}"
        text = (TWO_MESSAGES + TRIED).replace("KIND", OFFER).replace("CHANNEL", channel)
        text = text.replace(", EN}", ", hook: '{{ coupon_code }}'}").replace(", HI}", ", hook: '{{ coupon_code }}'}")
        workspace.catalogue_file.write_text(f"{text}    templates: {{en: {template}}}\n", encoding="utf-8")
        try:
            load_catalogue(workspace, load_brand(workspace))
        except InvalidFile as wrong:
            return [f"{fault.where} {fault.problem}" for fault in wrong.faults]
        return []

    silent = "actions.tried.templates.en.parameters does not say {{ coupon_code }}."
    assert told("{{ 500 | money }}", "whatsapp") == [silent]
    assert told("{{ coupon_code }}", "whatsapp") == []
    assert told("{{ 500 | money }}", "web") == []  # it has no sessions: the template is never sent


@pytest.mark.parametrize(
    "text", ["{{ coupon_code | lower }}", "{{ coupon_code[:4] }}", "{% if coupon_code == 'a' %}b{% endif %}"]
)
def test_a_code_is_shown_as_it_is(workspace: Workspace, text: str) -> None:
    (fault,) = faults_of(workspace, en=f'hook: "{text}"', hi='hook: "{{ coupon_code | urlencode }}"', kind=OFFER)
    assert fault.where == "actions.tried.renderings.en"
    assert "changes the coupon's code" in fault.problem


def test_a_code_needs_a_pool(workspace: Workspace) -> None:
    (fault,) = faults_of(workspace, en="hook: '{{ coupon_code }}'")
    assert fault.problem == "takes 'coupon_code', which is not a slot."
    assert "pool of coupons" in fault.rule
