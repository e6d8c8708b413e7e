"""The action that is best if everybody gets the same, where departing from it was not borne out by other customers.

What a model says of customers whom nearly everything leaves alone is the least certain of all it says, and it alone
decides whether they are left alone. So where those to whom another action than the best single one would go were
measured to lose by it, the model no longer says so: the best single action is held for worth a little more than
nothing, and more than the action that lost. Nothing else changes: an effect that was above the knee stays what it was,
those below keep their order, and what an action must bring beyond a price is asked as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Usual:
    """What is served of it.

    Attributes:
        action: its place among the actions; never the reference one.
        share: of the rows that taught, those that got it, as the base counts them.
        knee: the effect below which its effects are bent; None where leaving customers alone was borne out.
        slope: of what is below the knee, above 0, so that the order stays.
        held: places of the actions that are never worth more than it.
        margin: by how much less they are worth at least.
    """

    action: int
    share: float
    knee: float | None
    slope: float
    held: tuple[int, ...]
    margin: float

    def bent(self, own: Floats) -> Floats:
        """Its effects, shape as `own`, in the same order."""
        if self.knee is None:
            return own
        return np.asarray(np.where(own < self.knee, self.knee + self.slope * (own - self.knee), own))

    def put_into(self, base: Floats, effects: Floats, own: Floats, columns: Columns) -> Floats:
        """Changes effects `(n, n_columns)` in place, and gives the base `(n,)` that goes with them.

        Args:
            base: what is expected of the reference action.
            effects: as the learner says them.
            own: this action's, shape `(n,)`.
            columns: which of the effects are whose.
        """
        bent = self.bent(own)
        if len(columns.own):
            effects[:, columns.own] = bent[:, np.newaxis]
        if len(columns.held):
            effects[:, columns.held] = np.minimum(effects[:, columns.held], (bent - self.margin)[:, np.newaxis])
        return np.asarray(base - self.share * (bent - own))

    def is_above(self, effect: float, own: float) -> bool:
        """Whether what is said of a held action is not what it is worth."""
        return effect > float(self.bent(np.array([own]))[0]) - self.margin

    def as_line(self, own: float) -> tuple[float, float]:
        """What the bent effect is about this one: a slope of it, and what is added."""
        if self.knee is None or own >= self.knee:
            return 1.0, 0.0
        return self.slope, self.knee * (1.0 - self.slope)

    def columns_of(self, places: list[int | None]) -> Columns:
        """Which columns are whose.

        Args:
            places: of the actions that are asked for, in their order; None for one that was not learned from.
        """
        own = [column for column, place in enumerate(places) if place == self.action]
        held = [column for column, place in enumerate(places) if place in self.held]
        return Columns(np.array(own, dtype=np.intp), np.array(held, dtype=np.intp))

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        return {
            "action": self.action,
            "share": self.share,
            "knee": self.knee,
            "slope": self.slope,
            "held": list(self.held),
            "margin": self.margin,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Usual:
        """The inverse of `as_dict`."""
        knee = None if told["knee"] is None else float(told["knee"])
        held = tuple(int(place) for place in told["held"])
        return cls(int(told["action"]), float(told["share"]), knee, float(told["slope"]), held, float(told["margin"]))


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of effects are the usual action's own, and which are held below it."""

    own: Ints
    held: Ints
