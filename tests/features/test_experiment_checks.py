"""What brand.yaml may say of an experiment."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import load_brand
from features.faults import Fault, InvalidFile
from features.starting import write_starter
from features.workspace import Workspace

SOUND = """
experiment:
  name: bolder
  arms:
    calm: {share: 0.5, policy: {name: epsilon_greedy, epsilon: 0.1}}
    brave: {share: 0.5, policy: {name: squarecb, gamma: 50.0}}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def with_text(workspace: Workspace, added: str) -> Workspace:
    text = workspace.brand_file.read_text(encoding="utf-8")
    workspace.brand_file.write_text(text + added, encoding="utf-8")
    return workspace


def the_fault(workspace: Workspace) -> Fault:
    with pytest.raises(InvalidFile) as raised:
        load_brand(workspace)
    assert len(raised.value.faults) == 1, [str(fault) for fault in raised.value.faults]
    return raised.value.faults[0]


def test_an_experiment_names_its_arms_with_their_policies(workspace: Workspace) -> None:
    experiment = load_brand(with_text(workspace, SOUND)).experiment
    assert experiment is not None
    assert {name: arm.policy.name for name, arm in experiment.arms.items()} == {
        "calm": "epsilon_greedy",
        "brave": "squarecb",
    }


@pytest.mark.parametrize(
    ("old", "new", "where", "said"),
    [
        ("brave: {share: 0.5", "brave: {share: 0.4", "experiment.arms", "add up to 0.9"),
        ("brave:", "holdout:", "experiment.arms.holdout", "not free"),
        ("gamma: 50.0", "gamma: 0.0", "experiment.arms.brave.policy.gamma", "greater than 0"),
    ],
)
def test_a_fault_in_an_experiment_is_told_where_it_stands(
    workspace: Workspace, old: str, new: str, where: str, said: str
) -> None:
    fault = the_fault(with_text(workspace, SOUND.replace(old, new)))
    assert fault.where == where
    assert said in str(fault)


def test_an_experiment_of_one_arm_is_a_fault(workspace: Workspace) -> None:
    alone = "\nexperiment: {name: bolder, arms: {calm: {share: 1.0, policy: {name: greedy}}}}\n"
    assert the_fault(with_text(workspace, alone)).where == "experiment.arms"


def test_an_experiment_that_no_placement_listens_to_is_a_fault(workspace: Workspace) -> None:
    text = workspace.brand_file.read_text(encoding="utf-8")
    own = text.replace("initiated_by:", "policy: {name: greedy}\n    initiated_by:")
    workspace.brand_file.write_text(own, encoding="utf-8")
    assert "has no placement to run in" in str(the_fault(with_text(workspace, SOUND)))
