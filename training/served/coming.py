"""What is to come of some customers: within any days P(an order), how many orders, how much spend; and when the next.

Every probability is read off one curve (`training.served.curve`): through the calibrated horizons of the model, in the
shape that its models of repeat buying give it. So no two answers contradict each other. Of a customer who never ordered
the curve is a steady pace through the horizons, and whether they still buy is not known. Expected orders are never
fewer than P(an order), and never fall from a horizon to a longer one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.variable_names import EXPECTED_ORDERS, PURCHASE_PROPENSITY, of_a_horizon
from training.served.curve import LONGEST_DAYS, SHARES, Curve, LaidOut
from training.served.expected import Expected
from training.served.repeat_buying import Rhythm

Floats = NDArray[np.float64]

MIDDLE = 0.5


@dataclass(frozen=True, slots=True)
class NextOrder:
    """On which day of asking the next order comes, 1 for the next 24 hours; infinite where not within a year.

    Attributes:
        middle: by which it is as probable as not, shape `(n,)`.
        low: first day of the 80% interval: by the day before it fewer than one in ten has come.
        high: last day of it.
    """

    middle: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Coming:
    """Of some customers, in their order.

    Attributes:
        rhythm: what the models of repeat buying say of them.
        anchors: calibrated P(an order within h days) by h, each of shape `(n,)`.
        year: how much busier customers are in each 28 days behind the longest horizon than within it; empty: as busy.
        expect: how many orders and how much spend, worked out where it is asked for; None of a version without them.
    """

    rhythm: Rhythm
    anchors: Mapping[int, Floats]
    year: Sequence[float] = ()
    expect: Callable[[Rhythm, Sequence[float]], Expected] | None = None

    @cached_property
    def curve(self) -> Curve:
        """P(an order within t days) for every t."""
        return Curve(self.rhythm.p_any, self.anchors, self.year)

    @cached_property
    def expected(self) -> Expected | None:
        """Order-days and spend within the longest horizon; None of a version without them."""
        return None if self.expect is None else self.expect(self.rhythm, self.year)

    @cached_property
    def laid_out(self) -> LaidOut:
        """The curve at some days up to a year."""
        return self.curve.laid_out()

    def p_any(self, days: float) -> Floats:
        """P(an order within so many days), 1 to 365, shape `(n,)`; never less than for fewer days."""
        return self.curve.p_any(_asked(days))

    def orders(self, days: float) -> Floats | None:
        """Expected order-days within so many days, 1 to 365, shape `(n,)`; None of a version without them.

        Never less than P(an order), nor than for fewer days. Of somebody who never ordered they come at a steady rate.
        """
        if self.expected is None:
            return None
        intensity = self.curve.intensity(_asked(days))
        carried = self.expected.orders_within(days)
        return np.where(self.rhythm.bought, np.fmax(carried, -np.expm1(-intensity)), intensity)

    def spend(self, days: float) -> Floats | None:
        """Expected spend within so many days, in the brand's currency, shape `(n,)`; None where nothing tells money."""
        if self.expected is None or self.expected.first_order is None:
            return None
        if (carried := self.expected.spend_within(days)) is None:
            return None
        first = self.curve.intensity(_asked(days)) * self.expected.first_order
        return np.where(self.rhythm.bought, carried, first)

    def still_buying(self) -> Floats:
        """P(not gone), shape `(n,)`, never less than P(an order within a year); NaN of whoever never ordered."""
        return self.curve.still_buying(self.rhythm.p_any_if_here(LONGEST_DAYS))

    def named(self, name: str) -> Floats | None:
        """What a name of expressions says, shape `(n,)`: `still_buying`, `expected_orders_45d`; None for another name.

        NaN of whom nobody can say it.
        """
        if name == "still_buying":
            return self.still_buying()
        match of_a_horizon(name):
            case (of, days) if of == PURCHASE_PROPENSITY:
                return self.p_any(days)
            case (of, days):
                return self.orders(days) if of == EXPECTED_ORDERS else self.spend(days)
        return None

    def next_order(self) -> NextOrder:
        """Its day, with an 80% interval."""
        low, middle, high = self.laid_out.days_until((SHARES[0], MIDDLE, SHARES[1]))
        return NextOrder(middle, low, high)


def _asked(days: float) -> float:
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"Asked for what comes within {days} days; the curve goes from 1 to {LONGEST_DAYS} days.")
    return days
