"""What a policy earns a decision, and how well a ranking finds whom to treat, doubly robust with intervals.

Everything here is a weighted mean of the same doubly robust rewards, so that two policies are compared on the same
noise. With m, d and what is left as `training.response.nuisances` has them,

    G(i, a) = m(i) + d(i, a) + [action(i) = a] left(i) / propensity(i)

has mean E[reward | x, a]; a policy's value is the mean of G(i, policy(i)). Customers are the units of every interval.

References:
    Dudík, Langford, Li (2011), Doubly robust policy evaluation and learning, eq. 2.
    Yadlowsky et al. (2025), Evaluating treatment prioritization rules via rank-weighted average treatment effects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

CONFIDENT = 1.959964  # standard errors of a 95% interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error, by customers."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """The lower end of the 95% interval."""
        return self.value - CONFIDENT * self.error

    @property
    def high(self) -> float:
        """The upper end of the 95% interval."""
        return self.value + CONFIDENT * self.error

    def as_dict(self) -> dict[str, float]:
        """What model.json keeps."""
        told = {"value": self.value, "error": self.error, "low": self.low, "high": self.high}
        return {name: float(f"{value:.9g}") for name, value in told.items()}


@dataclass(frozen=True, slots=True)
class Judge:
    """Doubly robust rewards of every row, by regressions that did not see the row's customer.

    Attributes:
        m: shape `(n,)`.
        d: shape `(n, n_actions)`.
        left: shape `(n,)`.
        action: shape `(n,)`.
        propensity: shape `(n,)`.
        customers: shape `(n,)`, 0, 1, 2, …
        available: shape `(n, n_actions)`; None where every action could be taken by every row.
    """

    m: Floats
    d: Floats
    left: Floats
    action: Ints
    propensity: Floats
    customers: Ints
    available: NDArray[np.bool_] | None = None

    def rewards(self) -> Floats:
        """G, shape `(n, n_actions)`."""
        made = self.m[:, np.newaxis] + self.d
        made[np.arange(len(made)), self.action] += self.left / self.propensity
        return np.asarray(made)

    def effects(self) -> Floats:
        """G of each action less that of the reference one, shape `(n, n_actions - 1)`."""
        rewards = self.rewards()
        return np.asarray(rewards[:, 1:] - rewards[:, :1])

    def value(self, policy: Ints) -> Estimate:
        """The mean reward of a policy, `(n,)` of actions."""
        return self.mean(self.of_policy(policy))

    def of_policy(self, policy: Ints) -> Floats:
        """Each row's G of a policy's action."""
        rows = np.arange(len(self.m))
        bonus = np.where(self.action == policy, self.left / self.propensity, 0.0)
        return np.asarray(self.m + self.d[rows, policy] + bonus)

    def mean(self, values: Floats) -> Estimate:
        """The mean of values of the rows."""
        return Estimate(float(values.mean()), self.error(values))

    def error(self, values: Floats) -> float:
        """The standard error of a mean of values that customers' rows share among themselves."""
        sums = np.bincount(self.customers, weights=values - values.mean())
        n = len(sums)
        return float(np.sqrt((sums**2).sum() * n / max(n - 1, 1))) / len(values)

    def best(self, effects: Floats) -> Ints:
        """The policy that takes the action with the largest effect, among what can be taken; the reference one is 0."""
        worth = np.hstack([np.zeros((len(effects), 1)), effects])
        if self.available is not None:
            worth = np.where(self.available, worth, -np.inf)
        return np.asarray(worth.argmax(axis=1), dtype=np.intp)

    def targeting(self, effects: Floats) -> Floats:
        """By row, what its mean says a ranking is worth: the area between it and treating at random, a customer.

        Treating the share q that the ranking puts first, each with their best action, earns so much more than treating
        a random share q of them with those actions; this is the mean over all q: the Qini curve's area, a customer. Of
        customers whom the ranking holds for equal, none comes first. Where nothing else could be done, nothing is won.
        """
        could = self.could()
        worth = np.where(could, effects, -np.inf)
        best = np.asarray(worth.argmax(axis=1), dtype=np.intp) + 1
        gain = self.of_policy(best) - self.of_policy(np.zeros(len(best), dtype=np.intp))
        chosen = could.any(axis=1)
        area = np.zeros(len(best))
        area[chosen] = gain[chosen] * (0.5 - shares_above(worth[chosen].max(axis=1)))
        return area

    def could(self) -> NDArray[np.bool_]:
        """Which of the other actions could be taken where the reference one could be too, `(n, n_actions - 1)`."""
        if self.available is None:
            return np.ones((len(self.d), self.d.shape[1] - 1), dtype=np.bool_)
        return np.asarray(self.available[:, 1:] & self.available[:, :1])

    def of_rows(self, rows: NDArray[np.bool_]) -> Judge:
        """Only those rows."""
        return Judge(
            self.m[rows],
            self.d[rows],
            self.left[rows],
            self.action[rows],
            self.propensity[rows],
            np.unique(self.customers[rows], return_inverse=True)[1].astype(np.intp),
            None if self.available is None else self.available[rows],
        )


def shares_above(values: Floats) -> Floats:
    """The share of all values that are larger, those that are equal counting half; shape as `values`."""
    unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    larger = np.concatenate([np.cumsum(counts[::-1])[::-1][1:], [0]])
    return np.asarray((larger + counts / 2)[inverse] / len(values)) if len(unique) else np.empty(0)


def customers_of(cluster: NDArray[np.int64]) -> Ints:
    """The rows' customers, counted from 0."""
    return np.unique(cluster, return_inverse=True)[1].astype(np.intp)
