"""Expected order-days and spend of some customers within any days, read off what is expected within the horizon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.served.curve import beyond

Floats = NDArray[np.float64]
Shares = Sequence[tuple[int, float]]
"""By the end of so many days so large a share has come; rising to the horizon and 1."""

LEAST = 1e-6  # an expectation that a logarithm can be taken of


@dataclass(frozen=True)
class Expected:
    """Of some customers, in their order; NaN of whoever never bought.

    Attributes:
        horizon_days: within which the members speak.
        orders: order-days within it, shape `(n,)`.
        spend: within it, in the brand's currency, shape `(n,)`; None where no money was known.
        first_order: what the first order of somebody comes to; None likewise.
        shape: expected order-days within so many days by repeat buying alone, shape `(n,)`; never falling.
        year: how much busier customers are behind the horizon than within it, as of the curve: where the level within
            it is the season's.
        year_of_spend: the same, where that of spend is.
        within: which share of the horizon's orders has come by the end of so many days, as a year ago; where the level
            within it is the season's.
        within_of_spend: the same, where that of spend is.
    """

    horizon_days: int
    orders: Floats
    spend: Floats | None
    first_order: float | None
    shape: Callable[[float], Floats]
    year: Sequence[float] = ()
    year_of_spend: Sequence[float] = ()
    within: Shares = ()
    within_of_spend: Shares = ()

    def orders_within(self, days: float) -> Floats:
        """Order-days within so many days, shape `(n,)`; they never fall."""
        return self.orders * self._rises(days, self.year, self.within)

    def spend_within(self, days: float) -> Floats | None:
        """Spend within so many days, shape `(n,)`, which never falls; None where no money was known."""
        return None if self.spend is None else self.spend * self._rises(days, self.year_of_spend, self.within_of_spend)

    def _rises(self, days: float, year: Sequence[float], within: Shares) -> Floats:
        """How many times the horizon's expectation that of so many days is.

        Within the horizon time passes as fast as orders came a year ago: a customer's pace is as it is, in that time.
        """
        if days <= self.horizon_days:
            at = self._paced(_passed(days, within, of=self.horizon_days))
            return np.minimum(at / self._paced(self.horizon_days), 1.0)
        at = self._paced(days)
        return beyond(self._paced, self.horizon_days, days, year=year, at=at, known=self._known)

    def _paced(self, days: float) -> Floats:
        """The shape; of whom repeat buying has given up it is only noise, and the pace is steady."""
        return np.where(self._given_up, days, np.maximum(self.shape(days), LEAST**3))

    @cached_property
    def _given_up(self) -> NDArray[np.bool_]:
        return np.asarray(~(self.shape(self.horizon_days) > LEAST**2))

    @cached_property
    def _known(self) -> dict[int, Floats]:
        return {}


def _passed(days: float, within: Shares, *, of: int) -> float:
    """How many of the horizon's days so many are worth, by which share of its orders has come."""
    if not within:
        return days
    ends, shares = zip((0, 0.0), *within, strict=True)
    return float(np.interp(days, ends, shares)) * of
