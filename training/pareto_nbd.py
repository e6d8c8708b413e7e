"""Pareto/NBD: customers buy at their own steady rate until they leave, unseen, at any moment; by maximum likelihood.

It differs from BG/NBD in when people leave: there only right after a purchase, here also in the middle of a silence, so
that somebody who bought once and fell silent may be gone. Time is in weeks, and one order a customer-day is one
purchase.

Every hypergeometric function is taken after Euler's transformation, as 2F1(1, b; c; z) with 0 ≤ z < 1 and c > b: a sum
of positive terms that neither overflows for a customer with hundreds of purchases nor loses digits by cancellation.

References:
    Schmittlein, Morrison, Colombo (1987), Counting Your Customers: Who Are They and What Will They Do Next?
    Fader, Hardie (2005), A Note on Deriving the Pareto/NBD Model and Related Expressions: the likelihood in its two
    cases of alpha and beta, P(alive), and the conditional expectation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from training.repeat_buying import History

Floats = NDArray[np.float64]

ENOUGH_CUSTOMERS = 10_000  # four parameters: more customers move the third digit and cost seconds
WIDEST = 8.0  # of a parameter's logarithm: beyond e^±8 the likelihood is flat
STARTS = ((-0.5, 2.0, -0.5, 2.5), (0.0, 2.0, -2.0, 1.0))
STEPS_TO_TELL = 6  # of each start, which cost half as much as going on to the end from both; the best goes on
ENOUGH_TO_SHARE = 512  # customers: of fewer, finding who shares a history costs as much as it spares
N_NODES_OF_MEAN = 96
N_NODES = 24  # moments of leaving that the slope of the likelihood looks at


@dataclass(frozen=True, slots=True)
class ParetoNbd:
    """The four fitted parameters: purchase rates are Gamma(r, alpha), leaving rates are Gamma(s, beta), a week."""

    r: float
    alpha: float
    s: float
    beta: float

    def p_alive(self, history: History) -> Floats:
        """P(the customer has not left by the cut), shape `(n,)`."""
        return _each_once(self._alive, history)

    def _alive(self, history: History) -> Floats:
        alive, either = self._log_terms(history)
        return np.asarray(np.minimum(np.exp(alive - either), 1.0))

    def p_any(self, history: History, *, weeks: float | Floats, alive: Floats | None = None) -> Floats:
        """P(at least one purchase within so many weeks), shape `(n,)`; `(m, n)` of weeks `(m, 1)`.

        Whoever is alive at the cut is there a new customer, of rates Gamma(r + x, alpha + T) and Gamma(s, beta + T):
        the likelihood of their buying nothing within the weeks is what is left of 1.

        Args:
            history: of the customers.
            weeks: how far ahead.
            alive: what `p_alive` gives, where it is known already.
        """
        still = self.p_alive(history) if alive is None else alive
        nothing = np.zeros_like(history.T)
        some = _each_once(lambda known: self._if_alive(known, weeks), History(history.x, nothing, history.T))
        return np.asarray(still * some)

    def _if_alive(self, history: History, weeks: float | Floats) -> Floats:
        nothing = np.zeros_like(history.T)
        silence = History(nothing, nothing, nothing + weeks)
        r, alpha, beta = self.r + history.x, self.alpha + history.T, self.beta + history.T
        _, either = _log_terms(r, alpha, self.s, beta, silence)
        none = np.exp(r * np.log(alpha) + self.s * np.log(beta) + either)
        return np.asarray(np.clip(1.0 - none, 0.0, 1.0))

    def expected(self, history: History, *, weeks: float, alive: Floats | None = None) -> Floats:
        """Expected purchases within so many weeks, shape `(n,)`: the rate while alive.

        Args:
            history: of the customers.
            weeks: how far ahead.
            alive: what `p_alive` gives, where it is known already.
        """
        still = self.p_alive(history) if alive is None else alive
        rate = (self.r + history.x) / (self.alpha + history.T)
        beta = self.beta + history.T
        return np.asarray(still * rate * beta * _weeks_there(self.s, np.log1p(weeks / beta)))

    def log_likelihood(self, history: History) -> Floats:
        """Of each customer's history, shape `(n,)`."""
        return self._constant(history) + self._log_terms(history)[1]

    def _constant(self, history: History) -> Floats:
        from scipy.special import gammaln

        of_all = self.r * np.log(self.alpha) + self.s * np.log(self.beta) - gammaln(self.r)
        return np.asarray(gammaln(self.r + history.x) + of_all)

    def _log_terms(self, history: History) -> tuple[Floats, Floats]:
        return _log_terms(self.r, self.alpha, self.s, self.beta, history)


