"""BG/NBD, by maximum likelihood: the model of repeat buying that every next-purchase model is measured against.

References:
    Fader, Hardie, Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
    equations 6 (likelihood) and 10 (conditional expectation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, expit, gammaln, hyp2f1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """What BG/NBD knows of each customer, in weeks.

    Attributes:
        x: how often they bought again after the first time.
        t_x: from the first to the last purchase.
        T: from the first purchase to the cut.
    """

    x: Floats
    t_x: Floats
    T: Floats


@dataclass(frozen=True, slots=True)
class BgNbd:
    """The four fitted parameters."""

    r: float
    alpha: float
    a: float
    b: float

    def p_alive(self, history: History) -> Floats:
        """P(the customer has not dropped out by the cut)."""
        x, t_x, T = history.x, history.t_x, history.T
        log_odds_dead = (
            (self.r + x) * np.log((self.alpha + T) / (self.alpha + t_x))
            + np.log(self.a)
            - np.log(self.b + np.maximum(x, 1.0) - 1.0)
        )
        return np.asarray(np.where(x > 0, expit(-log_odds_dead), 1.0))

    def p_any(self, history: History, *, weeks: float) -> Floats:
        """P(at least one purchase within so many weeks): alive, and the waiting time is shorter."""
        longer = ((self.alpha + history.T) / (self.alpha + history.T + weeks)) ** (self.r + history.x)
        return np.asarray(self.p_alive(history) * (1.0 - longer))

    def expected(self, history: History, *, weeks: float) -> Floats:
        """Expected purchases within so many weeks (equation 10)."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        x, T = history.x, history.T
        z = weeks / (alpha + T + weeks)
        shrink = ((alpha + T) / (alpha + T + weeks)) ** (r + x)
        unconditional = (a + b + x - 1) / (a - 1) * (1 - shrink * hyp2f1(r + x, b + x, a + b + x - 1, z))
        return np.asarray(unconditional * self.p_alive(history))


def fit_bgnbd(history: History, *, penalty: float = 0.0) -> BgNbd:
    """The parameters of the greatest likelihood, from several starts."""
    best = min(
        (
            minimize(_negative_log_likelihood, start, args=(history, penalty), method="L-BFGS-B", bounds=[(-8, 8)] * 4)
            for start in (np.zeros(4), np.array([-0.5, 2.0, -1.0, 1.0]))
        ),
        key=lambda result: result.fun,
    )
    r, alpha, a, b = np.exp(best.x)
    return BgNbd(float(r), float(alpha), float(a), float(b))


def _negative_log_likelihood(log_parameters: Floats, history: History, penalty: float) -> float:
    r, alpha, a, b = np.exp(log_parameters)
    x, t_x, T = history.x, history.t_x, history.T
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + T)
    dead = betaln(a + 1, b + np.maximum(x, 1.0) - 1) - betaln(a, b) - (r + x) * np.log(alpha + t_x)
    terms = common + np.where(x > 0, np.logaddexp(alive, dead), alive)
    return float(-terms.mean() + penalty * np.sum(log_parameters**2))
