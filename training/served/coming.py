"""What is to come of some customers: P(an order) within any days, the next order's day, whether they still buy here.

Every answer is read off one curve (`training.served.curve`): through the calibrated horizons of the model, in the shape
that its models of repeat buying give it. So no two answers contradict each other. Of a customer who never ordered the
curve is a steady pace through the horizons, and whether they still buy is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.served.curve import LONGEST_DAYS, SHARES, Curve, LaidOut
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
    """

    rhythm: Rhythm
    anchors: Mapping[int, Floats]

    @cached_property
    def curve(self) -> Curve:
        """P(an order within t days) for every t."""
        return Curve(self.rhythm.p_any, self.anchors)

    @cached_property
    def laid_out(self) -> LaidOut:
        """The curve at some days up to a year."""
        return self.curve.laid_out()

    def p_any(self, days: float) -> Floats:
        """P(an order within so many days), 1 to 365, shape `(n,)`; never less than for fewer days."""
        if not 1 <= days <= LONGEST_DAYS:
            raise ValueError(f"Asked for P(an order within {days} days); the curve goes from 1 to {LONGEST_DAYS} days.")
        return self.curve.p_any(days)

    def still_buying(self) -> Floats:
        """P(not gone), shape `(n,)`, never less than P(an order within a year); NaN of whoever never ordered."""
        return self.curve.still_buying(self.rhythm.p_any_if_here(LONGEST_DAYS))

    def next_order(self) -> NextOrder:
        """Its day, with an 80% interval."""
        low, middle, high = self.laid_out.days_until((SHARES[0], MIDDLE, SHARES[1]))
        return NextOrder(middle, low, high)
