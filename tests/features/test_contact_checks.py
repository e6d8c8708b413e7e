"""What brand.yaml and catalogue.yaml may say of contact: names that exist, and hours that end."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.faults import Fault, InvalidFile
from features.starting import write_starter
from features.workspace import Workspace

SOUND = """
contact_policy:
  quiet_hours:
    - {start: "21:00", until: "08:00", channels: [email]}
    - {start: "00:00", until: "00:00", days: [sunday], then: wait}
  frequency_caps:
    weekly: {at_most: 3, rolling_days: 7}
    daily_an_action: {at_most: 1, calendar: day, each: action, channels: [whatsapp, line]}
  refusals: {not_now_days: 14, covers: tags}
  budgets:
    vouchers: {amount: 5000, every: month, actions: [bestsellers]}
  reservation_hours: 6
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def with_policy(workspace: Workspace, policy: str) -> Workspace:
    text = workspace.brand_file.read_text(encoding="utf-8")
    if "\ncontact_policy:" in text:
        text = text[: text.index("\ncontact_policy:")]
    workspace.brand_file.write_text(text + policy, encoding="utf-8")
    return workspace


def faults_of(workspace: Workspace) -> list[Fault]:
    try:
        load_catalogue(workspace, load_brand(workspace))
    except InvalidFile as invalid:
        return list(invalid.faults)
    return []


def test_a_sound_policy_is_read(workspace: Workspace) -> None:
    policy = load_brand(with_policy(workspace, SOUND)).contact_policy
    assert faults_of(workspace) == []
    assert policy.frequency_caps["weekly"].rolling is not None
    assert policy.reservation_hours == 6


@pytest.mark.parametrize(
    ("sound", "broken", "problem", "closest"),
    [
        ("channels: [email]", "channels: [emial]", "names 'emial', which does not exist.", "email"),
        ("[whatsapp, line]", "[whatsap, line]", "names 'whatsap', which does not exist.", "whatsapp"),
        ("[bestsellers]", "[bestseller]", "names 'bestseller', which does not exist.", "bestsellers"),
        ("each: action,", "each: action, tags: [nosuchtag],", "names 'nosuchtag', which does not exist.", None),
        (", days: [sunday]", "", "is quiet from '00:00' until '00:00' every day: always.", None),
    ],
)
def test_a_fault_is_told_where_it_stands(
    workspace: Workspace, sound: str, broken: str, problem: str, closest: str | None
) -> None:
    assert sound in SOUND
    (fault,) = faults_of(with_policy(workspace, SOUND.replace(sound, broken)))
    assert (fault.problem, fault.closest) == (problem, closest)
    assert "contact_policy" in fault.where


@pytest.mark.parametrize(
    ("sound", "broken"),
    [
        ("rolling_days: 7", "rolling_days: 7, calendar: week"),
        (", rolling_days: 7", ""),
        ("amount: 5000, ", ""),
        ('"21:00"', '"25:00"'),
        ("at_most: 3", "at_most: 0"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_a_fault(workspace: Workspace, sound: str, broken: str) -> None:
    assert sound in SOUND
    assert len(faults_of(with_policy(workspace, SOUND.replace(sound, broken)))) == 1


def test_an_action_is_for_a_purpose_of_the_brand(workspace: Workspace) -> None:
    text = workspace.catalogue_file.read_text(encoding="utf-8")
    workspace.catalogue_file.write_text(text.replace("    kind: offer", "    kind: offer\n    purpose: marketting", 1))
    (fault,) = faults_of(workspace)
    assert (fault.problem, fault.closest) == ("names 'marketting', which does not exist.", "marketing")
