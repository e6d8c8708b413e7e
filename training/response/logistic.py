"""Logistic regressions of outcomes that happen or do not: one of all actions, and one an action drawn towards it.

Small effects favour few parameters. The first has one number an action: on the scale of log-odds an action is worth
the same of everybody, so that in money it is worth the most where the outcome hangs in the balance. The second lets
columns weigh otherwise for an action, as far as penalties that are chosen by cross-validation let them; the largest one
leaves the first, and a column that was found to matter is held the less. Both are fitted by Newton's method; penalties
are compared on its quadratic approximation, so that a whole grid of them costs the sums of squares of one step.

References:
    McCullagh and Nelder (1989), Generalized linear models, 2.5: iteratively reweighted least squares.
    Grandvalet (1998), Least absolute shrinkage is equivalent to quadratic penalization.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.response.nuisances import Lesson
from training.response.ridge import PENALTIES
from training.response.terms import Term, logistic, sigmoid

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
_Part = tuple[Floats, Floats, float]  # of some rows: D'WD, D'left, and the sum of weights

MOST_STEPS = 15
CONVERGED = 1e-8  # of the largest change of a coefficient
LEAST_WEIGHT = 1e-6  # p (1 − p), so that sure things do not make a step endless
LARGEST_STEP = 4.0  # in log-odds, so that the first steps from afar do not overshoot
ROUNDS = 3  # of penalties by column; more change little
LEAST_SHARE = 0.05  # of the mean squared coefficient, by which the smallest is still held loosely enough to come back
NOTHING = 1e-12  # a mean squared coefficient that is none
PRIOR = 1.0  # of an action's log-odds about the mean: what keeps an action finite of which everything or nothing came


@dataclass(frozen=True, slots=True)
class Logistic:
    """P(outcome | x, action) = sigmoid(intercepts[action] + coefficients[action] · z).

    Attributes:
        intercepts: shape `(n_actions,)`.
        coefficients: shape `(n_actions, n_columns)`.
    """

    intercepts: Floats
    coefficients: Floats

    def predict(self, Z: Floats) -> Floats:
        """Probabilities, shape `(n, n_actions)`."""
        return sigmoid(Z @ self.coefficients.T + self.intercepts)


def fit_one(Z: Floats, happened: Floats, action: Ints, *, n_actions: int, folds: NDArray[np.int64]) -> Logistic:
    """One regression on the customer and the action, without products of the two.

    Args:
        Z: shape `(n, n_columns)`, standardised.
        happened: shape `(n,)`, 0 or 1, both of them somewhere.
        action: shape `(n,)`, below `n_actions`.
        n_actions: how many there are.
        folds: shape `(n,)`, which rows are left out together when the penalty is chosen.
    """
    n, n_columns = Z.shape
    D = np.zeros((n, 1 + n_actions + n_columns))
    D[:, 0] = 1.0
    D[np.arange(n), 1 + action] = 1.0
    D[:, 1 + n_actions :] = Z
    fixed = np.concatenate([[0.0], np.full(n_actions, PRIOR), np.zeros(n_columns)])
    ridged = np.concatenate([np.zeros(1 + n_actions), np.ones(n_columns)])
    found = _fitted(D, happened, np.zeros(n), fixed=fixed, ridged=ridged, folds=folds)
    coefficients = np.tile(found[1 + n_actions :], (n_actions, 1))
    return Logistic(found[0] + found[1 : 1 + n_actions], coefficients)


def fit_each(one: Logistic, Z: Floats, happened: Floats, action: Ints, *, folds: NDArray[np.int64]) -> Logistic:
    """One regression an action, each drawn towards the one of all actions.

    Args:
        one: of all actions.
        Z: shape `(n, n_columns)`, standardised.
        happened: shape `(n,)`, 0 or 1.
        action: shape `(n,)`.
        folds: shape `(n,)`, as in `fit_one`.
    """
    intercepts, coefficients = one.intercepts.copy(), one.coefficients.copy()
    ridged = np.concatenate([[0.0], np.ones(Z.shape[1])])
    fixed = np.concatenate([[PRIOR], np.zeros(Z.shape[1])])
    for place in range(len(intercepts)):
        rows = action == place
        if not rows.any():
            continue
        D = np.column_stack([np.ones(int(rows.sum())), Z[rows]])
        offset = Z[rows] @ coefficients[place] + intercepts[place]
        away = _fitted(D, happened[rows], offset, fixed=fixed, ridged=ridged, folds=folds[rows], rounds=ROUNDS)
        intercepts[place] += away[0]
        coefficients[place] += away[1:]
    return Logistic(intercepts, coefficients)


def of_all_actions(lesson: Lesson) -> Logistic | None:
    """The one of all actions, made once a lesson; None where what happened to its customers is the same for all."""
    of = lesson.sample
    if "logistic" not in lesson.shared:
        happened = _happened(lesson)
        told = np.ptp(happened) > 0.0
        lesson.shared["logistic"] = (
            fit_one(of.Z, happened, of.action, n_actions=of.n_actions, folds=of.fold) if told else None
        )
    one: Logistic | None = lesson.shared["logistic"]
    return one


def of_each_action(lesson: Lesson) -> Logistic | None:
    """One an action, drawn to that; None where there is none."""
    of, one = lesson.sample, of_all_actions(lesson)
    return None if one is None else fit_each(one, of.Z, _happened(lesson), of.action, folds=of.fold)


def effects_of(fitted: Logistic, lesson: Lesson) -> tuple[tuple[Term, ...], ...]:
    """The amount times what an action makes the outcome's probability, less what it is of the reference action.

    Where rewards differ in amount it is the mean amount.
    """
    rewards = lesson.sample.reward
    amount = float(rewards[rewards != 0.0].mean())
    terms = [
        logistic(amount, float(intercept), slopes.tolist())
        for intercept, slopes in zip(fitted.intercepts, fitted.coefficients, strict=True)
    ]
    return tuple((term, terms[0].times(-1.0)) for term in terms[1:])


def _happened(lesson: Lesson) -> Floats:
    return np.asarray(lesson.sample.reward != 0.0, dtype=np.float64)


def _fitted(
    D: Floats,
    happened: Floats,
    offset: Floats,
    *,
    fixed: Floats,
    ridged: Floats,
    folds: NDArray[np.int64],
    rounds: int = 0,
) -> Floats:
    """The penalised maximum of likelihood, shape `(n_columns,)`; the penalty by cross-validation where it starts.

    Args:
        D: shape `(n, n_columns)`.
        happened: shape `(n,)`.
        offset: shape `(n,)`, of the log-odds.
        fixed: shape `(n_columns,)`, a penalty that is always there.
        ridged: shape `(n_columns,)`, 1 where the chosen penalty counts.
        folds: shape `(n,)`.
        rounds: in which a column's penalty is set anew by how much it was found to matter.
    """
    found = np.zeros(D.shape[1])
    penalty: Floats | None = None
    for _ in range(MOST_STEPS):
        p = sigmoid(D @ found + offset)
        weights = np.maximum(p * (1.0 - p), LEAST_WEIGHT)
        if penalty is None:
            parts = [_sums(D[of], weights[of], (happened - p)[of]) for of in (folds == f for f in np.unique(folds))]
            penalty = _penalty(parts, fixed=fixed, ridged=ridged, rounds=rounds)
        DD, Dr, _ = _sums(D, weights, happened - p)
        step = _solved(DD, Dr - penalty * found, penalty)
        found = found + np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if float(np.abs(step).max()) < CONVERGED:
            break
    return np.asarray(found)


def _penalty(parts: Sequence[_Part], *, fixed: Floats, ridged: Floats, rounds: int) -> Floats:
    """The penalty of each column, shape `(n_columns,)`.

    A column that matters little is held the more tightly, in inverse proportion to its size: in the end the sum of
    sizes is what is penalised, so that few columns may matter much (Grandvalet 1998).
    """
    DD, Dr, total = _together(parts)
    held = ridged
    penalty = fixed + _best(parts, fixed=fixed, ridged=held) * total * held
    for _ in range(rounds):
        squared = _solved(DD, Dr, penalty)[ridged > 0.0] ** 2
        if not len(squared) or float(squared.mean()) < NOTHING:
            break
        held = ridged.copy()
        held[ridged > 0.0] = 1.0 / np.sqrt(squared / squared.mean() + LEAST_SHARE)
        penalty = fixed + _best(parts, fixed=fixed, ridged=held) * total * held
    return penalty


def _sums(D: Floats, weights: Floats, left: Floats) -> _Part:
    """D'WD, D'left, and the sum of weights."""
    return (D * weights[:, np.newaxis]).T @ D, D.T @ left, float(weights.sum())


def _together(parts: Sequence[_Part]) -> _Part:
    return (
        np.sum([part[0] for part in parts], axis=0),
        np.sum([part[1] for part in parts], axis=0),
        sum(part[2] for part in parts),
    )


def _best(parts: Sequence[_Part], *, fixed: Floats, ridged: Floats) -> float:
    """The penalty that leaves the least deviance on what was left out, by its quadratic approximation at zero."""
    if len(parts) < 2 or not ridged.any():
        return PENALTIES[-1]
    DD, Dr, total = _together(parts)
    gains = []
    for penalty in PENALTIES:
        gain = 0.0
        for part in parts:
            found = _solved(DD - part[0], Dr - part[1], fixed + penalty * (total - part[2]) * ridged)
            gain += float(found @ part[1]) - 0.5 * float(found @ part[0] @ found)
        gains.append(gain)
    enough = max(gains) - 1e-9 * abs(max(gains))
    # The largest penalty among those that are as good as the best.
    return max(penalty for penalty, gain in zip(PENALTIES, gains, strict=True) if gain >= enough)


def _solved(DD: Floats, right: Floats, penalty: Floats) -> Floats:
    tiny = 1e-9 * float(np.trace(DD)) / len(DD)
    return np.asarray(np.linalg.solve(DD + np.diag(penalty + tiny), right))