def fit_pareto_nbd(history: History) -> ParetoNbd:
    """The parameters of the greatest likelihood, from several starts; of a sample where there are very many customers.

    Args:
        history: of customers who bought at least once.
    """
    sample, weights = _distinct(history)
    begun = [_climbed(np.array(start), sample, weights, steps=STEPS_TO_TELL) for start in STARTS]
    best, _ = _climbed(min(begun, key=lambda one: one[1])[0], sample, weights)
    return ParetoNbd(*(float(f"{value:.6g}") for value in np.exp(best)))


def _climbed(start: Floats, history: History, weights: Floats, *, steps: int = 15_000) -> tuple[Floats, float]:
    """Logarithms of the parameters after so many steps of L-BFGS, or where there are no better ones; their loss."""
    from scipy.optimize import minimize

    found = minimize(
        _negative_log_likelihood,
        start,
        args=(history, weights),
        method="L-BFGS-B",
        jac=True,
        bounds=[(-WIDEST, WIDEST)] * 4,
        options={"maxiter": steps},
    )
    return np.asarray(found.x), float(found.fun)


def _each_once(said: Callable[[History], Floats], history: History) -> Floats:
    """What is said of each history, worked out once where many share one: in days, most of a shop's do."""
    if len(history.T) < ENOUGH_TO_SHARE:
        return said(history)
    place = _place_of_each(history.x, history.t_x, history.T)
    one_of = np.empty(place.max() + 1, dtype=np.intp)
    one_of[place] = np.arange(len(place))
    return np.asarray(said(history.of(one_of))[..., place])


def _place_of_each(*columns: Floats) -> NDArray[np.intp]:
    """Of each row, which distinct one it is, in their order: sorting numbers costs a fraction of sorting rows."""
    places = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        places = np.unique(places * len(values) + place, return_inverse=True)[1]
    return np.asarray(places, dtype=np.intp)


