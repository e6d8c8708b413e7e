"""What each input adds to the score of a next-purchase head, so that base and parts sum to it.

The score is the mean log-odds of the members that can say something (training.members), before it is calibrated. Trees
are taken apart by input (LightGBM's own exact contributions), the regression by column. BG/NBD weighs how often and
when as one rhythm: that is one part, counted from where the other members start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.members import LINEAR, REPEAT_BUYING, TREES, Customers, Members

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contributions:
    """One customer's score, taken apart; log-odds.

    Attributes:
        base: where the score starts, before anything is known of the customer.
        parts: what each adds: by the input's name; `pace` and `gap` of the regression, `repeat_buying` of BG/NBD.
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
    bases: list[float] = []
    parts: dict[str, float] = {}
    offsets = members.offsets
    if trees is not None and TREES in offsets:
        bases.append(float(trees[-1]) + offsets[TREES])
        _add(parts, dict(zip(customers.inputs, trees[:-1].tolist(), strict=True)))
    if members.linear is not None and LINEAR in offsets:
        bases.append(members.linear.intercept + offsets[LINEAR])
        columns = members.linear.columns
        terms = members.linear.terms(customers.design(columns))[0].tolist()
        for column, term in zip(columns, terms, strict=True):
            _add(parts, {column[0] if len(column) > 2 else column[1]: term})
    if members.repeat_buying is not None and REPEAT_BUYING in offsets:
        said = float(customers.repeat_buying(members.repeat_buying, horizon_days=members.horizon_days)[0])
        if np.isfinite(said):
            start = sum(bases) / len(bases) if bases else 0.0
            _add(parts, {REPEAT_BUYING: said + offsets[REPEAT_BUYING] - start})
            bases.append(start)
    if not bases:
        return Contributions(members.silent, {})
    return Contributions(sum(bases) / len(bases), {name: part / len(bases) for name, part in parts.items()})


def _add(parts: dict[str, float], more: Mapping[str, float]) -> None:
    for name, part in more.items():
        parts[name] = parts.get(name, 0.0) + part
