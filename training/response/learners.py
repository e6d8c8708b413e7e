"""The learners: each says what an action brings beyond the reference action, for every customer, as terms.

They stand in the order of their freedom, the simplest first: where two are as good, the former is taken.

same_for_all      an action brings everybody the same: "no heterogeneity"
follows_response  the more is expected of a customer anyway, the more (or the less) an action brings: two numbers
logistic_s        one logistic regression of whether an outcome happens: the same log-odds for everybody
logistic_t        T-learner: a logistic regression an action, each drawn to that one, subtracted
linear_dr         DR-learner: ridge regression of the doubly robust targets
linear_t          T-learner: ridge regressions of each action's rewards, subtracted
trees_s           S-learner: one LightGBM of rewards on the customer beside the action's features
trees_t           T-learner: one LightGBM an action, subtracted
trees_x           X-learner: LightGBM on effects imputed by the other action's regression
trees_dr          DR-learner: LightGBM on the doubly robust targets
together          the mean of several that differ in kind, which has less noise than any of them

References:
    Künzel, Sekhon, Bickel, Yu (2019), Metalearners for estimating heterogeneous treatment effects: S, T, X.
    Kennedy (2023), Towards optimal doubly robust estimation of heterogeneous causal effects: DR.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.response.logistic import effects_of, of_all_actions, of_each_action
from training.response.nuisances import Lesson, Sample
from training.response.ridge import fit_ridge
from training.response.terms import OWN, REFERENCE, Term, constant, linear, sigmoid
from training.response.trees import boosted

Floats = NDArray[np.float64]
TOGETHER = "together"
LOGISTIC = ("logistic_s", "logistic_t")
MOST_ACTIONS_OF_TREES_DR = 4  # beyond it a regression of all rows an action costs more than it has ever brought


@dataclass(frozen=True, slots=True)
class Learned:
    """What a learner makes of a lesson.

    Attributes:
        effects: of each action but the reference one, its terms; a booster's place is that in `boosters`.
        boosters: that the terms read.
    """

    effects: tuple[tuple[Term, ...], ...]
    boosters: tuple[lightgbm.Booster, ...] = ()

    def predict(self, X: Floats, Z: Floats, action_vectors: Floats) -> Floats:
        """The effects, shape `(n, n_actions - 1)`."""
        scores: dict[tuple[int, int], Floats] = {}

        def of_booster(place: int, action: int) -> Floats:
            if (place, action) not in scores:
                asked = X
                if action >= 0:
                    asked = np.hstack([X, np.broadcast_to(action_vectors[action], (len(X), action_vectors.shape[1]))])
                scores[place, action] = np.asarray(self.boosters[place].predict(asked, num_threads=1))
            return scores[place, action]

        said = np.zeros((len(X), len(self.effects)))
        for column, terms in enumerate(self.effects):
            for term in terms:
                if term.booster is not None:
                    action = column + 1 if term.action == OWN else int(term.action or -1)
                    said[:, column] += term.weight * of_booster(term.booster, action)
                else:
                    slopes = Z @ np.array(term.coefficients) if term.coefficients else np.zeros(len(Z))
                    z = slopes + term.value
                    said[:, column] += term.weight * (sigmoid(z) if term.is_logistic else z)
        return said


Learner = Callable[[Lesson], Learned]


def same_for_all(lesson: Lesson) -> Learned:
    """Every action's mean effect, doubly robust."""
    targets = lesson.pseudo()
    means = _drawn_together(targets.mean(axis=0), targets.var(axis=0) / len(targets))
    return Learned(tuple((constant(float(mean)),) for mean in means))


def follows_response(lesson: Lesson) -> Learned:
    """An action's effect as a straight line over what is expected of the customer anyway."""
    targets = lesson.pseudo()
    centre = float(lesson.m.mean())
    away = lesson.m - centre
    spread = float((away**2).sum())
    slopes = np.zeros(targets.shape[1]) if spread <= 1e-300 else (away[:, np.newaxis] * targets).sum(axis=0) / spread
    slopes = _drawn_together(slopes, _variances_of_slopes(targets, slopes, away, spread))
    boosters = () if lesson.main.booster is None else (lesson.main.booster,)
    m = lesson.main.term(0)
    return Learned(
        tuple(
            (constant(float(mean) - float(slope) * centre), m.times(float(slope)))
            for mean, slope in zip(targets.mean(axis=0), slopes, strict=True)
        ),
        boosters,
    )


