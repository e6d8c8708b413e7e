"""What another policy would have earned on the decisions that were logged, by the probabilities logged with them.

A decision whose action the candidate would take `w` times as often as the logging policy did stands for `w` decisions:

    IPS    mean of w x reward                        unbiased, and as noisy as its largest weights
    SNIPS  sum of w x reward / sum of w              a little biased, and steadier: what is told first
    DR     mean of sum_a P(a) q(x, a) + w x (reward - q(x, taken)), less the same of what was logged

where `q` is the mean reward of an action in a cell (segment and stage), shrunken to the action's and learned from other
customers than those whom it is used on. Each is given as the *change* against what was logged, on the same decisions,
so that what both share cancels. Customers are the units: the decisions of one are not independent of each other.

Where the log cannot answer there is a reason in place of a number: the candidate does what was never tried, the weights
lean on a few decisions, or they do not average to one, which says that the logged probabilities are not what was done.

References:
    Horvitz and Thompson (1952), A generalization of sampling without replacement from a finite universe.
    Swaminathan and Joachims (2015), The self-normalized estimator for counterfactual learning, eq. 9.
    Dudík, Langford, Li (2011), Doubly robust policy evaluation and learning, eq. 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.metrics import CONFIDENCE, MIN_CONVERTED, MIN_CUSTOMERS, Estimate, Floats, NotEstimable

MIN_EFFECTIVE = 100.0
"""Decisions that the weighted ones are worth, at least: below it an interval leans on a handful of customers."""
MOST_UNTRIED = 0.01
"""Of the candidate's probability, the largest share on actions that the log never could have taken there."""
_SUM_TO_ONE_WITHIN = 4.0  # standard errors
FOLDS = 5
STRENGTH = 20.0  # decisions that an action's mean weighs in a cell's


@dataclass(frozen=True, slots=True)
class LoggedDecision:
    """One decision of the log, beside what the candidate would have done there.

    Attributes:
        customer_key: the unit of the interval.
        cell: what the reward model tells apart, such as segment and stage.
        action: that was taken.
        reward: that followed.
        reward_as_candidate: what the same outcome is worth under the candidate, whose offers may cost something else.
        logged: P(action) of the policy that decided, of every action that it could have taken.
        candidate: P(action) of the candidate.
    """

    customer_key: int
    cell: str
    action: str
    reward: float
    reward_as_candidate: float
    logged: Mapping[str, float]
    candidate: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Change:
    """The change in reward a decision, three ways, or why there is no number.

    Attributes:
        logged_reward: the mean reward of what was done.
        effective_n: (sum of weights)² / sum of squared weights: how many decisions the weighted ones are worth.
        untried: by action, the mean probability that the candidate gives it where the log could not have taken it.
    """

    n_decisions: int
    n_customers: int
    logged_reward: float
    mean_weight: float
    largest_weight: float
    effective_n: float
    untried: Mapping[str, float]
    ips: Estimate | NotEstimable
    snips: Estimate | NotEstimable
    dr: Estimate | NotEstimable


def estimate_change(decisions: Sequence[LoggedDecision]) -> Change:
    """What the candidate would have changed, a decision.

    Args:
        decisions: drawn by the policy that logged them; none of held-out customers, whose action nobody drew.
    """
    if not decisions:
        none = NotEstimable("No decision of the log can be judged.", "no_decisions")
        return Change(0, 0, 0.0, 0.0, 0.0, 0.0, {}, none, none, none)
    weights = np.array([one.candidate.get(one.action, 0.0) / one.logged[one.action] for one in decisions])
    rewards = np.array([one.reward for one in decisions])
    as_candidate = np.array([one.reward_as_candidate for one in decisions])
    _, customers = np.unique([one.customer_key for one in decisions], return_inverse=True)
    n_customers = int(customers.max()) + 1
    untried = _untried(decisions)
    squared = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squared if squared > 0 else 0.0
    reason = (
        _too_few(n_customers, int(np.count_nonzero(rewards)))
        or _untried_reason(untried)
        or _weights_reason(weights, customers, allowed=sum(untried.values()))
        or _effective_reason(effective)
    )
    told: tuple[Estimate | NotEstimable, ...] = (reason, reason, reason) if reason is not None else ()
    if not told:
        value = float((weights * as_candidate).sum() / weights.sum())
        steadied = weights * (as_candidate - value) / weights.mean()
        told = (
            _mean(weights * as_candidate - rewards, customers),
            _mean(steadied - (rewards - rewards.mean()), customers, moved_to=value - float(rewards.mean())),
            _mean(_doubly_robust(decisions, weights, rewards, as_candidate, customers), customers),
        )
    return Change(
        n_decisions=len(decisions),
        n_customers=n_customers,
        logged_reward=float(rewards.mean()),
        mean_weight=float(weights.mean()),
        largest_weight=float(weights.max()),
        effective_n=effective,
        untried=untried,
        ips=told[0],
        snips=told[1],
        dr=told[2],
    )


def _untried(decisions: Sequence[LoggedDecision]) -> dict[str, float]:
    """The most missed first."""
    sums: dict[str, float] = {}
    for one in decisions:
        for action, probability in one.candidate.items():
            if probability > 0.0 and not one.logged.get(action, 0.0) > 0.0:
                sums[action] = sums.get(action, 0.0) + probability
    return {action: sums[action] / len(decisions) for action in sorted(sums, key=lambda name: (-sums[name], name))}


