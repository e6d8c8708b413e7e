"""BG/NBD: customers buy at their own steady rate until they drop out; fitted by maximum likelihood.

As a member of the next-purchase model it brings what trees find hard to learn from few rows: how a long silence weighs
for somebody who used to buy often. Time is in weeks, and one order a customer-day is one purchase.

References:
    Fader, Hardie, Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model,
    equations 6 (likelihood) and 10 (conditional expectation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DAYS_A_WEEK = 7.0
BG_NBD, PARETO_NBD, REGULAR_GAPS = "BG/NBD", "Pareto/NBD", "MBG/CNBD-k"
CERTAINLY_THERE = 0.995  # P(alive) of the most silent customer, above which a fit knows of no leaving at all
ENOUGH_CUSTOMERS = 20_000  # four parameters: more customers move the third digit and cost seconds


@dataclass(frozen=True, slots=True)
class History:
    """What BG/NBD knows of each customer, in weeks; shapes `(n,)`.

    Attributes:
        x: how often they bought again after the first time.
        t_x: from the first to the last purchase.
        T: from the first purchase to the cut.
        spread: the standard deviation of the gaps between purchases ÷ their mean, NaN with less than two gaps; None
            where nobody knows.
    """

    x: Floats
    t_x: Floats
    T: Floats
    spread: Floats | None = None

    def of(self, some: slice | NDArray[np.intp]) -> History:
        """Those of some of the customers."""
        spread = None if self.spread is None else self.spread[some]
        return History(self.x[some], self.t_x[some], self.T[some], spread)


class RepeatModel(Protocol):
    """A fitted model of repeat buying: BG/NBD or Pareto/NBD."""

    def p_alive(self, history: History) -> Floats:
        """P(the customer has not left by the cut), shape `(n,)`."""

    def p_any(self, history: History, *, weeks: float | Floats, alive: Floats | None = None) -> Floats:
        """P(at least one purchase within so many weeks), shape `(n,)`; `(m, n)` of weeks `(m, 1)`."""

    def expected(self, history: History, *, weeks: float) -> Floats:
        """Expected purchases within so many weeks, shape `(n,)`."""


def history_of(
    n_order_days: Floats,
    days_since_last_order: Floats,
    days_since_first_order: Floats,
    sd_gap_days: Floats | None = None,
) -> History:
    """The histories behind these features, in days that have begun; NaN for customers who never bought."""
    recency, age = (started_days(days) for days in (days_since_last_order, days_since_first_order))
    x, t_x = n_order_days - 1.0, (age - recency) / DAYS_A_WEEK
    spread = None if sd_gap_days is None else sd_gap_days / DAYS_A_WEEK * x / np.where(t_x > 0, t_x, np.nan)
    return History(x=x, t_x=t_x, T=age / DAYS_A_WEEK, spread=spread)


def loses_nobody(model: RepeatModel, history: History) -> bool:
    """Whether a fit lies where nobody ever leaves: its P(alive) is 1, however long the silence, and says nothing."""
    with np.errstate(invalid="ignore"):
        alive = model.p_alive(history)
    return not bool((alive[np.isfinite(alive)] < CERTAINLY_THERE).any())


def started_days(days: Floats) -> Floats:
    """How many days have begun since, at least 1: in a log of one row a day, yesterday's order is 1.0 days old."""
    return np.maximum(np.ceil(days), 1.0)


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
        # Without a second purchase there was no chance to drop out: the model says alive, whatever the silence.
        return np.asarray(np.where(x > 0, 0.5 * (1.0 - np.tanh(0.5 * log_odds_dead)), 1.0))

    def p_any(self, history: History, *, weeks: float | Floats, alive: Floats | None = None) -> Floats:
        """P(at least one purchase within so many weeks): alive, and the waiting time is shorter.

        Args:
            history: of the customers.
            weeks: how far ahead; several as shape `(m, 1)`.
            alive: what `p_alive` gives, where it is known already.
        """
        longer = ((self.alpha + history.T) / (self.alpha + history.T + weeks)) ** (self.r + history.x)
        return np.asarray((self.p_alive(history) if alive is None else alive) * (1.0 - longer))

    def expected(self, history: History, *, weeks: float) -> Floats:
        """Expected purchases within so many weeks (equation 10)."""
        from scipy.special import hyp2f1

        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        x, T = history.x, history.T
        z = weeks / (alpha + T + weeks)
        shrink = ((alpha + T) / (alpha + T + weeks)) ** (r + x)
        unconditional = (a + b + x - 1) / (a - 1) * (1 - shrink * hyp2f1(r + x, b + x, a + b + x - 1, z))
        return np.asarray(unconditional * self.p_alive(history))


def fit_bgnbd(history: History) -> BgNbd:
    """The parameters of the greatest likelihood, from several starts; of a sample where there are very many customers.

    Args:
        history: of customers who bought at least once.
    """
    from scipy.optimize import minimize

    step = max(1, -(-len(history.x) // ENOUGH_CUSTOMERS))
    sample = History(history.x[::step], history.t_x[::step], history.T[::step])
    best = min(
        (
            minimize(_negative_log_likelihood, start, args=(sample,), method="L-BFGS-B", jac=True, bounds=[(-8, 8)] * 4)
            for start in (np.zeros(4), np.array([-0.5, 2.0, -1.0, 1.0]))
        ),
        key=lambda result: result.fun,
    )
    r, alpha, a, b = np.exp(best.x)
    return BgNbd(*(float(f"{value:.9g}") for value in (r, alpha, a, b)))


def _negative_log_likelihood(log_parameters: Floats, history: History) -> tuple[float, Floats]:
    """Its mean over the customers, and its slope in each logarithm of a parameter."""
    from scipy.special import betaln, expit, gammaln, psi

    r, alpha, a, b = np.exp(log_parameters)
    x, t_x, T = history.x, history.t_x, history.T
    again = np.maximum(x, 1.0)
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    alive = betaln(a, b + x) - betaln(a, b) - (r + x) * np.log(alpha + T)
    dead = betaln(a + 1, b + again - 1) - betaln(a, b) - (r + x) * np.log(alpha + t_x)
    terms = common + np.where(x > 0, np.logaddexp(alive, dead), alive)
    is_alive = np.where(x > 0, expit(alive - dead), 1.0)
    slopes = (
        psi(r + x) - psi(r) + np.log(alpha) - _mixed(is_alive, np.log(alpha + T), np.log(alpha + t_x)),
        r / alpha - (r + x) * _mixed(is_alive, 1 / (alpha + T), 1 / (alpha + t_x)),
        psi(a + b) + _mixed(is_alive, -psi(a + b + x), 1 / a - psi(a + b + again)),
        psi(a + b) - psi(b) + _mixed(is_alive, psi(b + x) - psi(a + b + x), psi(b + again - 1) - psi(a + b + again)),
    )
    slope = np.array([float(np.mean(each)) for each in slopes]) * (r, alpha, a, b)
    return float(-terms.mean()), -slope


def _mixed(is_alive: Floats, alive: Floats, dead: Floats) -> Floats:
    return np.asarray(is_alive * alive + (1 - is_alive) * dead)