def logistic_s(lesson: Lesson) -> Learned:
    """One logistic regression on the customer and the action: one number an action, in log-odds."""
    one = of_all_actions(lesson)
    return same_for_all(lesson) if one is None else Learned(effects_of(one, lesson))


def logistic_t(lesson: Lesson) -> Learned:
    """A logistic regression an action, drawn to `logistic_s`; less the reference action's."""
    each = of_each_action(lesson)
    return same_for_all(lesson) if each is None else Learned(effects_of(each, lesson))


def linear_dr(lesson: Lesson) -> Learned:
    """Ridge regressions of the doubly robust targets."""
    fitted = fit_ridge(lesson.sample.Z, lesson.pseudo(), folds=lesson.sample.fold)
    return Learned(
        tuple((linear(float(a), b.tolist()),) for a, b in zip(fitted.intercepts, fitted.coefficients, strict=True))
    )


def linear_t(lesson: Lesson) -> Learned:
    """Each action's rewards by a ridge regression, less the reference action's."""
    of = lesson.sample
    fits = []
    for action in range(of.n_actions):
        rows = of.action == action
        if not rows.any():
            return same_for_all(lesson)
        fits.append(fit_ridge(of.Z[rows], of.reward[rows, np.newaxis], folds=of.fold[rows]))
    reference = fits[0]
    return Learned(
        tuple(
            (
                linear(
                    float(fit.intercepts[0] - reference.intercepts[0]),
                    (fit.coefficients[0] - reference.coefficients[0]).tolist(),
                ),
            )
            for fit in fits[1:]
        )
    )


def trees_s(lesson: Lesson) -> Learned:
    """One regression of rewards on the customer and the action's features."""
    of = lesson.sample
    X = np.hstack([of.X, of.action_vectors[of.action]])
    names = (*of.names, *(f"action {place}" for place in range(of.action_vectors.shape[1])))
    booster = _trees(of, X, of.reward, names=names, rounds=100, leaves=12)
    both = (Term(1.0, booster=0, action=OWN), Term(-1.0, booster=0, action=REFERENCE))
    return Learned((both,) * (of.n_actions - 1), (booster,))


def trees_t(lesson: Lesson) -> Learned:
    """Each action's rewards by a regression of their own, less the reference action's."""
    boosters = _one_an_action(lesson)
    return Learned(
        tuple((Term(1.0, booster=action), Term(-1.0, booster=0)) for action in range(1, lesson.sample.n_actions)),
        boosters,
    )


def trees_x(lesson: Lesson) -> Learned:
    """Effects imputed to each row by the other action's regression, regressed in turn; the rarer action weighs more."""
    of = lesson.sample
    rewards_of = _one_an_action(lesson)
    boosters: list[lightgbm.Booster] = []
    effects = []
    reference = of.action == 0
    for action in range(1, of.n_actions):
        treated = of.action == action
        of_treated = of.reward[treated] - np.asarray(rewards_of[0].predict(of.X[treated], num_threads=1))
        of_reference = np.asarray(rewards_of[action].predict(of.X[reference], num_threads=1)) - of.reward[reference]
        share = float(treated.sum() / (treated.sum() + reference.sum()))
        place = len(boosters)
        boosters += [
            _trees(of, of.X[treated], of_treated, names=of.names, rounds=60, leaves=6, shy=40),
            _trees(of, of.X[reference], of_reference, names=of.names, rounds=60, leaves=6, shy=40),
        ]
        effects.append((Term(1.0 - share, booster=place), Term(share, booster=place + 1)))
    return Learned(tuple(effects), tuple(boosters))


def trees_dr(lesson: Lesson) -> Learned:
    """Regressions of the doubly robust targets."""
    of, targets = lesson.sample, lesson.pseudo()
    boosters = tuple(_trees(of, of.X, target, names=of.names, rounds=60, leaves=6, shy=40) for target in targets.T)
    return Learned(tuple((Term(1.0, booster=place),) for place in range(len(boosters))), boosters)


