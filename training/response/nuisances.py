"""What is expected of a customer whatever is done, and what an action brings on average: learned from other customers.

    reward = m(x) + d(action) + what is left

`m` is one regression for all actions, so that it costs the same for two of them as for fifty; `d` is the mean effect of
an action, weighted by the propensities. What is left, weighted by 1 / propensity, is what doubly robust estimates are
made of: with known propensities they are right whatever `m` is, and the steadier the better it is.

Every judgement of a learner is made on a fold that taught it nothing, not even through `m`: for fold k, the learner's
own targets in fold j rest on the folds other than j and k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.response.ridge import Ridge, fit_ridge
from training.response.terms import Term, linear
from training.response.trees import boosted

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

N_FOLDS = 4
LINEAR, TREES = "linear", "trees"
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows to learn from, as learners read them.

    Attributes:
        X: shape `(n, n_inputs)`, float64 of what serving will see.
        Z: shape `(n, n_columns)`, the design.
        action: shape `(n,)`.
        reward: shape `(n,)`.
        propensity: shape `(n,)`.
        fold: shape `(n,)`, of the customer, below N_FOLDS.
        n_actions: the reference action is 0.
        names: of the inputs.
        categorical: places of the inputs that are codes.
        action_vectors: shape `(n_actions, n_action_columns)`.
        happens: whether an outcome happens or does not, whatever it is then worth; see `happens_or_not`.
        could: shape `(n, n_actions - 1)`, which of the other actions could be taken where the reference one could be
            too; None where all could.
    """

    X: Floats
    Z: Floats
    action: Ints
    reward: Floats
    propensity: Floats
    fold: NDArray[np.int64]
    n_actions: int
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    action_vectors: Floats
    happens: bool
    seed: int
    could: NDArray[np.bool_] | None = None

    def mean_of(self, values: Floats) -> Floats:
        """The mean of each column, of another action, over the rows that could get it, shape `(n_actions - 1,)`."""
        return mean_where(values, self.could)


@dataclass(frozen=True, slots=True)
class Main:
    """A fitted `m`, by one of two ways."""

    ridge: Ridge | None
    booster: lightgbm.Booster | None

    def predict(self, X: Floats, Z: Floats) -> Floats:
        """Shape `(n,)`."""
        if self.ridge is not None:
            return self.ridge.predict(Z)[:, 0]
        return np.asarray(self.booster.predict(X, num_threads=1)) if self.booster is not None else np.zeros(len(X))

    def term(self, booster: int | None) -> Term:
        """It as a term; of a booster, which of the model's it is."""
        if self.ridge is not None:
            return linear(float(self.ridge.intercepts[0]), self.ridge.coefficients[0].tolist())
        return Term(booster=booster)


def folds_of(cluster: NDArray[np.int64], *, seed: int) -> NDArray[np.int64]:
    """Each customer's fold: theirs in every row, the same for the same seed."""
    spread = (cluster.astype(np.uint64) + np.uint64(seed)) * _SPREAD
    spread ^= spread >> np.uint64(29)
    spread *= _SPREAD
    return ((spread >> np.uint64(40)) % np.uint64(N_FOLDS)).astype(np.int64)


