"""What catalogue.yaml may say beside its brand, and how a fault in it is told."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path

import pytest
import yaml

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.faults import Fault, InvalidFile
from features.starting import write_starter
from features.workspace import Workspace
from tests.features.two_messages import TWO_MESSAGES

THIRD = """\
  - id: set
    kind: message
    stage: conversion
    goal: order
    channels: [whatsapp]
    placements: [chat_reply]
    value: 480
    expected_rate: 0.05
    when: n_orders >= 1.0
    slots:
      need: {expression: skin_need}
    renderings:
      en:
        body: For {{ need | label('skin_need') }}
        suggested_replies: [Show me]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def faults_of(workspace: Workspace, text: str) -> tuple[Fault, ...]:
    workspace.catalogue_file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFile) as raised:
        load_catalogue(workspace, load_brand(workspace))
    return raised.value.faults


def replaced(text: str, old: str, new: str) -> tuple[str, int]:
    assert text.count(old) == 1, old
    return text.replace(old, new), text[: text.index(old)].count("\n") + 1


def test_the_shipped_catalogue_loads(workspace: Workspace) -> None:
    catalogue = load_catalogue(workspace, load_brand(workspace))
    assert len(catalogue.actions) == 11
    assert catalogue.action("curated_set").slots["need"].default is None


def test_a_small_catalogue_loads(workspace: Workspace) -> None:
    workspace.catalogue_file.write_text(TWO_MESSAGES + THIRD, encoding="utf-8")
    assert [action.id for action in load_catalogue(workspace, load_brand(workspace)).actions] == [
        "bestsellers",
        "chat_help",
        "set",
    ]


