"""The members of a next-purchase model: different ways to the same log-odds, and the mean of those that can say.

Trees see everything and need many rows; a regression on recency, frequency and money needs few; a model of repeat
buying (BG/NBD, Pareto/NBD beside it or in its place) knows how a silence weighs. Their mean ranks better than each of
them, on every cut of docs/models.md; how much say each has is learned (training/weighing.py) or equal. A member that
can say nothing of a customer (repeat buying of one who never bought) is left out of that customer's mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.calibration import busier, busier_if_there, log_odds
from training.linear import Linear, design_of
from training.pareto_nbd import ParetoNbd
from training.regular_gaps import RegularGaps
from training.repeat_buying import DAYS_A_WEEK, BgNbd, History, history_of

Floats = NDArray[np.float64]
Memoryless = BgNbd | ParetoNbd  # whose gaps are: these make the curve, too, and say how many orders to expect
Repeat = Memoryless | RegularGaps

TREES, LINEAR, REPEAT_BUYING = "trees", "linear", "repeat_buying"
BESIDE = "repeat_buying_beside"  # Pareto/NBD beside BG/NBD
TREES_ALONE: dict[str, Any] = {"offsets": {TREES: 0.0}}
REPEAT_BUYING_INPUTS = ("n_order_days", "days_since_last_order", "days_since_first_order")
SPREAD_OF_GAPS = "sd_gap_days"


class Customers:
    """Rows of customers, and what several heads would otherwise compute of them again.

    Args:
        X: shape `(n, len(inputs))`, NaN where unknown.
        inputs: their names.
        horizons_days: which repeat buying will be asked of; all are worked out at the first.
    """

    def __init__(
        self, X: Floats | NDArray[np.float32], inputs: Sequence[str], *, horizons_days: Sequence[int] = ()
    ) -> None:
        self._X = X
        self._horizons = tuple(horizons_days)
        self.inputs = tuple(inputs)
        self._places = _places_of(self.inputs)
        self._designs: dict[tuple[tuple[str, ...], ...], Floats] = {}
        self._alive: dict[Repeat, Floats] = {}
        self._repeat: dict[tuple[Repeat, int], Floats] = {}
        self._history: History | None = None

    def design(self, columns: tuple[tuple[str, ...], ...]) -> Floats:
        """The regression's columns, shape `(n, len(columns))`."""
        if columns not in self._designs:
            self._designs[columns] = design_of(self._X, columns, places=self._places)
        return self._designs[columns]

    def column(self, name: str) -> Floats:
        """One input's values, shape `(n,)`; NaN where unknown."""
        return self._X[:, self._places[name]].astype(np.float64)

    def history(self) -> History:
        """Of repeat buying; NaN for customers who never bought."""
        if self._history is None:
            spread = (SPREAD_OF_GAPS,) if SPREAD_OF_GAPS in self._places else ()
            self._history = history_of(*(self.column(name) for name in (*REPEAT_BUYING_INPUTS, *spread)))
        return self._history

    def bought(self) -> NDArray[np.bool_]:
        """Who has ever bought, shape `(n,)`."""
        history = self.history()
        return np.asarray(np.isfinite(history.T) & (history.x >= 0))

    def alive(self, fitted: Repeat) -> Floats:
        """P(not gone yet), shape `(n,)`; NaN for customers who never bought."""
        if fitted not in self._alive:
            with np.errstate(invalid="ignore"):
                self._alive[fitted] = fitted.p_alive(self.history())
        return self._alive[fitted]

    def repeat_buying(self, fitted: Repeat, *, horizon_days: int) -> Floats:
        """Log-odds of an order within the horizon, shape `(n,)`; NaN for customers who never bought."""
        if (fitted, horizon_days) not in self._repeat:
            bought = self.bought()
            alive = None if isinstance(fitted, RegularGaps) else self.alive(fitted)
            horizons = self._horizons if horizon_days in self._horizons else (horizon_days,)
            weeks = np.array(horizons)[:, None] / DAYS_A_WEEK
            with np.errstate(invalid="ignore"):
                said = fitted.p_any(self.history(), weeks=weeks, alive=alive)
            told = np.where(bought, log_odds(np.where(bought, said, 0.5)), np.nan)
            self._repeat |= {(fitted, horizon): told[place] for place, horizon in enumerate(horizons)}
        return self._repeat[fitted, horizon_days]


def in_season(calm: Floats, multiplier: float, *, customers: Customers, leaving: Repeat | None) -> Floats:
    """P(an order) in a window so many times as busy as the one that calibrated, shape `(n,)`.

    A busy season brings back nobody who has left for good. A calm one needs no such bound: what it leaves of P is less
    than P, and how sure one is of those who buy all the time says little of how much less they will.

    Args:
        calm: P before the season, shape `(n,)`.
        multiplier: how many times as busy.
        customers: whose.
        leaving: who knows who has left; None where nobody does, so that everybody is busier.
    """
    if leaving is None or multiplier <= 1.0:
        return busier(calm, multiplier)
    return busier_if_there(calm, multiplier, customers.alive(leaving))


@lru_cache(maxsize=16)
def _places_of(inputs: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(inputs)}


