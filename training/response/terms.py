"""The one form in which every learner is served: E[reward | x, action] as a weighted sum of terms.

A term is a constant, a linear function of the design of `x`, the sigmoid of one, or a booster that reads `x`, or `x`
beside an action's features. What a response model says of an action is the terms of its `base` (what is expected of the
reference action, mostly `nothing`) and those of the action's effect. Whatever learner won, it is these numbers and this
text; serving knows of no learner. Invariant: a row alone gets bit by bit what it gets among others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.response.actions import ActionFeatures

Floats = NDArray[np.float64]

OWN, REFERENCE = "own", "0"  # whose features a booster reads beside x: the asked action's, or a learned one's by place
LARGEST_ODDS = 60.0  # beyond it a probability is 0 or 1 to the last digit, and exp may overflow


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a sum.

    Attributes:
        weight: what it is multiplied by.
        value: of a constant; the intercept of a linear term.
        coefficients: of a linear term, one a column of the design; empty otherwise.
        booster: which of the model's boosters; None where it is none.
        action: of a booster that reads an action's features too: `own` for those of the action that is asked for,
            or the place of one that was learned from; empty where it reads `x` alone.
        is_logistic: whether it is the sigmoid of the linear term: a probability, whose weight is what it is worth.
    """

    weight: float = 1.0
    value: float = 0.0
    coefficients: tuple[float, ...] = ()
    booster: int | None = None
    action: str = ""
    is_logistic: bool = False

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        if self.booster is not None:
            return {"kind": "booster", "weight": self.weight, "booster": self.booster, "action": self.action}
        if self.coefficients:
            return {
                "kind": "logistic" if self.is_logistic else "linear",
                "weight": self.weight,
                "intercept": self.value,
                "coefficients": list(self.coefficients),
            }
        return {"kind": "constant", "weight": self.weight, "value": self.value}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Term:
        """The inverse of `as_dict`."""
        weight = float(told["weight"])
        if told["kind"] == "booster":
            return cls(weight, booster=int(told["booster"]), action=str(told["action"]))
        if told["kind"] in ("linear", "logistic"):
            coefficients = tuple(map(float, told["coefficients"]))
            return cls(weight, float(told["intercept"]), coefficients, is_logistic=told["kind"] == "logistic")
        return cls(weight, float(told["value"]))

    def times(self, factor: float) -> Term:
        """The same, that much as heavy."""
        return replace(self, weight=rounded(self.weight * factor))


def constant(value: float) -> Term:
    """A term that is the same for everybody."""
    return Term(value=rounded(value))


def linear(intercept: float, coefficients: Iterable[float]) -> Term:
    """A linear term."""
    return Term(value=rounded(intercept), coefficients=tuple(rounded(one) for one in coefficients))


def logistic(amount: float, intercept: float, coefficients: Iterable[float]) -> Term:
    """An amount, times the probability that it comes."""
    made = replace(linear(intercept, coefficients), weight=rounded(amount), is_logistic=True)
    return made if made.coefficients else constant(amount * float(sigmoid(np.array([made.value]))[0]))


def sigmoid(odds: Floats) -> Floats:
    """1 / (1 + exp(−odds)), shape as `odds`."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -LARGEST_ODDS, LARGEST_ODDS))))


def rounded(value: float) -> float:
    """To nine digits: the last bits of a sum depend on how many threads made it."""
    return float(f"{value:.9g}")


@dataclass(frozen=True, slots=True)
class Design:
    """The columns that linear terms are over: standardised, a value that is unknown counting as the average.

    Attributes:
        columns: kind, input and, of `is`, the category's code. value: as it is. log: sign(x) ln(1 + |x|). missing: 1
            where it is unknown. is: 1 where a categorical input has that code.
        mean: of each column, where it is known.
        scale: its standard deviation.
    """

    columns: tuple[tuple[str, ...], ...]
    mean: Floats
    scale: Floats

    def of(self, X: Floats, places: Mapping[str, int]) -> Floats:
        """The standardised columns, shape `(n, len(columns))`, of inputs `(n, n_inputs)`."""
        made = raw_columns(X, self.columns, places=places)
        made -= self.mean
        made /= self.scale
        made[np.isnan(made)] = 0.0
        return made

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        return {
            "columns": [list(column) for column in self.columns],
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Design:
        """The inverse of `as_dict`."""
        columns = tuple(tuple(map(str, column)) for column in told["columns"])
        return cls(columns, np.array(told["mean"], dtype=np.float64), np.array(told["scale"], dtype=np.float64))


def raw_columns(X: Floats, columns: Sequence[Sequence[str]], *, places: Mapping[str, int]) -> Floats:
    """The columns before they are standardised, shape `(n, len(columns))`, NaN where unknown."""
    made: Floats = X[:, [places[column[1]] for column in columns]].astype(np.float64)
    kinds = np.array([column[0] for column in columns])
    logs, missing, codes = (np.flatnonzero(kinds == kind) for kind in ("log", "missing", "is"))
    if len(logs):
        made[:, logs] = np.copysign(np.log1p(np.abs(made[:, logs])), made[:, logs])
    if len(missing):
        made[:, missing] = np.isnan(made[:, missing])
    if len(codes):
        made[:, codes] = made[:, codes] == np.array([float(columns[int(at)][2]) for at in codes])
    return made


def action_columns(actions: Sequence[ActionFeatures]) -> tuple[tuple[str, ...], ...]:
    """What tells these actions apart: columns that are not the same for all of them.

    An action's own column comes last, so that a tree finds what actions have in common first.
    """
    told: dict[tuple[str, ...], list[float]] = {}
    kinds = sorted({(name, of) for action in actions for name, of in _names(action)})
    for column in [("incentive_cost",), ("value",), *kinds, *(("action_id", one.action_id) for one in actions)]:
        values = [_value(action, column) for action in actions]
        if len(set(values)) > 1:
            told[column] = values
    return tuple(told)


def action_vector(action: ActionFeatures, columns: Sequence[Sequence[str]]) -> Floats:
    """The values of an action's columns, shape `(len(columns),)`."""
    return np.array([_value(action, column) for column in columns], dtype=np.float64)


def _names(action: ActionFeatures) -> Iterable[tuple[str, str]]:
    yield from (("kind", action.kind), ("goal_stage", action.goal_stage), ("incentive", action.incentive))
    yield ("channel", action.channel)
    yield from (("tag", tag) for tag in action.tags)


def _value(action: ActionFeatures, column: Sequence[str]) -> float:
    name = column[0]
    if name == "incentive_cost":
        return float(action.incentive_cost)
    if name == "value":
        return float(action.value)
    if name == "tag":
        return float(column[1] in action.tags)
    return float(getattr(action, name) == column[1])
