"""Gamma-gamma: what a customer spends an order, shrunk towards everybody's mean the more the fewer orders were seen.

An order's value is gamma (p, ν) with a ν of the customer's own, and ν is gamma (q, v) over customers. It says nothing
of how often they order: expected spend is this times an expected number of orders, the two taken as independent.

References:
    Fader, Hardie (2013), The Gamma-Gamma Model of Monetary Value, equations 1a (likelihood) and 5 (expectation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST_CUSTOMERS = 30  # with a positive value; three parameters
ENOUGH_CUSTOMERS = 20_000  # more of them move the third digit and cost seconds


@dataclass(frozen=True, slots=True)
class GammaGamma:
    """The three fitted parameters; v is in the currency of the values."""

    p: float
    q: float
    v: float

    def expected(self, n: Floats, mean_value: Floats) -> Floats:
        """Expected value of an order, shape `(n_customers,)`.

        Args:
            n: how many orders were seen of each; 0 gives everybody's mean.
            mean_value: of those.
        """
        seen = np.maximum(n, 0.0)
        return np.asarray(self.p * (self.v + seen * np.where(seen > 0, mean_value, 0.0)) / (self.p * seen + self.q - 1))


def fit_gamma_gamma(n: Floats, mean_value: Floats) -> GammaGamma:
    """The parameters of the greatest likelihood.

    Args:
        n: orders with a positive value of each customer, shape `(n_customers,)`; those without one are left out.
        mean_value: of those orders.

    Raises:
        ValueError: fewer than 30 customers have an order with a value.
    """
    from scipy.optimize import minimize

    has_value = (n > 0) & (mean_value > 0)
    if int(has_value.sum()) < FEWEST_CUSTOMERS:
        raise ValueError(
            f"{int(has_value.sum())} customers have an order with a value; gamma-gamma is fitted to at least "
            f"{FEWEST_CUSTOMERS}."
        )
    step = max(1, -(-int(has_value.sum()) // ENOUGH_CUSTOMERS))
    seen, value = n[has_value][::step], mean_value[has_value][::step]
    scale = float(np.average(value, weights=seen))
    best = min(
        (
            minimize(
                _negative_log_likelihood,
                start,
                args=(seen, value / scale),
                method="L-BFGS-B",
                bounds=[(-4.0, 6.0), (-4.0, 6.0), (-6.0, 8.0)],
            )
            for start in (np.array([1.0, 1.0, 0.0]), np.array([0.0, 0.0, 0.0]), np.array([2.0, 2.0, 1.0]))
        ),
        key=lambda result: result.fun,
    )
    log_p, log_q_less_one, log_v = best.x
    rounded = (float(f"{value:.9g}") for value in (np.exp(log_p), 1 + np.exp(log_q_less_one), scale * np.exp(log_v)))
    return GammaGamma(*rounded)


def _negative_log_likelihood(logarithms: Floats, n: Floats, mean_value: Floats) -> float:
    """Its mean over customers; q is 1 + an exponential, so that everybody's mean exists."""
    from scipy.special import gammaln

    p, q, v = np.exp(logarithms[0]), 1.0 + np.exp(logarithms[1]), np.exp(logarithms[2])
    px = p * n
    terms = (
        gammaln(px + q)
        - gammaln(px)
        - gammaln(q)
        + q * np.log(v)
        + (px - 1) * np.log(mean_value)
        + px * np.log(n)
        - (px + q) * np.log(v + n * mean_value)
    )
    return float(-terms.mean())
