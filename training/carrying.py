"""From the horizon that could be taught to a longer one: along the curve of a model of repeat buying.

With P(h) the curve's probability of an order within h days, a customer's orders come `times` as much within the long
horizon as within the short one, where times = ln(1 − P(long)) ÷ ln(1 − P(short)); a taught probability p becomes
1 − (1 − p)^times. Somebody who is probably gone gains less by waiting than somebody who is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.members import Customers, Repeat
from training.repeat_buying import DAYS_A_WEEK

Floats = NDArray[np.float64]

HARDLY = 1e-9  # a probability below which its logarithm's ratio is that of the probabilities
CERTAIN = 1.0 - 1e-12


@dataclass(frozen=True, slots=True)
class Carry:
    """From `taught_days` to `horizon_days`, along a curve that knows the customer's history."""

    taught_days: int
    horizon_days: int
    curve: Repeat

    def times(self, customers: Customers) -> Floats:
        """How much more they order within the longer horizon, shape `(n,)`; by its length for who never bought."""
        by_length = self.horizon_days / self.taught_days
        history, alive, bought = customers.history(), customers.alive(self.curve), customers.bought()
        with np.errstate(invalid="ignore", divide="ignore"):
            short, long = (
                np.minimum(self.curve.p_any(history, weeks=days / DAYS_A_WEEK, alive=np.ones_like(alive)), CERTAIN)
                for days in (self.taught_days, self.horizon_days)
            )
            ratio = np.where(short * alive > HARDLY, np.log1p(-alive * long) / np.log1p(-alive * short), long / short)
        return np.where(bought & np.isfinite(ratio), np.clip(ratio, 1.0, by_length), by_length)