@dataclass(frozen=True, slots=True)
class Members:
    """One head's members, fitted; each is moved to the level of the window that calibrated before the mean is taken.

    Attributes:
        offsets: what is added to each member's log-odds, by its name, in the order in which they are averaged.
        silent: the log-odds of a customer of whom no member can say anything.
        beside: Pareto/NBD, where it has a say beside `repeat_buying`.
        weights: how much say each has, by its name; equal where it is empty.
    """

    horizon_days: int
    offsets: Mapping[str, float]
    silent: float = 0.0
    linear: Linear | None = None
    repeat_buying: Repeat | None = None
    beside: Repeat | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    def scores(self, customers: Customers, trees: Floats | None) -> Floats:
        """The mean log-odds, shape `(n,)`.

        Args:
            customers: whose.
            trees: raw scores of this head's booster, shape `(n,)`; None where it has none.
        """
        said = {}
        if trees is not None:
            said[TREES] = trees
        if self.linear is not None:
            said[LINEAR] = self.linear.scores(customers.design(self.linear.columns))
        if self.repeat_buying is not None:
            said[REPEAT_BUYING] = customers.repeat_buying(self.repeat_buying, horizon_days=self.horizon_days)
        if self.beside is not None:
            said[BESIDE] = customers.repeat_buying(self.beside, horizon_days=self.horizon_days)
        return self.mean_of(said)

    def mean_of(self, said: Mapping[str, Floats]) -> Floats:
        """The mean of what members say of some customers, each moved to its level; shape `(n,)`."""
        levelled = [said[name] + offset for name, offset in self.offsets.items()]
        return mean_of(
            levelled,
            silent=self.silent,
            weights=[self.weights[name] for name in self.offsets] if self.weights else None,
        )

    def say(self, name: str) -> float:
        """How much say a member has, beside the others that can say something."""
        return self.weights.get(name, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps; a booster stands in a file of its own."""
        described: dict[str, Any] = {"offsets": dict(self.offsets), "silent": self.silent}
        if self.linear is not None:
            described[LINEAR] = self.linear.as_dict()
        if self.repeat_buying is not None:
            described[REPEAT_BUYING] = asdict(self.repeat_buying)
        if self.beside is not None:
            described[BESIDE] = asdict(self.beside)
        if self.weights:
            described["weights"] = dict(self.weights)
        return described

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], *, horizon_days: int) -> Members:
        """The inverse of `as_dict`."""
        linear, repeat, beside = (value.get(name) for name in (LINEAR, REPEAT_BUYING, BESIDE))
        return cls(
            horizon_days,
            {str(name): float(offset) for name, offset in value["offsets"].items()},
            float(value.get("silent", 0.0)),
            None if linear is None else Linear.from_dict(linear),
            None if repeat is None else repeat_model_of(repeat),
            None if beside is None else repeat_model_of(beside),
            {str(name): float(weight) for name, weight in value.get("weights", {}).items()},
        )


def repeat_model_of(parameters: Mapping[str, Any]) -> Repeat:
    """The model that these parameters are of: Pareto/NBD alone has a rate of leaving, MBG/CNBD-k alone has shares."""
    if "shares" in parameters:
        r, alpha, a, b = (float(parameters[name]) for name in ("r", "alpha", "a", "b"))
        return RegularGaps(r, alpha, a, b, tuple(parameters["shares"]))
    return memoryless_model_of(parameters)


def memoryless_model_of(parameters: Mapping[str, float]) -> Memoryless:
    """The same of those of a curve."""
    return ParetoNbd(**parameters) if "beta" in parameters else BgNbd(**parameters)


def mean_of(scores: Sequence[Floats], *, silent: float = 0.0, weights: Sequence[float] | None = None) -> Floats:
    """The mean over members, row by row, of those that are not NaN; `silent` where all are.

    Args:
        scores: of each member, shape `(n,)`.
        silent: of a customer of whom nobody says anything.
        weights: of each member, more than 0; None for equal ones.
    """
    by = [1.0] * len(scores) if weights is None else weights
    if len(scores[0]) == 1 and (alone := _mean_of_one(scores, weights)) is not None:
        return np.array([alone])
    total = scores[0] if weights is None else scores[0] * by[0]
    for score, weight in zip(scores[1:], by[1:], strict=True):
        total = total + (score if weights is None else score * weight)
    if np.isfinite(total).all():
        return np.asarray(total / sum(by))  # nearly always: every member can say something
    together = np.stack(scores)
    known = np.isfinite(together)
    said = known * np.array(by)[:, None]
    sums = said.sum(axis=0)
    mean = (np.where(known, together, 0.0) * said).sum(axis=0) / np.where(sums > 0, sums, 1.0)
    return np.asarray(np.where(sums > 0, mean, silent))


def _mean_of_one(scores: Sequence[Floats], weights: Sequence[float] | None) -> float | None:
    """As `mean_of`, of one row: the same sums without arrays. None where somebody says nothing."""
    said = [float(score[0]) for score in scores]
    told = said if weights is None else [score * weight for score, weight in zip(said, weights, strict=True)]
    total = told[0]
    for more in told[1:]:
        total += more
    return total / (sum(weights) if weights is not None else float(len(said))) if math.isfinite(total) else None
