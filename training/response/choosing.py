"""Choosing a learner by what it earned on customers who did not teach it.

Each learner is fitted to three of four folds of customers, brought to the level and slope that its sayings about
*other* customers bear out, and judged on the fold left out: the doubly robust value of the policy that takes its best
action, plus the area of its targeting curve (how much treating only those whom it ranks first earns beyond treating as
many at random). The first alone is blind where everybody is worth treating, the second alone where the question is
whether to treat anybody.

Where effects are weak, as they mostly are, the best of ten noisy scores is often not the best learner: in simulated
campaigns the mean of several did better than choosing between them, and better still where each weighs as much as its
differences were borne out by customers who did not teach it. So that mean is taken, unless one learner is ahead of it
beyond the noise that comparing ten makes, then the simplest that is as good; and no difference between customers
where theirs together were worth nothing: no more than a standard error where outcomes happen or not, nothing at all
where they are amounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from training.response.learners import LOGISTIC, TOGETHER, learn, members_for
from training.response.nuisances import CrossFit, mean_where
from training.response.policy_value import Estimate, Judge

Floats = NDArray[np.float64]

SAME_FOR_ALL = "same_for_all"
LARGEST_SLOPE = 1.25  # a learner's differences between customers are stretched by no more
LEAST_WEIGHT = 0.02  # of a member of the mean, beside at most about one, so that no fold's mean is of none
AHEAD = 3.0  # standard errors by which a single learner must be ahead of the mean: the largest of ten is compared
LEAST_SLOPE = 0.1
"""Of the differences of a learner that was worth something: over folds a weak slope is skewed downwards, since a fold
whose customers respond more leaves three to teach that respond less."""


@dataclass(frozen=True, slots=True)
class Slope:
    """How much of a learner's differences between customers is borne out by others: 1 all of it, 0 none."""

    value: float
    error: float

    @property
    def kept(self) -> float:
        """What of the differences is kept: the less, the less surely the slope is above zero.

        Simulated campaigns earned more with two squared errors in it than with one, or with a threshold.
        """
        if self.value <= 0.0:
            return LEAST_SLOPE
        kept = self.value**3 / (self.value**2 + 2.0 * self.error**2)
        return float(np.clip(kept, LEAST_SLOPE, LARGEST_SLOPE))

    @property
    def weight(self) -> float:
        """How much a learner weighs in the mean, before weights are made to sum to 1.

        The slope, drawn to one half as if that had been found with a standard error of 1: where customers say little,
        learners weigh about the same, rather than as chance has it.
        """
        squared = self.error**2
        return max((self.value + 0.5 * squared) / (1.0 + squared), LEAST_WEIGHT)


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
        weights: of the members of a mean, by name; empty for a learner that is one.
    """

    name: str
    raw: Floats
    effects: Floats
    slope: Slope
    value: Estimate
    targeting: Estimate
    score: Floats
    behind: Estimate
    weights: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """What model.json keeps."""
        return {
            "learner": self.name,
            "value": self.value.as_dict(),
            "targeting": self.targeting.as_dict(),
            "behind": self.behind.as_dict(),
            "slope": {"value": _nine(self.slope.value), "error": _nine(self.slope.error)},
            "weights": dict(self.weights),
        }


def try_learners(crossfit: CrossFit, judge: Judge, learners: Sequence[str]) -> tuple[Tried, ...]:
    """Every learner judged on the folds that did not teach it, in their order."""
    of = crossfit.sample
    members = members_for(happens=of.happens) if TOGETHER in learners else ()
    said = {name: np.empty((len(of.X), of.n_actions - 1)) for name in (*learners, *members) if name != TOGETHER}
    level = np.empty((len(of.X), of.n_actions - 1))
    for fold in crossfit.folds:
        lesson, rows = crossfit.lesson(fold), of.fold == fold
        level[rows] = lesson.pseudo().mean(axis=0)
        for name in said:
            differences = learn(name, lesson).predict(of.X[rows], of.Z[rows], of.action_vectors)
            said[name][rows] = differences - mean_where(differences, None if of.could is None else of.could[rows])
    targets = judge.effects()
    weights: Mapping[str, float] = {}
    if members:
        said[TOGETHER], weights = _weighed({name: said[name] for name in members}, targets, judge, of.fold)
    tried = [_tried(name, said[name], level, targets, judge, of.fold) for name in learners]
    best = max(tried, key=lambda one: float(one.score.mean()))
    return tuple(
        replace(
            one, behind=judge.mean(best.score - one.score), weights=weights if one.name == TOGETHER else one.weights
        )
        for one in tried
    )


def _weighed(
    said: Mapping[str, Floats], targets: Floats, judge: Judge, fold: NDArray[np.int64]
) -> tuple[Floats, dict[str, float]]:
    """What the mean of learners says of each row, weighed by the other folds' customers; and the weights by all."""
    mean = np.zeros_like(targets)
    for one in np.unique(fold):
        rows, others = fold == one, fold != one
        of_others = {name: differences[others] for name, differences in said.items()}
        for name, weight in weights_of(of_others, targets[others], judge.of_rows(others)).items():
            mean[rows] += weight * said[name][rows]
    return mean, weights_of(said, targets, judge)


