"""MBG/CNBD-k: customers buy as regularly as each of them does, until they drop out; by maximum likelihood.

BG/NBD's gaps between orders have no memory: whoever bought yesterday is as likely to buy today as after a month. Here
a gap is the sum of k exponential stages (Erlang-k), so that somebody who comes about every month is not due after a
week, is due after a month, and has probably left after three. Which k a customer has is not known: it is one of
`SHAPES`, each with its share of all customers, and the customer's own gaps tell which. Dropping out may follow every
purchase, the first one too. Time is in weeks, and one order a customer-day is one purchase.

With stages of rate Gamma(r, alpha ÷ k), what a customer did is likely, for each k, in proportion to

    exp((k − 1) Σ ln gap) ÷ Γ(k)^x × (alpha ÷ k)^r ÷ Γ(r) × (B(a, b + x + 1) S(T) + B(a + 1, b + x) D) ÷ B(a, b),

S(t) the sum over j < k of (t − t_x)^j ÷ j! × Γ(r + kx + j) ÷ (alpha ÷ k + t)^(r + kx + j), and D its first term at t_x:
all sums are of positive terms. With k = 1 it is MBG/NBD.

References:
    Platzer, Reutterer (2016), Ticking Away the Moments: Timing Regularity Helps to Better Predict Customer Activity.
    Reutterer, Platzer, Schröder (2021), Leveraging purchase regularity for predicting customer behavior the easy way:
    MBG/CNBD-k.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.repeat_buying import History

Floats = NDArray[np.float64]

SHAPES = (1, 2, 4, 8, 16)  # sd ÷ mean of gaps 1, 0.71, 0.5, 0.35, 0.25
ENOUGH_CUSTOMERS = 2_500  # eight parameters; more of them cost seconds
AT_ONCE = 20_000  # customers, times 31 terms each
WIDEST = 8.0  # of a parameter's logarithm: beyond e^±8 the likelihood is flat
_STAGES = np.concatenate([np.arange(k) for k in SHAPES]).astype(np.float64)[:, None]
_SHAPE_OF_STAGE = np.repeat(SHAPES, SHAPES).astype(np.float64)[:, None]
_FIRSTS = np.concatenate([[0], np.cumsum(SHAPES)[:-1]])
_K = np.array(SHAPES, dtype=np.float64)[:, None]


@dataclass(frozen=True, slots=True)
class RegularGaps:
    """The fitted parameters.

    Attributes:
        r: of the rates, which are Gamma(r, alpha) a week.
        alpha: likewise.
        a: of the chance to drop out after a purchase, which is Beta(a, b).
        b: likewise.
        shares: of each of `SHAPES`; they sum to 1.
    """

    r: float
    alpha: float
    a: float
    b: float
    shares: tuple[float, ...]

    def p_alive(self, history: History) -> Floats:
        """P(the customer has not dropped out by the cut), shape `(n,)`."""
        return self._by_parts(history, np.zeros((1, 1)))[0]

    def p_any(self, history: History, *, weeks: float | Floats, alive: Floats | None = None) -> Floats:
        """P(at least one purchase within so many weeks), shape `(n,)`; `(m, n)` of weeks `(m, 1)`.

        Args:
            history: of the customers.
            weeks: how far ahead.
            alive: not used: how regular somebody is and whether they are gone is one question here.
        """
        found = self._by_parts(history, np.atleast_2d(np.asarray(weeks, dtype=np.float64)))[1]
        return found if np.ndim(weeks) else found[0]

    def _by_parts(self, history: History, weeks: Floats) -> tuple[Floats, Floats]:
        n = len(history.x)
        if n <= AT_ONCE:
            return self._said(history, weeks)
        parts = [self._said(history.of(slice(at, at + AT_ONCE)), weeks) for at in range(0, n, AT_ONCE)]
        return np.concatenate([one for one, _ in parts]), np.concatenate([two for _, two in parts], axis=1)

    def _said(self, history: History, weeks: Floats) -> tuple[Floats, Floats]:
        """P(alive), shape `(n,)`, and P(any purchase) by weeks, shape `(m, n)`."""
        from scipy.special import gammaln

        s = self.r + _SHAPE_OF_STAGE * history.x
        stages = _of_counts(gammaln, self.r, history.x) - gammaln(_STAGES + 1.0)
        waited = history.T - history.t_x

        def surviving(later: float) -> Floats:
            rates = np.log(self.alpha / _K + history.T + later)
            terms = stages + _STAGES * np.log(waited + later) - (s + _STAGES) * np.repeat(rates, SHAPES, axis=0)
            return _log_sums(terms)

        here = surviving(0.0)
        alive, either = _alive_and_either(self.r, self.alpha, self.a, self.b, history, here)
        log_shares = np.log(np.maximum(np.array(self.shares), 1e-12))[:, None]
        likely = log_shares + _log_gaps(history) + self.r * np.log(self.alpha / _K) + either
        there = _shares_of(likely) * np.exp(alive - either)
        some = [(there * -np.expm1(np.minimum(surviving(float(week)) - here, 0.0))).sum(axis=0) for week in weeks[:, 0]]
        return there.sum(axis=0), np.array(some)


def fit_regular_gaps(history: History) -> RegularGaps:
    """The parameters of the greatest likelihood; of a sample where there are many customers.

    Args:
        history: of customers who bought at least once.
    """
    from scipy.optimize import minimize

    step = max(1, -(-len(history.x) // ENOUGH_CUSTOMERS))
    sample = history.of(slice(None, None, step))
    n = len(SHAPES)
    start = np.concatenate([[0.0, np.log(max(float(np.median(sample.T)) / 5.0, 1.0)), -0.5, 0.5], np.zeros(n)])
    bounds = [(-WIDEST, WIDEST)] * 4 + [(-6.0, 6.0)] * n
    gaps = _log_gaps(sample)
    found = minimize(
        minus_log_likelihood,
        start,
        args=(sample, gaps),
        method="L-BFGS-B",
        jac=True,
        bounds=bounds,
        options={"ftol": 1e-7},
    ).x
    r, alpha, a, b = (float(f"{value:.6g}") for value in np.exp(found[:4]))
    shares = np.exp(found[4:] - found[4:].max())
    return RegularGaps(r, alpha, a, b, tuple(float(f"{value:.6g}") for value in shares / shares.sum()))


def minus_log_likelihood(parameters: Floats, history: History, gaps: Floats | None = None) -> tuple[float, Floats]:
    """Its mean over the customers, and its slope: logarithms of r, alpha, a, b, and of shares up to a common factor.

    Args:
        parameters: those logarithms.
        history: of the customers.
        gaps: their gaps' own part, which is of no parameter, where it is known already.
    """
    from scipy.special import gammaln, psi

    r, alpha, a, b = np.exp(parameters[:4])
    shares = np.exp(parameters[4:] - parameters[4:].max())
    shares = shares / shares.sum()
    x, t_x, T = history.x, history.t_x, history.T
    s, rates = r + _SHAPE_OF_STAGE * x, np.repeat(np.log(alpha / _K + T), SHAPES, axis=0)
    terms = _of_counts(gammaln, r, x) - gammaln(_STAGES + 1.0) + _STAGES * np.log(T - t_x) - (s + _STAGES) * rates
    here = _log_sums(terms)
    alive, either = _alive_and_either(r, alpha, a, b, history, here)
    likely = (
        np.log(shares)[:, None]
        + (_log_gaps(history) if gaps is None else gaps)
        + r * np.log(alpha / _K)
        - gammaln(r)
        + either
    )
    of_shape, p_alive = _shares_of(likely), np.exp(alive - either)
    dead = 1.0 - p_alive
    of_stage = np.exp(terms - np.repeat(here, SHAPES, axis=0))
    s_k, rate_k = r + _K * x, alpha / _K
    stage_psi = np.add.reduceat(of_stage * _of_counts(psi, r, x), _FIRSTS, axis=0)
    stage_s = np.add.reduceat(of_stage * (s + _STAGES), _FIRSTS, axis=0)
    slope_r = np.log(rate_k) - psi(r) + p_alive * (stage_psi - np.log(rate_k + T))
    slope_r = slope_r + dead * (psi(s_k) - np.log(rate_k + t_x))
    slope_rate = r / rate_k - p_alive * stage_s / (rate_k + T) - dead * s_k / (rate_k + t_x)
    both, of_a, of_b = psi(a + b + x + 1.0), psi(a), psi(b)
    slope_a = p_alive * psi(a) + dead * psi(a + 1.0) - both - of_a + psi(a + b)
    slope_b = p_alive * psi(b + x + 1.0) + dead * psi(b + x) - both - of_b + psi(a + b)
    slopes = (slope_r * r, slope_rate * rate_k, slope_a * a, slope_b * b)
    slope = [float((of_shape * one).sum(axis=0).mean()) for one in slopes]
    top = likely.max(axis=0)
    value = float((top + np.log(np.exp(likely - top).sum(axis=0))).mean())
    return -value, -np.concatenate([slope, of_shape.mean(axis=1) - shares])


def _alive_and_either(
    r: float, alpha: float, a: float, b: float, history: History, here: Floats
) -> tuple[Floats, Floats]:
    """Logarithms of how likely who is still there is, and of either; by shape, less what all shapes share."""
    from scipy.special import betaln, gammaln

    s, of_all = r + _K * history.x, betaln(a, b)
    alive = betaln(a, b + history.x + 1.0) - of_all + here
    dead = betaln(a + 1.0, b + history.x) - of_all + gammaln(s) - s * np.log(alpha / _K + history.t_x)
    return alive, np.logaddexp(alive, dead)


def _log_gaps(history: History) -> Floats:
    """The gaps' own part of the log-likelihood by shape, `(n_shapes, n)`: 0 of whoever bought once."""
    from scipy.special import gammaln

    x = history.x
    again = np.maximum(x, 1.0)
    mean = np.where(x > 0, history.t_x / again, 1.0)
    sums = x * (np.log(np.maximum(mean, 1e-3)) - _unevenness(history))
    return np.asarray((_K - 1.0) * sums - x * gammaln(_K))