def _mean(values: Floats, customers: npt.NDArray[np.intp], *, moved_to: float | None = None) -> Estimate:
    """The mean of the decisions' values with its interval by customers."""
    from scipy.special import stdtrit

    mean = float(values.mean())
    n_customers = int(customers.max()) + 1
    error = _standard_error(values, customers)
    half = float(stdtrit(n_customers - 1, 0.5 + CONFIDENCE / 2)) * error
    centre = mean if moved_to is None else moved_to
    return Estimate(centre, centre - half, centre + half)


def _standard_error(values: Floats, customers: npt.NDArray[np.intp]) -> float:
    """Of the mean of values that customers share among themselves."""
    sums = np.bincount(customers, weights=values - values.mean())
    n = len(sums)
    return float(np.sqrt((sums**2).sum() * n / max(n - 1, 1))) / len(values)


def _doubly_robust(
    decisions: Sequence[LoggedDecision],
    weights: Floats,
    rewards: Floats,
    as_candidate: Floats,
    customers: npt.NDArray[np.intp],
) -> Floats:
    """By decision: DR of the candidate less DR of what was logged, so that a candidate that does the same changes 0."""
    folds = (customers % FOLDS).tolist()
    changes = np.empty(len(decisions))
    for fold in range(FOLDS):
        others = [i for i in range(len(decisions)) if folds[i] != fold]
        of_logged, of_candidate = (
            _RewardModel([(decisions[i].cell, decisions[i].action, float(earned[i])) for i in others])
            for earned in (rewards, as_candidate)
        )
        for i, one in enumerate(decisions):
            if folds[i] == fold:
                after = of_candidate.expected(one.cell, one.candidate)
                after += weights[i] * (as_candidate[i] - of_candidate.reward(one.cell, one.action))
                before = of_logged.expected(one.cell, one.logged)
                before += rewards[i] - of_logged.reward(one.cell, one.action)
                changes[i] = after - before
    return changes


class _RewardModel:
    """Mean rewards by cell and action, shrunken to the action's, which is shrunken to everybody's."""

    def __init__(self, seen: Sequence[tuple[str, str, float]]) -> None:
        self._sums: dict[tuple[str, ...], tuple[int, float]] = {}
        for cell, action, reward in seen:
            for key in ((), (action,), (cell, action)):
                n, total = self._sums.get(key, (0, 0.0))
                self._sums[key] = (n + 1, total + reward)
        n, total = self._sums.get((), (0, 0.0))
        self._everywhere = total / n if n else 0.0

    def expected(self, cell: str, distribution: Mapping[str, float]) -> float:
        """The expected reward under a policy."""
        return sum(p * self.reward(cell, action) for action, p in distribution.items() if p > 0.0)

    def reward(self, cell: str, action: str) -> float:
        """The expected reward."""
        return self._shrunken((cell, action), self._shrunken((action,), self._everywhere))

    def _shrunken(self, key: tuple[str, ...], prior: float) -> float:
        n, total = self._sums.get(key, (0, 0.0))
        return (total + STRENGTH * prior) / (n + STRENGTH)


def _too_few(n_customers: int, n_rewarded: int) -> NotEstimable | None:
    if n_customers < MIN_CUSTOMERS:
        return NotEstimable(
            f"The log has {n_customers} customers whose windows have closed; at least {MIN_CUSTOMERS} are needed.",
            "too_few_customers",
            {"n": n_customers, "needed": MIN_CUSTOMERS},
        )
    if n_rewarded < MIN_CONVERTED:
        return NotEstimable(
            f"{n_rewarded} logged decisions earned or cost anything; at least {MIN_CONVERTED} are needed.",
            "too_few_rewards",
            {"n": n_rewarded, "needed": MIN_CONVERTED},
        )
    return None


def _untried_reason(untried: Mapping[str, float]) -> NotEstimable | None:
    share = sum(untried.values())
    if share <= MOST_UNTRIED:
        return None
    worst = ", ".join(f"'{action}' ({p:.1%})" for action, p in list(untried.items())[:3])
    return NotEstimable(
        f"{share:.1%} of what the candidate would do was never possible in the log: {worst}. No log can say what an "
        "untried action earns: let a share of customers get it first (exploration, or an arm of an experiment).",
        "untried",
        {"share": share, "actions": dict(untried)},
    )


def _weights_reason(weights: Floats, customers: npt.NDArray[np.intp], *, allowed: float) -> NotEstimable | None:
    error = _standard_error(weights, customers)
    mean = float(weights.mean())
    if abs(mean - 1.0) <= _SUM_TO_ONE_WITHIN * error + allowed + 1e-9:
        return None
    return NotEstimable(
        f"The weights average {mean:.3f} where they should average 1 (standard error {error:.3f}): the logged "
        "probabilities are not those with which the actions were drawn, so nothing can be built on them.",
        "probabilities_do_not_match",
        {"mean_weight": mean, "standard_error": error},
    )


def _effective_reason(effective: float) -> NotEstimable | None:
    if effective >= MIN_EFFECTIVE:
        return None
    return NotEstimable(
        f"The log is worth {effective:.0f} decisions of the candidate; at least {MIN_EFFECTIVE:.0f} are needed. What "
        "it would do was rarely done: explore more, or ask about a smaller change.",
        "too_few_effective",
        {"effective_n": effective, "needed": MIN_EFFECTIVE},
    )