def happens_or_not(reward: Floats) -> bool:
    """Whether rewards are of an outcome that happens or does not: one amount, or mostly nothing and never a loss.

    Of most campaigns' spend, whether anything was bought says nearly all that can be learned, and says it with far less
    noise than the amounts do.
    """
    values = np.unique(reward)
    if len(values) == 2 and 0.0 in values:
        return True
    return bool(len(values) > 2 and values[0] == 0.0 and float((reward == 0.0).mean()) > 0.5)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a learner learns from: some rows, with what is left of each.

    Attributes:
        sample: those rows.
        m: shape `(n,)`, what others' rewards let expect of each.
        d: shape `(n, n_actions)`, each action's mean effect, `d[:, 0]` being 0.
        left: shape `(n,)`, reward − m − d(action).
        main: fitted to all of these rows: what a learner may read of customers who are not among them.
        shared: what several learners begin with or are made of, each made once.
    """

    sample: Sample
    m: Floats
    d: Floats
    left: Floats
    main: Main
    shared: dict[str, Any] = field(default_factory=dict)

    def pseudo(self) -> Floats:
        """Doubly robust targets, shape `(n, n_actions - 1)`: their mean, given x, is each action's effect.

        Rows that could not get an action say nothing of its effect: they stand at the mean of those that could, so that
        the mean over all rows is theirs.
        """
        of = self.sample
        weighted = self.left / of.propensity
        targets = self.d[:, 1:] - (weighted * (of.action == 0))[:, np.newaxis]
        treated = np.flatnonzero(of.action > 0)
        targets[treated, of.action[treated] - 1] += weighted[treated]
        return np.asarray(targets if of.could is None else np.where(of.could, targets, of.mean_of(targets)))


class CrossFit:
    """The lessons of every fold and the one of all rows; each regression is made once.

    Args:
        sample: every row.
    """

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.folds = tuple(range(N_FOLDS))
        self._mains: dict[tuple[str, tuple[int, ...]], Main] = {}
        self._effects: dict[tuple[int, ...], Floats] = {}
        self.kind, self.explained = self._better()

    def outer(self) -> tuple[Floats, Floats, Floats]:
        """By which learners are judged, each row by other folds': m `(n,)`, d `(n, n_actions)`, what is left `(n,)`."""
        return self._across(self.folds, without=())

    def lesson(self, without: int | None) -> Lesson:
        """What everything but one fold teaches; or everything."""
        left_out = () if without is None else (without,)
        taught = tuple(fold for fold in self.folds if fold not in left_out)
        rows = np.isin(self.sample.fold, taught)
        m, d, left = self._across(taught, without=left_out)
        return Lesson(taken(self.sample, rows), m[rows], d[rows], left[rows], self._main(self.kind, left_out))

    def _across(self, folds: Sequence[int], *, without: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:
        of = self.sample
        m, d = np.full(len(of.X), np.nan), np.zeros((len(of.X), of.n_actions))
        for fold in folds:
            rows = of.fold == fold
            unseen = tuple(sorted({*without, fold}))
            m[rows] = self._main(self.kind, unseen).predict(of.X[rows], of.Z[rows])
            d[rows] = self._effects_of(unseen)
        return m, d, of.reward - m - d[np.arange(len(d)), of.action]

    def _effects_of(self, unseen: tuple[int, ...]) -> Floats:
        """The mean effect of each action on the folds that are seen, without any regression.

        Both means of an action's are of those who could get it: whoever could not is another audience.
        """
        if unseen not in self._effects:
            of = self.sample
            rows = ~np.isin(of.fold, unseen)
            weights = 1.0 / of.propensity[rows]
            n = np.bincount(of.action[rows], weights=weights, minlength=of.n_actions)
            sums = np.bincount(of.action[rows], weights=weights * of.reward[rows], minlength=of.n_actions)
            overall = float(sums.sum() / n.sum())
            means = np.where(n > 0, sums / np.maximum(n, 1e-300), overall)
            effects = np.asarray(means - means[0])
            if of.could is not None:
                for place in (np.flatnonzero(~of.could[rows].all(axis=0)) + 1).tolist():
                    effects[place] = _among_those_who_could(of, rows & of.could[:, place - 1], place)
            self._effects[unseen] = effects
        return self._effects[unseen]

    def _main(self, kind: str, unseen: tuple[int, ...]) -> Main:
        key = (kind, unseen)
        if key not in self._mains:
            of = self.sample
            rows = ~np.isin(of.fold, unseen)
            target = of.reward[rows] - self._effects_of(unseen)[of.action[rows]]
            if kind == LINEAR:
                made = Main(fit_ridge(of.Z[rows], target[:, np.newaxis], folds=of.fold[rows]), None)
            else:
                made = Main(None, self._trees(of.X[rows], target))
            self._mains[key] = made
        return self._mains[key]

    def _trees(self, X: Floats, target: Floats) -> lightgbm.Booster:
        of = self.sample
        return boosted(
            X,
            target,
            rounds=70,
            leaves=12,
            fewest=max(20, len(X) // 150),
            names=of.names,
            categorical=of.categorical,
            seed=of.seed,
        )

    def _better(self) -> tuple[str, float]:
        """Which way of making `m` foretells other customers' rewards better, and the share of variance that it does."""
        of = self.sample
        errors = {}
        for kind in (LINEAR, TREES):
            squared = 0.0
            for fold in self.folds:
                rows = of.fold == fold
                said = self._main(kind, (fold,)).predict(of.X[rows], of.Z[rows])
                left = of.reward[rows] - said - self._effects_of((fold,))[of.action[rows]]
                squared += float((left**2).sum())
            errors[kind] = squared
        kind = TREES if errors[TREES] < errors[LINEAR] * (1.0 - 1e-4) else LINEAR
        spread = float(((of.reward - of.reward.mean()) ** 2).sum())
        return kind, 0.0 if spread <= 0.0 else 1.0 - errors[kind] / spread


def mean_where(values: Floats, could: NDArray[np.bool_] | None) -> Floats:
    """The mean of each column over the rows that are marked in it; 0 where none is."""
    if could is None:
        return np.asarray(values.mean(axis=0))
    return np.asarray(np.where(could, values, 0.0).sum(axis=0) / np.maximum(could.sum(axis=0), 1))


def _among_those_who_could(of: Sample, rows: NDArray[np.bool_], action: int) -> float:
    """The mean of an action less that of the reference one, over these rows; 0 where either was taken of none."""
    means = []
    for place in (action, 0):
        theirs = rows & (of.action == place)
        if not theirs.any():
            return 0.0
        means.append(float(np.average(of.reward[theirs], weights=1.0 / of.propensity[theirs])))
    return means[0] - means[1]


def taken(sample: Sample, rows: NDArray[np.bool_]) -> Sample:
    """Only those rows."""
    return Sample(
        sample.X[rows],
        sample.Z[rows],
        sample.action[rows],
        sample.reward[rows],
        sample.propensity[rows],
        sample.fold[rows],
        sample.n_actions,
        sample.names,
        sample.categorical,
        sample.action_vectors,
        sample.happens,
        sample.seed,
        None if sample.could is None else sample.could[rows],
    )
