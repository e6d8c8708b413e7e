"""What one question of `rapport evaluate next-purchase` gives every model, and what it wants of each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.dataset import Source
from training.expectations.shop import Shop
from training.order_days import Buyers, OrderDays

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """Everything that was known before the cutoff, and nothing later.

    Attributes:
        cutoff: midnight, in the brand's time zone.
        day: the same, as a day of `known`.
        horizon_days: how far ahead is asked.
        known: order days before the cutoff.
        source: of snapshots and labels, known until the cutoff.
        seed: of whatever draws.
    """

    cutoff: datetime
    day: int
    horizon_days: int
    known: OrderDays
    source: Source
    seed: int = 0

    @cached_property
    def buyers(self) -> Buyers:
        """Those of whom something is asked: customers with an order before the cutoff, by rising key."""
        return self.known.buyers(self.day)

    @cached_property
    def shop(self) -> Shop:
        """The same, as of several days before the cutoff, each read and fitted once."""
        return Shop(self.known, self.cutoff, self.day, self.source)

    @cached_property
    def first_day(self) -> int:
        """Of the first order that is known."""
        return int(self.known.days[0])


@dataclass(frozen=True, slots=True)
class Once:
    """What ours says of customers with exactly one order-day, calibrated on such customers alone.

    Attributes:
        probability: of an order within the horizon, shape `(n,)`, meant for those alone; None where not better.
        because: why it is so or not, for people.
    """

    probability: Floats | None
    because: str


@dataclass(frozen=True, slots=True)
class Said:
    """What one model says of the task's buyers, each of shape `(n,)`; None where it says nothing of that kind.

    Attributes:
        probability: of an order within the horizon.
        orders: expected order-days within it.
        spend: expected money within it.
        notes: what a reader should know of how it came about.
        name: of the model that the figures belong to, where that is only known once it is fitted.
        once: of customers with one order-day, where the model has more to say of them.
        year: how much busier customers are in each 28 days behind the horizon than within it; empty for as busy.
    """

    probability: Floats | None = None
    orders: Floats | None = None
    spend: Floats | None = None
    notes: tuple[str, ...] = ()
    name: str | None = None
    once: Once | None = None
    year: tuple[float, ...] = ()
