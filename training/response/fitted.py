"""A response model, fitted: the learner that was chosen, as terms, with all that was measured on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.response.actions import ActionFeatures
from training.response.choosing import Tried
from training.response.departing import Departure
from training.response.groups import Group, Quadrant
from training.response.policy_value import Estimate, Judge
from training.response.terms import Design, Term
from training.response.usual import Usual
from training.served.response import ResponseModel

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Served:
    """What model.json needs to say E[reward | x, action]; see `training.response.terms`."""

    base: tuple[Term, ...]
    effects: tuple[tuple[Term, ...], ...]
    design: Design
    action_columns: tuple[tuple[str, ...], ...]
    new_actions: dict[str, Any] | None
    boosters: tuple[str, ...]
    usual: Usual | None

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        return {
            "base": [term.as_dict() for term in self.base],
            "effects": [[term.as_dict() for term in terms] for terms in self.effects],
            "design": self.design.as_dict(),
            "action_columns": [list(column) for column in self.action_columns],
            "new_actions": self.new_actions,
            "usual": None if self.usual is None else self.usual.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class FittedResponse:
    """The chosen learner, calibrated, and what was measured on customers who did not teach it.

    Attributes:
        actions: that it speaks of, the one that uplift is counted from first.
        learner: its name, of `training.response.learners`.
        why: why it was chosen, in words.
        tried: every learner, the simplest first.
        values: of policies: `model`, `logged`, `best_single`, and each action's by its id.
        best_single: the action that earns the most if everybody gets the same.
        departures: from it, as the learner would have them, with what each was measured to bring.
        uplifts: each action's mean uplift.
        groups: fifths by expected uplift.
        quadrants: the four.
        explained: the share of the rewards' variance that was foretold.
        effects: calibrated effects of each row by folds that did not see its customer, as they would be served,
            `(n, n_actions - 1)`.
        rows: which of the rows given took part, `(n,)` of places.
        judge: doubly robust rewards of those rows.
    """

    inputs: tuple[str, ...]
    categories: Mapping[str, Sequence[str]]
    actions: tuple[ActionFeatures, ...]
    learner: str
    why: str
    tried: tuple[Tried, ...]
    values: Mapping[str, Estimate]
    best_single: str
    departures: tuple[Departure, ...]
    uplifts: Mapping[str, Estimate]
    groups: tuple[Group, ...]
    quadrants: tuple[Quadrant, ...]
    explained: float
    is_inferred: bool
    served: Served
    effects: Floats
    rows: NDArray[np.intp]
    judge: Judge
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def boosters(self) -> list[str]:
        """LightGBM's texts, in the order in which the terms name them."""
        return list(self.served.boosters)

    def describe(self) -> dict[str, Any]:
        """What model.json says of it; whoever writes it adds `as_of`, `schema_version` and where the rows came from."""
        return {
            "name": ResponseModel.name,
            "inputs": list(self.inputs),
            "categories": {name: list(values) for name, values in self.categories.items()},
            "learner": self.learner,
            "why": self.why,
            "actions": [action.as_dict() for action in self.actions],
            **self.served.as_dict(),
            "tried": [one.as_dict() for one in self.tried],
            "values": {name: value.as_dict() for name, value in self.values.items()},
            "best_single": self.best_single,
            "departures": [one.as_dict() for one in self.departures],
            "uplifts": {name: value.as_dict() for name, value in self.uplifts.items()},
            "groups": [group.as_dict() for group in self.groups],
            "quadrants": [quadrant.as_dict() for quadrant in self.quadrants],
            "explained": float(f"{self.explained:.9g}"),
            "is_inferred": self.is_inferred,
            "n_rows": len(self.rows),
            "n_customers": int(self.judge.customers.max()) + 1,
            "left_out": dict(self.left_out),
        }

    def model(self) -> ResponseModel:
        """The very model that would be served."""
        schema = SimpleNamespace(model_inputs=self.inputs, categories=dict(self.categories), version="as learned")
        told = self.describe() | {"version": "not written yet", "schema_version": "as learned"}
        return ResponseModel(told, self.boosters, schema=schema)

    def rewards(self, X: NDArray[np.float32] | Floats) -> Floats:
        """E[reward | x, action], shape `(n, n_actions)`, in the order of `actions`."""
        return self.model().rewards(X, self.actions)

    def uplift(self, X: NDArray[np.float32] | Floats) -> Floats:
        """What each action brings beyond the first, shape `(n, n_actions)`, the first column 0."""
        return self.model().uplifts(X, self.actions)
