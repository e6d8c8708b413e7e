"""Whom an action moves: customers in fifths of their expected uplift, with what was measured, and the four quadrants.

A fifth whose measured uplift lies above zero beyond its interval is *persuadable*; one that lies below is better left
alone (*do_not_disturb*). Where nothing can be told from zero, those who bring more than the mean anyway are *sure
things*, the others *lost causes*. So a quadrant is never more certain than what was measured.

References:
    Chernozhukov, Demirer, Duflo, Fernández-Val (2018), Generic machine learning inference on heterogeneous treatment
    effects: sorted group average treatment effects (GATES).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.response.policy_value import Estimate, Judge

Floats = NDArray[np.float64]

N_GROUPS = 5
PERSUADABLE, SURE_THING, LOST_CAUSE, DO_NOT_DISTURB = "persuadable", "sure_thing", "lost_cause", "do_not_disturb"
QUADRANTS = (PERSUADABLE, SURE_THING, LOST_CAUSE, DO_NOT_DISTURB)


@dataclass(frozen=True, slots=True)
class Group:
    """Customers of about the same expected uplift.

    Attributes:
        above: the group's lowest expected uplift; −inf for the lowest group.
        n: rows.
        expected: their mean expected uplift.
        measured: their doubly robust uplift.
    """

    above: float
    n: int
    expected: float
    measured: Estimate

    @property
    def moves(self) -> int:
        """1 where the uplift is surely positive, −1 where it is surely negative, 0 where it cannot be told."""
        return int(self.measured.low > 0.0) - int(self.measured.high < 0.0)

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps; `above` is null for the lowest group."""
        return {
            "above": None if np.isinf(self.above) else _nine(self.above),
            "n": self.n,
            "expected": _nine(self.expected),
            "measured": self.measured.as_dict(),
            "moves": self.moves,
        }


@dataclass(frozen=True, slots=True)
class Quadrant:
    """One of the four: how many rows, and what was measured of them."""

    name: str
    n: int
    share: float
    measured: Estimate | None
    without: float

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps; `without` is what they bring without the action."""
        measured = None if self.measured is None else self.measured.as_dict()
        return {
            "quadrant": self.name,
            "n": self.n,
            "share": _nine(self.share),
            "measured": measured,
            "without": _nine(self.without),
        }


def gained(judge: Judge, effects: Floats) -> tuple[Judge, Floats, Floats]:
    """The expected uplift of a row's best action, and the doubly robust one, shape `(n,)` each, with their judge.

    Only of rows where there was a choice: elsewhere nothing could be gained, and nobody is persuadable.
    """
    could = judge.could()
    rows = np.asarray(could.any(axis=1))
    judge, worth = judge.of_rows(rows), np.where(could, effects, -np.inf)[rows]
    best = np.asarray(worth.argmax(axis=1), dtype=np.intp) + 1
    nothing = np.zeros(len(best), dtype=np.intp)
    return judge, np.asarray(worth.max(axis=1)), judge.of_policy(best) - judge.of_policy(nothing)


def groups_of(judge: Judge, expected: Floats, measured: Floats) -> tuple[Group, ...]:
    """Fifths by expected uplift, the lowest first; fewer where many are expected the same."""
    edges = np.unique(np.quantile(expected, np.arange(1, N_GROUPS) / N_GROUPS))
    edges = edges[edges > expected.min()]
    place = np.searchsorted(edges, expected, side="right")
    made = []
    for group, above in enumerate([-np.inf, *edges.tolist()]):
        rows = place == group
        n = int(rows.sum())
        if n > 1:
            made.append(Group(above, n, float(expected[rows].mean()), _mean(judge, measured, rows)))
    return tuple(made)


def quadrants_of(judge: Judge, groups: tuple[Group, ...], expected: Floats, measured: Floats) -> tuple[Quadrant, ...]:
    """The four quadrants, empty ones too."""
    above = np.array([group.above for group in groups])
    moves = np.array([group.moves for group in groups])[np.searchsorted(above, expected, side="right") - 1]
    without = judge.of_policy(np.zeros(len(expected), dtype=np.intp))
    likely = judge.m > judge.m.mean()
    of_row = np.select([moves > 0, moves < 0, likely], [0, 3, 1], default=2)
    made = []
    for place, name in enumerate(QUADRANTS):
        rows = of_row == place
        n = int(rows.sum())
        told = _mean(judge, measured, rows) if n > 1 else None
        made.append(Quadrant(name, n, n / len(expected), told, float(without[rows].mean()) if n else 0.0))
    return tuple(made)


def _mean(judge: Judge, values: Floats, rows: NDArray[np.bool_]) -> Estimate:
    """The mean over some rows, its error by customers."""
    _, customers = np.unique(judge.customers[rows], return_inverse=True)
    inside = values[rows]
    sums = np.bincount(customers, weights=inside - inside.mean())
    n = len(sums)
    return Estimate(float(inside.mean()), float(np.sqrt((sums**2).sum() * n / max(n - 1, 1))) / len(inside))


def _nine(value: float) -> float:
    return float(f"{value:.9g}")