def _distinct(history: History) -> tuple[History, Floats]:
    """Every history once, with the share of customers who have it."""
    step = max(1, -(-len(history.x) // ENOUGH_CUSTOMERS))
    rows = np.column_stack([history.x, history.t_x, history.T])[::step]
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    return History(*(np.ascontiguousarray(column) for column in distinct.T)), counts / len(rows)


def _negative_log_likelihood(log_parameters: Floats, history: History, weights: Floats) -> tuple[float, Floats]:
    """Its mean over the customers, and its slope in each logarithm of a parameter.

    The slopes are means over where the customer may be: alive at T, or gone at some moment since t_x.
    """
    from scipy.special import psi

    r, alpha, s, beta = np.exp(log_parameters)
    fitted = ParetoNbd(r, alpha, s, beta)
    log_alive, log_either = fitted._log_terms(history)
    n, alive = r + history.x, np.exp(log_alive - log_either)
    moments, shares = _when_gone(fitted, history)

    def mean(of_moment: Callable[[Floats], Floats], at_end: Floats) -> Floats:
        return np.asarray(alive * at_end + (1 - alive) * (shares * of_moment(moments)).sum(axis=0))

    slopes = (
        psi(n) - psi(r) + np.log(alpha) - mean(lambda t: np.log(alpha + t), np.log(alpha + history.T)),
        r / alpha - n * mean(lambda t: 1 / (alpha + t), 1 / (alpha + history.T)),
        np.log(beta) + (1 - alive) / s - mean(lambda t: np.log(beta + t), np.log(beta + history.T)),
        s / beta - mean(lambda t: (s + 1) / (beta + t), s / (beta + history.T)),
    )
    slope = np.array([float(weights @ each) for each in slopes]) * (r, alpha, s, beta)
    return -float(weights @ (fitted._constant(history) + log_either)), -slope


def _when_gone(fitted: ParetoNbd, history: History) -> tuple[Floats, Floats]:
    """Moments at which each may have left since t_x, with their probabilities, given that they did; `(N_NODES, n)`.

    Gauss-Legendre in the logarithm of the time, up to where less than e^-40 is left.
    """
    n, alpha, beta = fitted.r + history.x, fitted.alpha, fitted.beta
    nodes, of_node = _nodes(N_NODES)
    least = min(alpha, beta)
    furthest = (alpha + history.t_x) * np.exp(np.minimum(40.0 / n, 40.0)) - alpha
    start, end = np.log(least + history.t_x), np.log(least + np.minimum(history.T, furthest))
    at = start + (end - start) * 0.5 * (nodes[:, None] + 1.0)
    moments = np.exp(at) - least
    log_density = at - n * np.log(alpha + moments) - (fitted.s + 1) * np.log(beta + moments)
    density = of_node[:, None] * np.exp(log_density - log_density.max(axis=0))
    return moments, density / density.sum(axis=0)


def _log_terms(
    r: float | Floats, alpha: float | Floats, s: float, beta: float | Floats, history: History
) -> tuple[Floats, Floats]:
    """Logarithms of two parts of the likelihood, shape `(n,)`: alive at T, and alive or gone some time after t_x.

    Both without the factor Γ(r + x) α^r β^s ÷ Γ(r). The second is a sum of two positive terms, so that P(alive), their
    ratio, keeps its digits however small it is.
    """
    n, total = r + history.x, r + history.x + s
    (a_x, b_x), (a_T, b_T) = ((np.log(alpha + t), np.log(beta + t)) for t in (history.t_x, history.T))
    # Each branch is exact; the one that a customer does not need is asked at z = 0, where it costs nothing.
    later = np.asarray(alpha) >= np.asarray(beta)
    gap = np.abs(np.asarray(alpha) - np.asarray(beta))
    z_x, z_T = (np.asarray(gap / (np.maximum(alpha, beta) + t)) for t in (history.t_x, history.T))
    gone = np.where(later, -n * a_x - s * b_x, (1 - n) * a_x - (s + 1) * b_x)
    gone = gone + np.log(_hyp2f1_of_one(np.where(later, n, s + 1), total + 1, z_x))
    rest = np.where(later, -(n + 1) * a_T + (1 - s) * b_T, -n * a_T - s * b_T)
    rest = rest + np.log(_hyp2f1_of_one(np.where(later, n + 1, s), total + 1, z_T))
    either = np.logaddexp(np.log(s / total) + gone, np.log(n / total) + rest)
    return np.asarray(-n * a_T - s * b_T), np.asarray(either)


def _hyp2f1_of_one(b: Floats, c: Floats, z: Floats) -> Floats:
    """2F1(1, b; c; z) for 0 < b < c and 0 ≤ z < 1, shape `(n,)`; also where SciPy gives up, at b > 160 and z near 1."""
    from scipy.special import hyp2f1

    found = np.asarray(hyp2f1(1.0, b, c, z))
    lost = ~np.isfinite(found) & np.isfinite(c) & np.isfinite(z)
    if lost.any():
        found = np.where(lost, 1.0, found)
        found[lost] = _mean_of_inverse(*(np.broadcast_to(each, found.shape)[lost] for each in (b, c - b, 1 - z)))
    return found


def _mean_of_inverse(b: Floats, rest: Floats, gap: Floats) -> Floats:
    """The same by Euler's integral, the mean of 1 ÷ (1 − z U) over U ~ Beta(b, rest), with z = 1 − gap.

    Gauss-Legendre in the logarithm of 1 − U, over all but e^-40 of it.
    """
    nodes, of_node = _nodes(N_NODES_OF_MEAN)
    end = np.minimum((rest + 40.0 + 9.0 * np.sqrt(rest)) / b, 1.0)
    width = 40.0 / rest + 1.0 + np.log1p(end * b / rest)
    at = np.log(end) - 0.5 * (1.0 - nodes[:, None]) * width
    v = np.exp(at)
    log_weight = rest * at + (b - 1.0) * np.log1p(-np.minimum(v, 1.0 - 1e-15))
    weight = of_node[:, None] * np.exp(log_weight - log_weight.max(axis=0))
    return np.asarray((weight / (gap + (1.0 - gap) * v)).sum(axis=0) / weight.sum(axis=0))


@cache
def _nodes(count: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre's nodes and weights, found once: to find them costs more than to use them on a small shop."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return np.asarray(nodes), np.asarray(weights)


def _weeks_there(s: float, log_ratio: Floats) -> Floats:
    """(1 − e^((1 − s) × log_ratio)) ÷ (s − 1), which is log_ratio at s = 1."""
    if abs(s - 1.0) < 1e-9:
        return log_ratio
    return np.asarray(-np.expm1((1.0 - s) * log_ratio) / (s - 1.0))
