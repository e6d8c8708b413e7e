"""Choosing a learner: the simplest that is as good as the best, by what it earned on customers who did not teach it.

Each learner is fitted to three of four folds of customers, brought to the level and slope that its sayings about
*other* customers bear out, and judged on the fold left out: the doubly robust value of the policy that takes its best
action, plus the area of its targeting curve (how much treating only those whom it ranks first earns beyond treating as
many at random). The first alone is blind where everybody is worth treating, the second alone where the question is
whether to treat anybody. A learner falls behind where the best one is ahead by more than one standard error of their
*difference*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.response.learners import Learned, Learner
from training.response.nuisances import CrossFit
from training.response.policy_value import Estimate, Judge

Floats = NDArray[np.float64]

SAME_FOR_ALL = "same_for_all"
LARGEST_SLOPE = 1.25  # a learner's differences between customers are stretched by no more


@dataclass(frozen=True, slots=True)
class Slope:
    """How much of a learner's differences between customers is borne out by others: 1 all of it, 0 none."""

    value: float
    error: float

    @property
    def kept(self) -> float:
        """What of the differences is kept."""
        return float(np.clip(self.value, 0.0, LARGEST_SLOPE))


@dataclass(frozen=True, slots=True)
class Tried:
    """One learner, as judged.

    Attributes:
        name: the learner's.
        raw: what it said of each row without having seen the customer, `(n, n_actions - 1)`.
        effects: the same, calibrated by other folds.
        slope: of all folds together.
        value: of the policy that takes its best action.
        targeting: the area of its targeting curve.
        score: by row, what its policy's value and its targeting area are the means of.
        behind: how far the best one's score is ahead.
    """

    name: str
    raw: Floats
    effects: Floats
    slope: Slope
    value: Estimate
    targeting: Estimate
    score: Floats
    behind: Estimate

    def as_dict(self) -> dict[str, object]:
        """What model.json keeps."""
        return {
            "learner": self.name,
            "value": self.value.as_dict(),
            "targeting": self.targeting.as_dict(),
            "behind": self.behind.as_dict(),
            "slope": {"value": _nine(self.slope.value), "error": _nine(self.slope.error)},
        }


def try_learners(crossfit: CrossFit, judge: Judge, learners: Mapping[str, Learner]) -> tuple[Tried, ...]:
    """Every learner judged on the folds that did not teach it, in their order."""
    of = crossfit.sample
    said = {name: np.empty((len(of.X), of.n_actions - 1)) for name in learners}
    level = np.empty((len(of.X), of.n_actions - 1))
    for fold in crossfit.folds:
        lesson, rows = crossfit.lesson(fold), of.fold == fold
        level[rows] = lesson.pseudo().mean(axis=0)
        for name, learner in learners.items():
            differences = learner(lesson).predict(of.X[rows], of.Z[rows], of.action_vectors)
            said[name][rows] = differences - differences.mean(axis=0)
    targets = judge.effects()
    tried = [_tried(name, differences, level, targets, judge, of.fold) for name, differences in said.items()]
    best = max(tried, key=lambda one: float(one.score.mean()))
    return tuple(_beside(one, best, judge) for one in tried)


def chosen(tried: tuple[Tried, ...]) -> Tried:
    """The first, hence the simplest, that is not behind by more than a standard error."""
    for one in tried:
        if one.behind.value <= one.behind.error:
            return one
    return tried[-1]


def mean_said(learned: Learned, X: Floats, Z: Floats, action_vectors: Floats) -> Floats:
    """A learner's mean effect of each action over these customers, shape `(n_actions - 1,)`."""
    return np.asarray(learned.predict(X, Z, action_vectors).mean(axis=0))


def slope_of(differences: Floats, targets: Floats, judge: Judge) -> Slope:
    """The regression of doubly robust effects on a learner's differences, both about their means, over all actions."""
    away = differences - differences.mean(axis=0)
    spread = float((away**2).sum())
    if spread <= 1e-18 * max(float((targets**2).sum()), 1e-300):
        return Slope(0.0, 0.0)
    centred = targets - targets.mean(axis=0)
    value = float((away * centred).sum() / spread)
    left = (away * (centred - value * away)).sum(axis=1)
    return Slope(value, judge.error(left) * len(left) / spread)


def _tried(
    name: str, differences: Floats, level: Floats, targets: Floats, judge: Judge, fold: NDArray[np.int64]
) -> Tried:
    effects = np.empty_like(differences)
    for one in np.unique(fold):
        rows, others = fold == one, fold != one
        kept = _partly(judge, others)
        effects[rows] = level[rows] + slope_of(differences[others], targets[others], kept).kept * differences[rows]
    of_policy = judge.of_policy(judge.best(effects))
    raw = level.mean(axis=0) + differences  # one level for all: folds' own would rank folds, not customers
    targeting = judge.targeting(raw) if name != SAME_FOR_ALL else np.zeros(len(level))
    return Tried(
        name,
        raw,
        effects,
        slope_of(differences, targets, judge),
        judge.mean(of_policy),
        judge.mean(targeting),
        of_policy + targeting,
        Estimate(0.0, 0.0),
    )


def _beside(one: Tried, best: Tried, judge: Judge) -> Tried:
    behind = judge.mean(best.score - one.score)
    return Tried(one.name, one.raw, one.effects, one.slope, one.value, one.targeting, one.score, behind)


def _partly(judge: Judge, rows: NDArray[np.bool_]) -> Judge:
    customers = np.unique(judge.customers[rows], return_inverse=True)[1].astype(np.intp)
    return Judge(
        judge.m[rows],
        judge.d[rows],
        judge.left[rows],
        judge.action[rows],
        judge.propensity[rows],
        customers,
        None if judge.available is None else judge.available[rows],
    )


def _nine(value: float) -> float:
    return float(f"{value:.9g}")
