"""What a response model's policy earns in each large group of customers, beside the policy that it would replace.

A group is what was known when it was decided: segment, funnel stage, placement, locale, and what the customer had
declared of a trait that the brand calls sensitive. Groups are for judging only.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.dataset import WorkspaceSource
from training.gating import RELATIVE_HARM, SURE_OF_HARM, Check
from training.groups import UNKNOWN, Names, large
from training.response.on_a_later_window import Ints, Policies
from training.response.policy_value import Estimate
from training.response.rows import ResponseRows

FEWEST_EFFECTIVE = 30.0  # decisions of its policy that a group's log is worth: below it only the model itself speaks
_AT_ONCE = 500
_KINDS = ("segment", "stage", "placement", "locale")
_QUERY = """
SELECT decision_id, segment, stage, placement, coalesce(locale_used, locale_asked)
FROM decisions WHERE decision_id IN (SELECT value FROM json_each(?))
"""


@dataclass(frozen=True, slots=True)
class GroupGain:
    """One large group.

    Attributes:
        name: its kind and its value.
        n: decisions.
        gain: of the model's policy on the other's, a decision.
        other: what the other's earned there, a decision.
        effective_n: how many decisions of the model's policy the group's log is worth.
    """

    name: str
    n: int
    gain: Estimate
    other: Estimate
    effective_n: float

    @property
    def is_told(self) -> bool:
        """Whether the log tried its policy there often enough to say anything."""
        return self.effective_n >= FEWEST_EFFECTIVE

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        told = {"group": self.name, "n": self.n, "effective_n": round(self.effective_n, 1), "is_told": self.is_told}
        return told | {"gain": self.gain.as_dict(), "rates": self.other.as_dict()}


def decided_groups(source: WorkspaceSource, rows: ResponseRows) -> dict[str, Names]:
    """By kind, each row's group; a kind of which all are one is left out.

    Args:
        source: whose ledger, features and traits.
        rows: of `ledger_rows`.
    """
    found = {kind: np.full(len(rows), UNKNOWN, dtype=object) for kind in _KINDS}
    ids = [] if rows.decision_id is None else rows.decision_id.tolist()
    row_of = {decision_id: row for row, decision_id in enumerate(ids)}
    with closing(sqlite3.connect(source.workspace.database)) as connection:
        for begin in range(0, len(ids), _AT_ONCE):
            asked = json.dumps(ids[begin : begin + _AT_ONCE])
            for decision_id, *told in connection.execute(_QUERY, (asked,)):
                for kind, name in zip(_KINDS, told, strict=True):
                    found[kind][row_of[decision_id]] = name or UNKNOWN
    found |= dict(_sensitive(source, rows))
    return {kind: names for kind, names in found.items() if len(set(names.tolist())) > 1}


def _sensitive(source: WorkspaceSource, rows: ResponseRows) -> Iterator[tuple[str, Names]]:
    """What had been declared, of traits with few values that the model is told."""
    for name, trait in source.brand.traits.items():
        column = f"trait_{name}"
        if not trait.sensitive or trait.type not in ("choice", "boolean") or column not in source.inputs:
            continue
        values: Sequence[str] = trait.choices if trait.type == "choice" else ("false", "true")
        codes = rows.X[:, list(source.inputs).index(column)]
        yield name, np.array([UNKNOWN if code != code else values[int(code)] for code in codes], dtype=object)


def gains_by_group(policies: Policies, policy: Ints, other: Ints, groups: Mapping[str, Names]) -> list[GroupGain]:
    """Of every large group, in the groups' order.

    Args:
        policies: on the judging rows.
        policy: the model's, shape `(n,)`.
        other: what it would replace, shape `(n,)`.
        groups: as `decided_groups` has them.
    """
    ours, theirs = policies.earned(policy), policies.earned(other)
    found = []
    for group in large(groups):
        judge = policies.judge.of_rows(group.rows)
        gain, earned = judge.mean((ours - theirs)[group.rows]), judge.mean(theirs[group.rows])
        effective_n = policies.effective_n(policy, among=group.rows)
        found.append(GroupGain(str(group), int(group.rows.sum()), gain, earned, effective_n))
    return found


def harmless_by_group(question: str, groups: Sequence[GroupGain], *, usual: float, currency: str) -> Check:
    """Whether it earns nowhere less by more than the margin beyond noise.

    Args:
        question: that is answered.
        groups: that are looked at.
        usual: what the other policy earned a decision of all: where a group earns hardly anything, its own share of
            that is nothing to lose.
        currency: of the brand.
    """
    worse, told = [], [one for one in groups if one.is_told]
    for one in told:
        allowed = RELATIVE_HARM * max(abs(one.other.value), abs(usual))
        if -one.gain.value > allowed and -one.gain.value > SURE_OF_HARM * one.gain.error:
            worse.append(
                f"{one.name}: {one.gain.value:+.4g} ± {one.gain.error:.4g} {currency}, allowed is {-allowed:.4g}"
            )
    if worse:
        return Check(question, False, "; ".join(worse))
    untold = [one.name for one in groups if not one.is_told]
    beside = f"; its policy was tried too rarely to tell in {', '.join(untold)}" if untold else ""
    if not told:
        return Check(question, True, f"there is none of which the log tells{beside}" if untold else "there is none")
    least = min(told, key=lambda one: one.gain.value)
    gain, is_behind = least.gain, least.gain.value < 0.0
    answer = f"{len(told)} looked at; {'behind' if is_behind else 'least ahead'} in {least.name}: {gain.value:+.4g} "
    answer += f"{currency} a decision ({gain.low:+.4g} … {gain.high:+.4g})"
    why = "" if not is_behind else f", not by more than {SURE_OF_HARM:.0f} standard errors and {RELATIVE_HARM:.0%}"
    return Check(question, True, answer + why + beside)
