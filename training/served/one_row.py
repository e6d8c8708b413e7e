"""One customer, many actions: what a response model says of them, in the order in which a batch is added up.

A decision asks about one customer and every action of a place, again and again about the same ones. Which scores each
action needs is therefore worked out once a tuple of actions; then a decision costs one pass through the boosters and
one short sum an action. Invariant: the sums are those that a batch makes, so that a row alone gets bit by bit what it
gets among others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from training.calibration import FloatArray
from training.fast_booster import Boosters
from training.response.terms import Term, sigmoid

Step = tuple[float, int, float]  # weight, which score (-1: none), value of a constant


@dataclass(slots=True)
class Scores:
    """Which scores a sum may need; each stands once in the list that `Plan.sums` makes.

    Attributes:
        n_alone: boosters that read the customer alone.
        n_beside: boosters that also read an action.
        vectors: the actions' features that the latter are asked about.
        coefficients: of linear terms, each an intercept and the coefficients.
        of_sigmoids: the same of the terms whose sigmoid is taken.
    """

    n_alone: int
    n_beside: int
    vectors: dict[bytes, FloatArray] = field(default_factory=dict)
    coefficients: dict[tuple[float, ...], int] = field(default_factory=dict)
    of_sigmoids: dict[tuple[float, ...], int] = field(default_factory=dict)

    def vector(self, vector: FloatArray) -> int:
        """Which of the vectors that is."""
        self.vectors.setdefault(vector.tobytes(), vector)
        return list(self.vectors).index(vector.tobytes())

    def linear(self, term: Term) -> int:
        """Which of the linear terms that is."""
        return self.coefficients.setdefault((term.value, *term.coefficients), len(self.coefficients))

    def logistic(self, term: Term) -> int:
        """Which of the sigmoids that is."""
        return self.of_sigmoids.setdefault((term.value, *term.coefficients), len(self.of_sigmoids))


class Plan:
    """What is asked about one tuple of actions.

    Args:
        base: the steps of the base, by kind of score.
        effects: those of each action; None for one that the model cannot speak of.
        scores: that the steps name.
    """

    def __init__(
        self,
        base: Sequence[tuple[str, float, int, float]],
        effects: Sequence[Sequence[tuple[str, float, int, float]] | None],
        scores: Scores,
    ) -> None:
        self._vectors = np.array(list(scores.vectors.values()))
        starts = {"constant": 0, "alone": 0, "beside": scores.n_alone}
        starts["linear"] = scores.n_alone + scores.n_beside * len(scores.vectors)
        starts["logistic"] = starts["linear"] + len(scores.coefficients)
        self._n_linear = len(scores.coefficients)
        linear = np.array([*scores.coefficients, *scores.of_sigmoids])
        self._intercepts = linear[:, 0] if len(linear) else np.zeros(0)
        self._coefficients = linear[:, 1:] if len(linear) else np.zeros((0, 0))
        self._base = _placed(base, starts)
        self._effects = [None if steps is None else _placed(steps, starts) for steps in effects]

    @property
    def needs_design(self) -> bool:
        """Whether any sum has a linear term."""
        return len(self._intercepts) > 0

    def sums(
        self, columns: FloatArray, design: FloatArray | None, alone: Boosters | None, beside: Boosters | None
    ) -> tuple[float, list[float]]:
        """The base and each action's effect, NaN for one that the model cannot speak of.

        Args:
            columns: shape `(1, n_inputs)`.
            design: shape `(1, n_columns)`, where `needs_design`.
            alone: boosters that read the customer alone.
            beside: boosters that also read an action.
        """
        scores: list[float] = [] if alone is None else alone.raw_scores(columns)[0].tolist()
        if beside is not None and len(self._vectors):
            rows = np.hstack([np.broadcast_to(columns, (len(self._vectors), columns.shape[1])), self._vectors])
            scores += beside.raw_scores(rows).ravel().tolist()
        if design is not None:
            said = np.add.reduce(design * self._coefficients, axis=1) + self._intercepts
            scores += said[: self._n_linear].tolist()
            if self._n_linear < len(said):
                scores += sigmoid(said[self._n_linear :]).tolist()
        return _sum(self._base, scores), [np.nan if of is None else _sum(of, scores) for of in self._effects]


def _placed(steps: Sequence[tuple[str, float, int, float]], starts: dict[str, int]) -> tuple[Step, ...]:
    return tuple((weight, -1 if kind == "constant" else starts[kind] + at, value) for kind, weight, at, value in steps)


def _sum(steps: tuple[Step, ...], scores: list[float]) -> float:
    total = 0.0
    for weight, at, value in steps:
        total += weight * (value if at < 0 else scores[at])
    return total
