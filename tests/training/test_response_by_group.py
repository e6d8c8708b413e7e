"""What a policy earns in each large group, and that a harm in one of them keeps a model from being served."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from experiments.records import SCHEMA
from features.brand import Brand, load_brand
from features.starting import write_starter
from features.workspace import Workspace
from tests.training.test_response_gate import held, rows, true_rewards
from training.dataset import WorkspaceSource
from training.response.by_group import GroupGain, decided_groups, gains_by_group, harmless_by_group
from training.response.on_a_later_window import Policies
from training.response.policy_value import Estimate


def gains(n: int) -> list[GroupGain]:
    """The coupon for everybody beside the tip for everybody: it suits the first kind of customer, not the second."""
    of = rows(n)
    policies = Policies.of(of, held(of), true_rewards)
    kinds = np.where(of.X[:, 0] == 0, "first", "second").astype(object)
    everybody = np.ones(len(of), dtype=np.intp)
    return gains_by_group(policies, everybody * 2, everybody, {"segment": kinds})


def test_each_groups_gain_is_its_own() -> None:
    first, second = gains(3_000)
    assert (first.name, second.name) == ("segment first", "segment second")
    assert first.gain.value == pytest.approx(10.0, abs=4 * first.gain.error)
    assert second.gain.value == pytest.approx(-10.0, abs=4 * second.gain.error)
    assert second.other.value == pytest.approx(20.0 - 1.0, abs=4 * second.other.error)
    assert first.n + second.n == 3_000


def test_a_harm_beyond_noise_in_one_group_is_named_whatever_the_others_gain() -> None:
    check = harmless_by_group("?", gains(3_000), usual=15.0, currency="EUR")
    assert not check.passed
    assert "segment second: -" in check.answer
    assert "segment first" not in check.answer


def test_noise_is_no_harm_nor_is_what_a_group_that_earns_nothing_loses_of_it() -> None:
    group = GroupGain("stage awareness", 300, Estimate(-1.0, 0.4), Estimate(2.0, 0.3), effective_n=90.0)
    assert harmless_by_group("?", [group], usual=2.0, currency="EUR").passed
    sure = replace(group, gain=Estimate(-1.0, 0.1))
    assert not harmless_by_group("?", [sure], usual=2.0, currency="EUR").passed
    assert harmless_by_group("?", [sure], usual=20.0, currency="EUR").passed
    assert harmless_by_group("?", [], usual=2.0, currency="EUR").passed


def test_where_the_policy_was_hardly_tried_nothing_is_told_and_that_is_said() -> None:
    of = rows(3_000)
    rare = of.X[:, 0] == 1  # there the log gave the coupon to one in a hundred
    rng = np.random.default_rng(3)
    action = np.where(rare, np.where(rng.random(3_000) < 0.01, 2, 1), of.action)
    propensity = np.where(rare, np.where(action == 2, 0.01, 0.99), of.propensity)
    of = replace(of, action=action, propensity=propensity)
    policies = Policies.of(of, held(of), lambda X, actions: np.tile([10.0, 20.0, 25.0], (len(X), 1)))
    everybody = np.ones(len(of), dtype=np.intp)
    kinds = np.where(rare, "second", "first").astype(object)
    first, second = gains_by_group(policies, everybody * 2, everybody, {"segment": kinds})
    assert (first.is_told, second.is_told) == (True, False)
    check = harmless_by_group("?", [second], usual=15.0, currency="EUR")
    assert (
        check.answer
        == "there is none of which the log tells; its policy was tried too rarely to tell in segment second"
    )
    assert "1 looked at" in harmless_by_group("?", [first, second], usual=15.0, currency="EUR").answer


def test_few_are_no_group() -> None:
    assert gains(300) == []


def test_groups_are_what_was_known_when_it_was_decided(tmp_path: Path) -> None:
    write_starter(tmp_path)
    workspace = Workspace(tmp_path)
    brand = load_brand(workspace)
    name, trait = next((name, trait) for name, trait in brand.traits.items() if trait.type == "choice")
    traits = {**brand.traits, name: trait.model_copy(update={"sensitive": True})}
    source = _Source(workspace, brand.model_copy(update={"traits": traits}), (f"trait_{name}",))
    of = replace(
        rows(3),
        X=np.array([[0.0], [1.0], [np.nan]], dtype=np.float32),
        decision_id=np.array(["d0", "d1", "d2"]),
    )
    workspace.database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(workspace.database)) as connection:
        connection.executescript(SCHEMA)
        for number, (segment, asked) in enumerate([("s1", "hi"), (None, "th"), ("s1", None)]):
            connection.execute(
                "INSERT INTO decisions (decision_id, customer_key, decided_at, placement, channel, initiated_by, arm,"
                " arm_probability, policy, action_id, action_probability, distribution, record, segment, stage,"
                " locale_asked) VALUES (?, 1, 0, 'p', 'web', 'brand', 'a', 1, 'greedy', 'tip', 1, '{}', '{}', ?, ?, ?)",
                (f"d{number}", segment, "loyalty", asked),
            )
        connection.commit()
    groups = decided_groups(cast(WorkspaceSource, source), of)
    assert {kind: names.tolist() for kind, names in groups.items()} == {
        "segment": ["s1", "unknown", "s1"],
        "locale": ["hi", "th", "unknown"],
        name: [trait.choices[0], trait.choices[1], "unknown"],
    }


class _Source:
    def __init__(self, workspace: Workspace, brand: Brand, inputs: tuple[str, ...]) -> None:
        self.workspace, self.brand, self.inputs = workspace, brand, inputs