FAULTS = {
    "a goal that does not exist": (
        "goal: order\n    channels: [whatsapp]\n",
        "goal: ordr\n    channels: [whatsapp]\n",
        "ordr",
        "order",
    ),
    "an end that is no instant by UTC": (
        "channels: [whatsapp]\n",
        "channels: [whatsapp]\n    valid_until: 9999-12-31T23:59:59-05:00\n",
        "year 9999",
        None,
    ),
    "a channel that does not exist": ("channels: [whatsapp]\n", "channels: [whatsap]\n", "whatsap", "whatsapp"),
    "a placement that does not exist": (
        "placements: [chat_reply]\n    value: 480\n    expected_rate: 0.05",
        "placements: [chat_replay]\n    value: 480\n    expected_rate: 0.05",
        "chat_replay",
        "chat_reply",
    ),
    "a name that no expression knows": ("n_orders >= 1.0", "n_ordes >= 1.0", "n_ordes", "n_orders"),
    "an expression that mixes types": ("n_orders >= 1.0", "n_orders + 1 >= 2.0", "mixes types", None),
    "types mixed behind a condition": (
        "n_orders >= 1.0",
        "stage == 'loyalty' && n_orders + 1 >= 2.0",
        "mixes types",
        None,
    ),
    "a condition that is a number": ("n_orders >= 1.0", "n_orders", "gives number", None),
    "an expression that does not parse": ("n_orders >= 1.0", "n_orders >=", "does not parse", None),
    "a function that CEL does not have": ("n_orders >= 1.0", "sqrt(n_orders) > 1.0", "sqrt", None),
    "a choice that is never given": ("n_orders >= 1.0", "skin_need == 'drynes'", "drynes", "dryness"),
    "a choice in a list that is never given": (
        "n_orders >= 1.0",
        "skin_need in ['acne', 'dulness']",
        "dulness",
        "dullness",
    ),
    "a stage that does not exist": ("n_orders >= 1.0", "stage == 'loyal'", "'loyal'", "loyalty"),
    "a slot of an unknown variable": ("expression: skin_need", "expression: skin_ned", "skin_ned", "skin_need"),
    "a text that takes no slot": ("{{ need |", "{{ ned |", "'ned'", "need"),
    "a filter that does not exist": ("| label(", "| lable(", "lable", "label"),
    "a text that is no template": ("{{ need | label('skin_need') }}", "{{ need", "not a template", None),
    "a label of no trait": ("label('skin_need')", "label('skin')", "template_error|skin", None),
    "a reply that is too long": ("[Show me]", "[Show me every single thing]", "over|25|26|27", None),
    "too many replies": ("[Show me]", "[a, b, c, d]", "4 suggested replies", None),
    "a locale of another brand": (
        "      en:\n        body: For",
        "      fr:\n        body: For",
        "not one of the brand's locales",
        None,
    ),
    "an id that is taken": ("id: set", "id: chat_help", "chat_help", None),
    "the id of sending nothing": ("id: set", "id: nothing", "nothing", None),
    "an offer that gives nothing": (
        "kind: message\n    stage: conversion",
        "kind: offer\n    stage: conversion",
        "is missing",
        None,
    ),
    "a message that gives something": (
        "    when: n_orders >= 1.0",
        "    incentive: {kind: points, value: 1, cost: 1}",
        "is given",
        None,
    ),
    "a percentage over a hundred": (
        "    when: n_orders >= 1.0",
        "    incentive: {kind: percentage, value: 150, cost: 1}",
        "100 at most",
        None,
    ),
    "less than nothing given away": (
        "    when: n_orders >= 1.0",
        "    incentive: {kind: amount, value: -5, cost: 1}",
        "0 or more",
        None,
    ),
    "a tag that stands twice": ("when: n_orders >= 1.0", "tags: [sale, rose, sale]", "'sale' again", None),
    "a channel that stands twice": ("channels: [whatsapp]\n", "channels: [whatsapp, whatsapp]\n", "again", None),
    "a rate over one": ("expected_rate: 0.05", "expected_rate: 5", "'5'", None),
    "an instant without a zone": ("when: n_orders >= 1.0", "valid_from: 2026-10-30T00:00:00", "2026-10-30", None),
    "a channel that the placement lacks": ("channels: [whatsapp]\n", "channels: [email]\n", "chat_reply", None),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_told_with_its_line_and_the_closest_name(workspace: Workspace, case: str) -> None:
    old, new, told, closest = FAULTS[case]
    text, line = replaced(TWO_MESSAGES + THIRD, old, new)
    faults = faults_of(workspace, text)
    near = [fault for fault in faults if fault.line is not None and line - 2 <= fault.line <= line + 1]
    assert any(part in str(fault) for fault in near for part in told.split("|")), [str(fault) for fault in faults]
    if closest is not None:
        assert closest in {fault.closest for fault in faults}


ALWAYS = {
    "has a condition": ("    expected_rate: 0.02\n", "    expected_rate: 0.02\n    when: is_known\n", "is given"),
    "has a slot without default": (
        "      en: {body: I am here to help}\n",
        "      en: {body: 'How, {{ s }}?'}\n    slots: {s: {expression: stage}}\n",
        "has no default",
    ),
    "lacks a channel": ("channels: [whatsapp, line, web]", "channels: [whatsapp, line]", "lacks 'web'"),
    "lacks the default locale": ("en: {body: I am here to help}", "hi: {body: कैसे मदद करूँ?}", "neither the default"),
    "expires": (
        "    expected_rate: 0.02\n",
        "    expected_rate: 0.02\n    valid_until: 2026-10-30T00:00:00+05:30\n",
        "is given",
    ),
}


@pytest.mark.parametrize("case", ALWAYS)
def test_a_fallback_can_always_be_said(workspace: Workspace, case: str) -> None:
    old, new, told = ALWAYS[case]
    text, _ = replaced(TWO_MESSAGES, old, new)
    faults = faults_of(workspace, text)
    assert any(told in fault.problem and "fallback of placement 'chat_reply'" in fault.rule for fault in faults)


def test_a_baseline_that_the_brand_sends_first_needs_a_template(workspace: Workspace) -> None:
    text = TWO_MESSAGES.replace(
        "    templates:\n      en: {name: bestsellers_v1, language: en, category: marketing}\n", ""
    )
    assert [fault.where for fault in faults_of(workspace, text)] == ["actions.bestsellers.templates"] * 2


def test_a_fallback_that_does_not_exist_is_told_with_the_placement(workspace: Workspace) -> None:
    faults = faults_of(workspace, TWO_MESSAGES.replace("id: chat_help", "id: chat_halp"))
    line = 1 + workspace.brand_file.read_text("utf-8").splitlines().index("    fallback: chat_help")
    assert [(fault.where, fault.closest) for fault in faults] == [
        (f"brand.yaml, line {line}: placements.chat_reply.fallback", "chat_halp")
    ]


def test_a_misshapen_action_hides_no_fault_of_another(workspace: Workspace) -> None:
    text = (
        (TWO_MESSAGES + THIRD).replace("stage: awareness", "stage: wonder").replace("n_orders >= 1.0", "n_ordes >= 1.0")
    )
    wheres = {fault.where for fault in faults_of(workspace, text)}
    assert {"actions.chat_help.stage", "actions.set.when"} <= wheres


SHAPES: list[object] = [
    None,
    True,
    3,
    "x",
    "",
    [],
    {},
    ["a", None],
    {"a": 1},
    "{{ x }}",
    "{% for",
    "en",
    [[]],
    {"": None},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_shape_anywhere_is_a_fault_not_a_crash(workspace: Workspace, shape: object) -> None:
    brand = load_brand(workspace)
    document = yaml.safe_load(TWO_MESSAGES + THIRD)
    for key in document["actions"][2]:
        broken = copy.deepcopy(document)
        broken["actions"][2][key] = shape
        workspace.catalogue_file.write_text(yaml.safe_dump(broken), encoding="utf-8")
        with contextlib.suppress(InvalidFile):
            load_catalogue(workspace, brand)


def test_a_slot_default_that_is_too_long_for_a_channel_is_found(workspace: Workspace) -> None:
    text, _ = replaced(
        TWO_MESSAGES + THIRD, "{expression: skin_need}", "{expression: intent, default: " + "x" * 1100 + "}"
    )
    text = text.replace("{{ need | label('skin_need') }}", "{{ need }}")
    assert any("1024 at most" in fault.problem for fault in faults_of(workspace, text))


def test_an_emoji_where_the_voice_has_none_is_a_fault(workspace: Workspace) -> None:
    text, line = replaced(TWO_MESSAGES + THIRD, "suggested_replies: [Show me]", "suggested_replies: [Show 🎁]")
    workspace.catalogue_file.write_text(text, encoding="utf-8")
    load_catalogue(workspace, load_brand(workspace))
    brand = workspace.brand_file.read_text("utf-8").replace("emoji: true", "emoji: false")
    workspace.brand_file.write_text(brand, encoding="utf-8")
    (fault,) = faults_of(workspace, text)
    assert (fault.line, "🎁" in fault.problem, "emoji: false" in fault.rule) == (line, True, True)
