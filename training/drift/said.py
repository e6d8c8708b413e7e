"""What a model says of customers, as quantities that can be compared between two days."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.artifact import AnyModel, Matrix, NextPurchaseModel, SegmentsModel
from training.calibration import FloatArray


@dataclass(frozen=True, slots=True)
class Said:
    """One score of every customer.

    Attributes:
        values: shape `(n,)`; codes where it is a category.
        names: of the codes; empty where it is a number.
    """

    values: FloatArray
    names: tuple[str, ...] = ()

    @property
    def n_categories(self) -> int | None:
        """How many codes there are; None where it is a number."""
        return len(self.names) or None


Saying = Callable[[Matrix], Mapping[str, Said]]


def saying_of(model: AnyModel) -> Saying:
    """What is asked of a model, by the name of each score.

    Next purchase: P(an order) within each horizon. Segments: which one, and how surely. Response: the action that is
    expected to bring the most beyond the first, and how much that is.
    """
    if isinstance(model, NextPurchaseModel):
        return lambda X: {
            f"within {horizon} days": Said(of)
            for horizon, of in zip(model.horizons_days, model.predict(X).T, strict=True)
        }
    if isinstance(model, SegmentsModel):
        return lambda X: _assigned(model, X)
    actions = tuple(model.actions)

    def best(X: Matrix) -> Mapping[str, Said]:
        uplifts = np.nan_to_num(model.uplifts(X, actions), nan=-np.inf)
        codes = uplifts.argmax(axis=1)
        return {
            "most that an action brings": Said(uplifts.max(axis=1)),
            "best action": Said(codes.astype(np.float64), tuple(action.action_id for action in actions)),
        }

    return best


def _assigned(model: SegmentsModel, X: Matrix) -> Mapping[str, Said]:
    probability = model.predict(X)
    return {
        "segment": Said(probability.argmax(axis=1).astype(np.float64), model.segment_ids),
        "how surely": Said(probability.max(axis=1)),
    }
