"""Expected order-days and spend of some customers within any days, as they are served.

Members speak of the longest horizon: BG/NBD and Pareto/NBD (times gamma-gamma for spend), a Poisson regression and
trees on top of what those say. To other days their mean is carried as repeat buying's own expectation goes on, which
never falls. Numbers and booster text only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray
from training.fast_booster import Boosters
from training.gamma_gamma import GammaGamma
from training.linear import Linear
from training.members import Customers
from training.repeat_buying import BG_NBD, DAYS_A_WEEK, PARETO_NBD, History
from training.served.expected import LEAST as LEAST
from training.served.expected import Expected, Floats, Shares
from training.served.repeat_buying import Rhythm

REPEAT = (BG_NBD, PARETO_NBD)
REGRESSION, BOOSTING = "regression", "boosting"
WIDEST = 50.0  # of a logarithm of trees


class Expecting(Protocol):
    """BG/NBD or Pareto/NBD."""

    def expected(self, history: History, *, weeks: float) -> Floats:
        """Expected purchases within so many weeks, shape `(n,)`."""


@dataclass(frozen=True)
class Seen:
    """What the members see of customers who bought.

    Attributes:
        repeat: what each model of repeat buying expects of them, at least `LEAST`, each of shape `(n,)`.
        design: the regression's columns, shape `(n, n_columns)`; NaN where unknown.
        X: the model's inputs, shape `(n, n_inputs)`; NaN where unknown.
    """

    repeat: Mapping[str, Floats]
    design: Floats
    X: Floats

    @property
    def start(self) -> Floats:
        """The logarithms of what repeat buying expects, shape `(n, n_models)`."""
        return np.column_stack([np.log(self.repeat[name]) for name in REPEAT if name in self.repeat])


@dataclass(frozen=True)
class Learned:
    """What one closed window taught of order-days or of spend.

    Attributes:
        levels: by model of repeat buying, of all that the regression and the trees saw: how many times what it
            expected there came.
        regression: logarithms of an expectation, over the design and what repeat buying says.
        trees: on top of what repeat buying says, over the inputs and that; their text.
        trees_level: what is added to them.
        highest: the most that anybody did there: of somebody unlike all who taught it an exponential says far more.
    """

    levels: Mapping[str, float]
    regression: Linear | None = None
    trees: str | None = None
    trees_level: float = 0.0
    highest: float = np.inf

    def said(self, seen: Seen, *, trees: Boosters | None = None, carried: Floats | float = 1.0) -> dict[str, Floats]:
        """What each member expects, by its name; each of shape `(n,)`.

        Args:
            seen: of the customers.
            trees: loaded already.
            carried: how many times the length of the window that taught is asked of each, in orders.
        """
        told = {name: of * self.levels[name] for name, of in seen.repeat.items()}
        start = seen.start
        if self.regression is not None:
            with np.errstate(over="ignore"):
                told[REGRESSION] = np.exp(self.regression.scores(np.column_stack([seen.design, start])))
        if self.trees is not None:
            loaded = Boosters([self.trees]) if trees is None else trees
            raw = loaded.raw_scores(np.column_stack([seen.X, start]))[:, 0]
            told[BOOSTING] = np.exp(np.clip(raw + start.mean(axis=1) + self.trees_level, -WIDEST, WIDEST))
        for name in (REGRESSION, BOOSTING):
            if name in told:
                told[name] = np.clip(told[name], LEAST, self.highest) * carried
        return told


@dataclass(frozen=True)
class Expectation:
    """Order-days or spend: the mean of some members, times the level that was chosen for it.

    Attributes:
        members: by name.
        factor: the level, as a multiple of their mean.
        learned: what they say.
        is_seasonal: whether that is the season's level; else it is the year's, whatever the season.
    """

    members: tuple[str, ...]
    factor: float
    learned: Learned
    is_seasonal: bool

    def as_dict(self, *, booster: int | None) -> dict[str, Any]:
        """What model.json keeps; a booster stands in a file of its own, by its place."""
        learned = self.learned
        return {
            "members": list(self.members),
            "factor": self.factor,
            "levels": dict(learned.levels),
            "regression": learned.regression.as_dict() if learned.regression and REGRESSION in self.members else None,
            "booster": booster,
            "trees_level": learned.trees_level,
            "highest": learned.highest,
            "is_seasonal": self.is_seasonal,
        }

    @property
    def needs_trees(self) -> bool:
        """Whether the trees have a say."""
        return BOOSTING in self.members and self.learned.trees is not None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], boosters: Sequence[str]) -> Expectation:
        """The inverse of `as_dict`."""
        regression, booster = value["regression"], value["booster"]
        learned = Learned(
            {str(name): float(level) for name, level in value["levels"].items()},
            None if regression is None else Linear.from_dict(regression),
            None if booster is None else boosters[booster],
            float(value["trees_level"]),
            float(value["highest"]),
        )
        return cls(tuple(value["members"]), float(value["factor"]), learned, bool(value["is_seasonal"]))


class Expectations:
    """Order-days and spend of a version.

    Args:
        description: `expected` of its model.json.
        boosters: the version's texts, in the order of their files.
    """

    def __init__(self, description: Mapping[str, Any], boosters: Sequence[str]) -> None:
        self.horizon_days = int(description["horizon_days"])
        self._columns = tuple(tuple(column) for column in description["columns"])
        gamma = description["gamma_gamma"]
        self._gamma = None if gamma is None else GammaGamma(**gamma)
        self._within: Shares = tuple((int(days), float(share)) for days, share in description.get("within", ()))
        self._of = {
            of: Expectation.from_dict(description[of], boosters) for of in ("orders", "spend") if description.get(of)
        }
        self._trees = {
            of: Boosters([made.learned.trees]) for of, made in self._of.items() if made.learned.trees is not None
        }

    def of(self, X: FloatArray, inputs: Sequence[str], rhythm: Rhythm, year: Sequence[float]) -> Expected:
        """What to expect of customers.

        Args:
            X: shape `(n, len(inputs))`, NaN where unknown.
            inputs: their names.
            rhythm: what repeat buying says of them.
            year: how much busier customers are behind the horizon.
        """
        bought = np.flatnonzero(rhythm.bought)
        asked = Customers(X[bought], inputs)
        history, design = asked.history(), asked.design(self._columns)
        said = expected_by(rhythm.named(), history, days=self.horizon_days)
        orders = self._told("orders", Seen(said, design, X[bought]), bought, n=len(X))
        spend = first = None
        if self._gamma is not None and "spend" in self._of:
            worth = value_of_order(self._gamma, asked)
            money = {name: np.maximum(of * worth, LEAST) for name, of in said.items()}
            spend = self._told("spend", Seen(money, design, X[bought]), bought, n=len(X))
            first = float(self._gamma.expected(np.zeros(1), np.zeros(1))[0])

        def shape(days: float) -> Floats:
            of_each = expected_by(rhythm.named(), history, days=days, least=0.0)
            return _spread(np.mean(list(of_each.values()), axis=0), bought, n=len(X))

        seasonal = [of in self._of and self._of[of].is_seasonal for of in ("orders", "spend")]
        years = [year if has else () for has in seasonal]
        within = [self._within if has else () for has in seasonal]
        return Expected(
            self.horizon_days,
            orders,
            spend,
            first,
            shape,
            year=years[0],
            year_of_spend=years[1],
            within=within[0],
            within_of_spend=within[1],
        )

    def _told(self, of: str, seen: Seen, bought: NDArray[np.intp], *, n: int) -> Floats:
        made = self._of[of]
        known = replace(seen, repeat={name: of for name, of in seen.repeat.items() if name in made.learned.levels})
        said = made.learned.said(known, trees=self._trees.get(of)) if len(bought) else {}
        mean = np.mean([said[name] for name in made.members], axis=0) if said else np.empty(0)
        return _spread(mean * made.factor, bought, n=n)


def expected_by(
    fits: Mapping[str, Expecting], history: History, *, days: float, least: float = LEAST
) -> dict[str, Floats]:
    """Expected order-days within so many days by each model; one that has no number for somebody takes the others'.

    Args:
        fits: by name.
        history: of customers who bought, shapes `(n,)`.
        days: how far ahead.
        least: what each is at least.
    """
    with np.errstate(all="ignore"):
        said = {name: fit.expected(history, weeks=days / DAYS_A_WEEK) for name, fit in fits.items()}
        known = np.nanmean([np.where(np.isfinite(of), of, np.nan) for of in said.values()], axis=0)
    known = np.where(np.isfinite(known), known, 0.0)
    return {name: np.maximum(np.where(np.isfinite(of), of, known), least) for name, of in said.items()}


def value_of_order(gamma: GammaGamma, customers: Customers) -> Floats:
    """What an order-day of each is expected to bring, shape `(n,)`; of all order-days, as features count them."""
    n, revenue = customers.column("n_order_days"), np.maximum(np.nan_to_num(customers.column("revenue")), 0.0)
    n_valued = np.where(revenue > 0, n, 0.0)
    return np.asarray(gamma.expected(n_valued, revenue / np.maximum(n, 1.0)))


def _spread(values: Floats, places: NDArray[np.intp], *, n: int) -> Floats:
    """The values at their places among n, NaN elsewhere."""
    spread = np.full(n, np.nan)
    spread[places] = values
    return spread
