"""What each input adds to the score of a next-purchase head, so that base and parts sum to it.

The score is the mean log-odds of the members that can say something (training.members), by how much say each has,
before it is calibrated. Trees are taken apart by input (LightGBM's own exact contributions), the regression by column.
Models of repeat buying weigh how often and when as one rhythm: that is one part, counted from where the others start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.members import BESIDE, LINEAR, REPEAT_BUYING, TREES, Customers, Members

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contributions:
    """One customer's score, taken apart; log-odds.

    Attributes:
        base: where the score starts, before anything is known of the customer.
        parts: what each adds: by the input's name; `pace` and `gap` of the regression, `repeat_buying` of
            BG/NBD and Pareto/NBD together.
    """

    base: float
    parts: Mapping[str, float]

    @property
    def score(self) -> float:
        """Base and parts together."""
        return self.base + sum(self.parts.values())


def contributions_of(members: Members, customers: Customers, trees: Floats | None) -> Contributions:
    """The contributions of one customer.

    Args:
        members: of the head.
        customers: the one customer.
        trees: of the head's booster, shape `(n_inputs + 1,)`, the last being its base; None where it has none.
    """
    bases: list[tuple[float, float]] = []  # how much say, and where it starts
    parts: dict[str, float] = {}
    offsets, say = members.offsets, members.say
    if trees is not None and TREES in offsets:
        bases.append((say(TREES), float(trees[-1]) + offsets[TREES]))
        _add(parts, dict(zip(customers.inputs, trees[:-1].tolist(), strict=True)), say(TREES))
    if members.linear is not None and LINEAR in offsets:
        bases.append((say(LINEAR), members.linear.intercept + offsets[LINEAR]))
        columns = members.linear.columns
        terms = members.linear.terms(customers.design(columns))[0].tolist()
        for column, term in zip(columns, terms, strict=True):
            _add(parts, {column[0] if len(column) > 2 else column[1]: term}, say(LINEAR))
    start = _mean(bases) if bases else 0.0
    for name, model in ((REPEAT_BUYING, members.repeat_buying), (BESIDE, members.beside)):
        if model is not None and name in offsets:
            said = float(customers.repeat_buying(model, horizon_days=members.horizon_days)[0])
            if np.isfinite(said):
                _add(parts, {REPEAT_BUYING: said + offsets[name] - start}, say(name))
                bases.append((say(name), start))
    if not bases:
        return Contributions(members.silent, {})
    total = sum(weight for weight, _ in bases)
    return Contributions(_mean(bases), {name: part / total for name, part in parts.items()})


def _mean(bases: Sequence[tuple[float, float]]) -> float:
    return sum(weight * base for weight, base in bases) / sum(weight for weight, _ in bases)


def _add(parts: dict[str, float], more: Mapping[str, float], say: float) -> None:
    for name, part in more.items():
        parts[name] = parts.get(name, 0.0) + say * part
