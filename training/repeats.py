"""Orders of customers who had ordered before, and how many such customers there were: what acquisition cannot feign.

All orders of a window hold each new customer's first, and more customers make more of them, so a shop that gained its
customers at once shows a season where there was none. Repeat orders per known customer show none. They are a check of a
season rather than its measure: where data begin in the midst of a shop's life everybody looks new at first, and the
keen are known before the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from training.labels import Window

Instants = NDArray[np.int64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND, DAY_US = timedelta(microseconds=1), 86_400_000_000


@dataclass(frozen=True, slots=True)
class Repeats:
    """Repeat orders and when their customers became known; in microseconds since the epoch, rising.

    Attributes:
        at_us: of every order at least a day after the customer's first, shape `(n_repeats,)`.
        known_us: a day after each customer's first order, shape `(n_customers,)`.
        known_sums: of `known_us`, in days, before each place, shape `(n_customers + 1,)`.
    """

    at_us: Instants
    known_us: Instants
    known_sums: NDArray[np.float64]

    @classmethod
    def of(cls, customer_keys: Instants, at_us: Instants) -> Repeats:
        """Of orders by rising time, each of shape `(n,)`."""
        _, first, whose = np.unique(customer_keys, return_index=True, return_inverse=True)
        known = at_us[first] + DAY_US
        is_repeat = at_us >= known[whose.reshape(-1)]
        rising = np.sort(known)
        return cls(at_us[is_repeat], rising, np.concatenate([[0.0], np.cumsum(rising / DAY_US)]))

    def n(self, window: Window) -> int:
        """How many repeat orders there were in a window."""
        start, end = np.searchsorted(self.at_us, [_us(window.start), _us(window.end)], side="left")
        return int(end - start)

    def per_customer(self, window: Window) -> float:
        """Repeat orders in a window per customer known, on average over it; 0 where nobody was."""
        start, end = _us(window.start), _us(window.end)
        before, after = (int(place) for place in np.searchsorted(self.known_us, [start, end], side="left"))
        customer_days = before * (end - start) / DAY_US
        customer_days += (after - before) * end / DAY_US - float(self.known_sums[after] - self.known_sums[before])
        return self.n(window) * (end - start) / DAY_US / customer_days if customer_days > 0 else 0.0


def _us(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND
