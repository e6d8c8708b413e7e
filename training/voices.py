"""Who can speak of a horizon that no closed window of its length has taught.

Models of repeat buying, which need no labels; what a shorter window showed that they miss; a lesson on that window,
carried to the horizon; and the mean of such.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray, busier, from_log_odds, log_odds
from training.carrying import Carry
from training.heads import Head, kind_of, raw_scores
from training.linear import Linear
from training.members import Customers, Repeat, mean_of

ONE_ORDER_EACH = "one order each"


class Voice(Protocol):
    """Says how probable an order is of customers it did not learn from."""

    @property
    def name(self) -> str:
        """What it is made of, for people."""

    def log_odds_of(self, asked: Asked) -> FloatArray:
        """Of an order within the horizon, shape `(n,)`."""


@dataclass(frozen=True)
class Asked:
    """Customers, and what several voices would otherwise compute of them again.

    Attributes:
        X: shape `(n, len(inputs))`, NaN where unknown.
    """

    X: NDArray[np.float32]
    inputs: tuple[str, ...]

    @cached_property
    def customers(self) -> Customers:
        """The same, as the members of a head want them."""
        return Customers(self.X, self.inputs)


@dataclass(frozen=True)
class Curves:
    """Models of repeat buying, in the mean of their log-odds, and what a closed window showed that they miss.

    Attributes:
        models: at least one, fitted to everything that is known.
        silent: the log-odds of a customer who never bought.
        missed: what is added for the others; None where nothing is.
        believed: which share of it.
        came_back: whether anybody has ordered twice; until then the models know of one order each, and nothing else.
    """

    models: tuple[Repeat, ...]
    horizon_days: int
    silent: float
    missed: Linear | None = None
    believed: float = 1.0
    came_back: bool = True

    @property
    def name(self) -> str:
        """`BG/NBD + Pareto/NBD, half corrected by a regression`."""
        names = " + ".join(kind_of(model) for model in self.models) if self.came_back else ONE_ORDER_EACH
        if self.missed is None:
            return names
        return f"{names}, {'half ' if self.believed < 1 else ''}corrected by a regression"

    def log_odds_of(self, asked: Asked) -> FloatArray:
        """Of an order within the horizon, shape `(n,)`."""
        customers = asked.customers
        said = mean_of(
            [customers.repeat_buying(model, horizon_days=self.horizon_days) for model in self.models],
            silent=self.silent,
        )
        if self.missed is None:
            return said
        added = self.believed * self.missed.scores(customers.design(self.missed.columns))
        return said + np.where(customers.bought(), added, 0.0)


@dataclass(frozen=True)
class Carried:
    """A head that was taught a shorter horizon, carried to the longer one along a curve."""

    head: Head
    carry: Carry

    @property
    def name(self) -> str:
        """`trees + regression, taught on 133 days and carried by BG/NBD`."""
        if self.carry.taught_days == self.carry.horizon_days:
            return self.head.shipped
        return (
            f"{self.head.shipped}, taught on {self.carry.taught_days} days and carried by {kind_of(self.carry.curve)}"
        )

    def log_odds_of(self, asked: Asked) -> FloatArray:
        """Of an order within the horizon, shape `(n,)`."""
        said = self.head.said_of(asked.customers, raw_scores(self.head.booster, asked.X))
        return log_odds(busier(said, self.carry.times(asked.customers)))


@dataclass(frozen=True)
class Mean:
    """Several voices, in the mean of their log-odds."""

    voices: Sequence[Voice]

    @property
    def name(self) -> str:
        """Every voice's, in their order."""
        return ", in the mean with ".join(voice.name for voice in self.voices)

    def log_odds_of(self, asked: Asked) -> FloatArray:
        """Of an order within the horizon, shape `(n,)`."""
        return np.asarray(np.mean([voice.log_odds_of(asked) for voice in self.voices], axis=0))


def probability_of(voice: Voice, asked: Asked) -> FloatArray:
    """What a voice says of customers, shape `(n,)`."""
    return from_log_odds(voice.log_odds_of(asked))