def weights_of(said: Mapping[str, Floats], targets: Floats, judge: Judge) -> dict[str, float]:
    """How much each learner's differences weigh in the mean: as much as they are borne out; they sum to 1."""
    weights = {name: slope_of(differences, targets, judge).weight for name, differences in said.items()}
    total = sum(weights.values())
    return {name: _nine(weight / total) for name, weight in weights.items()}


def chosen(tried: Sequence[Tried], judge: Judge) -> tuple[Tried, str]:
    """The learner to serve, and why, in words.

    Args:
        tried: the simplest first.
        judge: that judged them.
    """
    one, why = _ahead_of_the_mean(tried, judge)
    of = {other.name: other for other in tried}
    same = of.get(SAME_FOR_ALL)
    odds = of.get(LOGISTIC[0])
    if same is None or one is same or one is odds:
        return one, why
    gain = judge.mean(one.score - same.score)
    if odds is not None and gain.value <= gain.error:
        return odds, _no_effect_differs(one, gain, "everybody's odds are taken to change alike")
    if odds is None and gain.value <= 0.0:
        return same, _no_effect_differs(one, gain, "an action is taken to bring everybody the same")
    return one, why


def _no_effect_differs(one: Tried, gain: Estimate, instead: str) -> str:
    return (
        f"No difference between customers was found: on those who did not teach it, what {one.name} sees was worth "
        f"{gain.value:.2g} (standard error {gain.error:.2g}) more than saying the same of everybody; {instead}."
    )


def _ahead_of_the_mean(tried: Sequence[Tried], judge: Judge) -> tuple[Tried, str]:
    """The mean of learners, unless one is ahead of it beyond noise; without it the simplest of the best."""
    mean = next((one for one in tried if one.name == TOGETHER), None)
    if mean is None:
        return _simplest(tried, judge), "It is the simplest that is not behind the best beyond a standard error."
    ahead = [
        one
        for one in tried
        if one is not mean and (one.score - mean.score).mean() > AHEAD * judge.error(one.score - mean.score)
    ]
    if not ahead:
        return mean, (
            f"No single learner was ahead of the mean of several by more than {AHEAD:g} standard errors on customers "
            "who did not teach it."
        )
    one = _simplest(ahead, judge)
    gain = judge.mean(one.score - mean.score)
    return one, (
        f"On customers who did not teach it, it scores {gain.value:.4g} more than the mean of several learners "
        f"(standard error {gain.error:.2g}), and is the simplest that is as good as the best. The score is what "
        "its policy earns a decision and the area of its targeting curve together."
    )


def _simplest(tried: Sequence[Tried], judge: Judge) -> Tried:
    """The first that is not behind the best by more than a standard error of the difference."""
    best = max(tried, key=lambda one: float(one.score.mean()))
    for one in tried:
        behind = best.score - one.score
        if one is best or float(behind.mean()) <= judge.error(behind):
            return one
    return best


def slope_of(differences: Floats, targets: Floats, judge: Judge) -> Slope:
    """The regression of doubly robust effects on a learner's differences, both about their means, over all actions.

    Only rows count that could get an action: of others no effect was measured.
    """
    could = judge.could()
    away = np.where(could, differences - mean_where(differences, could), 0.0)
    spread = float((away**2).sum())
    if spread <= 1e-18 * max(float((targets**2).sum()), 1e-300):
        return Slope(0.0, 0.0)
    centred = np.where(could, targets - mean_where(targets, could), 0.0)
    value = float((away * centred).sum() / spread)
    left = (away * (centred - value * away)).sum(axis=1)
    return Slope(value, judge.error(left) * len(left) / spread)


def _tried(
    name: str, differences: Floats, level: Floats, targets: Floats, judge: Judge, fold: NDArray[np.int64]
) -> Tried:
    effects = np.empty_like(differences)
    for one in np.unique(fold):
        rows, others = fold == one, fold != one
        kept = judge.of_rows(others)
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


def _nine(value: float) -> float:
    return float(f"{value:.9g}")