def together(lesson: Lesson, weights: Mapping[str, float]) -> Learned:
    """The mean of learners that differ in kind, by their weights."""
    boosters: list[lightgbm.Booster] = []
    effects: list[list[Term]] = [[] for _ in range(lesson.sample.n_actions - 1)]
    for name, weight in weights.items():
        member = learn(name, lesson)
        for into, terms in zip(effects, member.effects, strict=True):
            for term in terms:
                place = None if term.booster is None else term.booster + len(boosters)
                into.append(replace(term.times(weight), booster=place))
        boosters += member.boosters
    return Learned(tuple(map(tuple, effects)), tuple(boosters))


LEARNERS: dict[str, Learner] = {
    "same_for_all": same_for_all,
    "follows_response": follows_response,
    "logistic_s": logistic_s,
    "logistic_t": logistic_t,
    "linear_dr": linear_dr,
    "linear_t": linear_t,
    "trees_s": trees_s,
    "trees_t": trees_t,
    "trees_x": trees_x,
    "trees_dr": trees_dr,
}
NAMES = (*LEARNERS, TOGETHER)


def learn(name: str, lesson: Lesson, weights: Mapping[str, float] | None = None) -> Learned:
    """What a learner makes of a lesson, each made once; of `together`, with the weights of its members."""
    if name == TOGETHER:
        return together(lesson, weights or {})
    if name not in lesson.shared:
        lesson.shared[name] = LEARNERS[name](lesson)
    learned: Learned = lesson.shared[name]
    return learned


def members_for(*, happens: bool) -> tuple[str, ...]:
    """Whose mean `together` is: few numbers each, but for one booster that sees what no line can say."""
    return ("follows_response", *(LOGISTIC if happens else ()), "linear_dr", "trees_s")


def learners_for(n_actions: int, names: Sequence[str] | None = None, *, happens: bool = True) -> tuple[str, ...]:
    """Those that can be tried on so many actions, the simplest first; one that alone is asked for always can.

    Args:
        n_actions: with the reference one.
        names: among which; None for all.
        happens: whether rewards are of an outcome that happens or does not, as logistic regressions need it.
    """
    wanted = NAMES if names is None else tuple(names)
    unfit = {"trees_x", "trees_dr"} if n_actions > MOST_ACTIONS_OF_TREES_DR else set()
    if not happens:
        unfit |= set(LOGISTIC)
    if names is not None and set(wanted) <= unfit:
        unfit = set()
    return tuple(name for name in NAMES if name in wanted and name not in unfit)


def _one_an_action(lesson: Lesson) -> tuple[lightgbm.Booster, ...]:
    """Each action's rewards: the T-learner itself, and what the X-learner imputes with."""
    of = lesson.sample
    if "one_an_action" not in lesson.shared:
        lesson.shared["one_an_action"] = tuple(
            _trees(of, of.X[rows], of.reward[rows], names=of.names, rounds=70, leaves=8, shy=60)
            for rows in (of.action == action for action in range(of.n_actions))
        )
    boosters: tuple[lightgbm.Booster, ...] = lesson.shared["one_an_action"]
    return boosters


def _trees(
    of: Sample, X: Floats, y: Floats, *, names: Sequence[str], rounds: int, leaves: int, shy: int = 100
) -> lightgbm.Booster:
    fewest = max(30, len(X) // shy)
    return boosted(
        X, y, rounds=rounds, leaves=leaves, fewest=fewest, names=names, categorical=of.categorical, seed=of.seed
    )


def _variances_of_slopes(targets: Floats, slopes: Floats, away: Floats, spread: float) -> Floats:
    if spread <= 1e-300:
        return np.ones(len(slopes))
    left = targets - targets.mean(axis=0) - away[:, np.newaxis] * slopes
    return np.asarray(((away[:, np.newaxis] * left) ** 2).sum(axis=0) / spread**2)


def _drawn_together(values: Floats, variances: Floats) -> Floats:
    """Values of several actions, each drawn to their mean as far as it is noise (DerSimonian and Laird 1986)."""
    if len(values) < 3:
        return values
    weights = 1.0 / np.maximum(variances, 1e-300)
    mean = float((weights * values).sum() / weights.sum())
    excess = float((weights * (values - mean) ** 2).sum()) - (len(values) - 1)
    between = max(excess / float(weights.sum() - (weights**2).sum() / weights.sum()), 0.0)
    kept = between / (between + variances)
    return np.asarray(mean + kept * (values - mean))
