"""How many customers an experiment needs to tell a difference from noise."""

from __future__ import annotations

import math
from statistics import NormalDist

CONFIDENCE = 0.95
POWER = 0.8


def customers_needed(
    *, sd: float, difference: float, treated_share: float = 0.5, confidence: float = CONFIDENCE, power: float = POWER
) -> int:
    """Customers in both arms together such that a true difference in means is found with this power.

    Args:
        sd: of the outcome of one customer; of a rate p it is sqrt(p (1 - p)).
        difference: in means, that is to be found; above zero.
        treated_share: of customers in the treated arm, inside (0, 1).
        confidence: of the two-sided test.
        power: the probability of finding it.

    References:
        Cohen (1988), Statistical power analysis, ch. 2, for arms of unequal size.
    """
    if not (difference > 0.0 and 0.0 < treated_share < 1.0 and sd >= 0.0):
        raise ValueError(
            f"Asked for the size of an experiment with sd {sd}, difference {difference} and a treated share of "
            f"{treated_share}: the difference is above 0, the share lies between 0 and 1, the sd is not negative."
        )
    z = NormalDist().inv_cdf(0.5 + confidence / 2) + NormalDist().inv_cdf(power)
    return max(2, math.ceil((z * sd / difference) ** 2 / (treated_share * (1.0 - treated_share))))