def _unevenness(history: History) -> Floats:
    """By how much ln of the mean gap exceeds the mean of ln gap, as of Gamma gaps of that spread; 0 of one gap."""
    from scipy.special import psi

    if history.spread is None:
        raise ValueError("Asked how regular customers buy, but their histories lack the spread of their gaps.")
    x = np.maximum(history.x, 1.0)
    squared = np.where(np.isfinite(history.spread), history.spread, 0.0) ** 2 * (x - 1.0) / x
    shape = 1.0 / np.clip(squared, 1e-3, 1e3)
    return np.asarray(np.where(x > 1, np.log(shape) - psi(shape), 0.0))


def _of_counts(function: Callable[[Floats], Floats], r: float, x: Floats) -> Floats:
    """It of r + kx + j by stage, `(n_stages, n)`: worked out once for each count of purchases, which many share."""
    counts, place = np.unique(x, return_inverse=True)
    return function(r + _SHAPE_OF_STAGE * counts + _STAGES)[:, place]


def _log_sums(terms: Floats) -> Floats:
    """The logarithm of each shape's sum over its stages, `(n_shapes, n)`."""
    top = np.maximum.reduceat(terms, _FIRSTS, axis=0)
    return np.asarray(top + np.log(np.add.reduceat(np.exp(terms - np.repeat(top, SHAPES, axis=0)), _FIRSTS, axis=0)))


def _shares_of(likely: Floats) -> Floats:
    """How probable each shape is of each customer."""
    each = np.exp(likely - likely.max(axis=0))
    return np.asarray(each / each.sum(axis=0))
