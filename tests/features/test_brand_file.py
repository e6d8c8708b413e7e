"""What brand.yaml may say, and how a fault in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import Brand, load_brand
from features.faults import CallersMistake, Fault, InvalidFile
from features.starting import write_starter
from features.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def changed(workspace: Workspace, old: str, new: str) -> int:
    """Replaces a text of brand.yaml that is there once; gives the line of the new one."""
    text = workspace.brand_file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    workspace.brand_file.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def faults_of(workspace: Workspace) -> tuple[Fault, ...]:
    with pytest.raises(InvalidFile) as raised:
        load_brand(workspace)
    return raised.value.faults


def the_fault(workspace: Workspace) -> Fault:
    faults = faults_of(workspace)
    assert len(faults) == 1, [str(fault) for fault in faults]
    return faults[0]


def test_the_shipped_brand_loads(workspace: Workspace) -> None:
    brand = load_brand(workspace)
    assert (brand.name, brand.currency, brand.horizons_days) == ("Aurelia", "INR", (7, 30, 90))
    assert set(brand.locales) == {"en", "hi", "th"}
    assert brand.placements["weekly_message"].initiated_by == "brand"


FAULTS = {
    "a time zone that does not exist": ("Asia/Kolkata  ", "Asia/Kolkatta ", "time_zone", "Asia/Kolkata"),
    "a currency that Babel does not know": ("currency: INR", "currency: INK", "currency", "NOK"),
    "a currency in small letters": ("currency: INR", "currency: inr", "currency", None),
    "a default locale that is not spoken": ("default_locale: en ", "default_locale: enn ", "default_locale", "en"),
    "a locale that Babel does not know": ("  hi:\n    name", "  xq:\n    name", None, None),
    "an unknown key": ("margin_rate: 0.4", "margin_rates: 0.4", "rewards.margin_rates", "margin_rate"),
    "an unknown kind": ("kind: life_stage", "kind: life_stages", "traits.life_stage.kind", "life_stage"),
    "a number in quotes": ("margin_rate: 0.4", 'margin_rate: "0.4"', "rewards.margin_rate", None),
    "a rate over its limit": ("holdout_rate: 0.1", "holdout_rate: 0.9", "holdout_rate", None),
    "a channel that does not exist": ("channels: [web]", "channels: [wbe]", "placements.web_banner.channels[0]", "web"),
    "horizons out of order": ("[7, 30, 90]", "[30, 7, 90]", "horizons_days", None),
    "a choice trait without choices": (
        "choices: [value, mid, premium]",
        "choices: []",
        None,
        None,
    ),
    "a label of no choice": ("      acne: {en", "      acn: {en", "traits.skin_need.labels.acn", "acne"),
    "a name that is no name": ("  life_stage:\n", "  Life-Stage:\n", None, None),
    "a trait that is called like a score": ("  income:\n", "  segment:\n", "traits.segment", None),
    "a trait that is called like a feature": ("  income:\n", "  n_orders:\n", "traits.n_orders", None),
    "a number too large to be one": ("body_limit: 600", "body_limit: 1e999", "channels.web.body_limit", None),
    "a number of too many digits": ("body_limit: 600", f"body_limit: {'9' * 5000}", "channels.web.body_limit", None),
    "a purpose that does not exist": (
        "    kind: fact\n    type: number",
        "    kind: fact\n    purpose: marketting\n    type: number",
        "traits.income.purpose",
        "marketing",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_told_with_its_line_and_the_closest_name(workspace: Workspace, case: str) -> None:
    old, new, where, closest = FAULTS[case]
    line = changed(workspace, old, new)
    faults = faults_of(workspace)
    if where is not None:
        assert where in {fault.where for fault in faults}
        assert closest in {fault.closest for fault in faults}
    offset = new[: new.find("purpose")].count("\n") if "purpose" in new else 0
    assert any(fault.line == line + offset for fault in faults), [str(fault) for fault in faults]


def test_a_fault_says_the_value_and_the_rule(workspace: Workspace) -> None:
    line = changed(workspace, "Asia/Kolkata  ", "Asia/Kolkatta ")
    told = str(the_fault(workspace))
    assert told == (
        f"line {line}: time_zone: has the value 'Asia/Kolkatta'. "
        "It is a name of the IANA time zone database, like Asia/Kolkata. Closest: 'Asia/Kolkata'."
    )


def test_every_fault_is_told_at_once(workspace: Workspace) -> None:
    lines = [
        changed(workspace, "Asia/Kolkata  ", "Nowhere  "),
        changed(workspace, "kind: life_stage", "kind: stage_of_life"),
        changed(workspace, "margin_rate: 0.4", "margin_rate: 4"),
        changed(workspace, "channels: [web]", "channels: [wbe]"),
    ]
    faults = faults_of(workspace)
    assert [fault.line for fault in faults] == lines


def test_a_missing_key_is_told_where_it_belongs(workspace: Workspace) -> None:
    changed(workspace, "    body_limit: 600\n", "")
    fault = the_fault(workspace)
    assert (fault.where, fault.problem) == ("channels.web.body_limit", "is missing.")


def test_a_key_written_twice_is_told_with_both_lines(workspace: Workspace) -> None:
    line = changed(workspace, "holdout_rate: 0.1 ", "holdout_rate: 0.1\nholdout_rate: 0.2 ")
    fault = the_fault(workspace)
    assert (fault.line, fault.where) == (line + 1, "holdout_rate")
    assert f"first on line {line}" in fault.problem


def test_a_file_that_is_not_yaml_is_told_with_its_line(workspace: Workspace) -> None:
    workspace.brand_file.write_text("name: A\nlocales: {en: [\n", encoding="utf-8")
    fault = the_fault(workspace)
    assert fault.line == 3
    assert "is not YAML" in fault.problem


@pytest.mark.parametrize("text", ["", "just text", "- a list", "null"])
def test_a_file_of_the_wrong_form_is_a_fault_not_a_crash(workspace: Workspace, text: str) -> None:
    workspace.brand_file.write_text(text, encoding="utf-8")
    assert faults_of(workspace)


def test_bytes_that_are_not_utf8_are_a_fault(workspace: Workspace) -> None:
    workspace.brand_file.write_bytes(b"name: \xff\xfe")
    assert "UTF-8" in str(the_fault(workspace))


def test_a_missing_file_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(CallersMistake, match=r"brand\.yaml"):
        load_brand(Workspace(tmp_path))


def test_norwegian_is_a_locale_not_false(workspace: Workspace) -> None:
    changed(workspace, "  hi:\n    name: ऑरेलिया", "  no: {name: Aurelia}\n  hi:\n    name: ऑरेलिया")
    assert "no" in load_brand(workspace).locales


def test_a_byte_order_mark_and_windows_line_ends_are_read(workspace: Workspace) -> None:
    text = workspace.brand_file.read_text(encoding="utf-8").replace("\n", "\r\n")
    workspace.brand_file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_brand(workspace).name == "Aurelia"


def test_an_alias_may_not_hold_itself(workspace: Workspace) -> None:
    workspace.brand_file.write_text("name: &a [*a]\n", encoding="utf-8")
    assert any("itself" in fault.problem for fault in faults_of(workspace))


def test_anchors_and_merges_are_read(workspace: Workspace) -> None:
    changed(workspace, "  line:\n    kind: chat\n", "  line: &line\n    kind: chat\n")
    changed(
        workspace, "  email:\n    kind: email\n", "  other:\n    <<: *line\n    price: 9\n  email:\n    kind: email\n"
    )
    brand = load_brand(workspace)
    assert brand.channels["other"] == brand.channels["line"].model_copy(update={"price": 9.0})


def test_a_brand_cannot_be_changed() -> None:
    assert Brand.model_config["frozen"]
