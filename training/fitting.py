"""Fitting the members of a next-purchase head, with scores of every customer by fits that did not see that customer.

The newest closed window knows most of the season, so it teaches; it is also the one that must calibrate. Cross-fitting
lets it do both: customers are dealt into folds, and a fold is scored by what was learned from the others, in every
cutoff. Of many rows one fold is enough to calibrate, and the one fit that did not see it is served. Repeat buying
learns from no label: its four parameters are those that are served, which hardly know any single customer, so what they
are moved by is what they still miss themselves, and not what an older fit missed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.calibration import level_shift, log_odds
from training.dataset import Rows, Source, rows_of, training_threads
from training.declared import binds, declared_by, parameters_of
from training.leakage import refuse_leaks
from training.linear import Linear, columns_for, design_of, fit_linear
from training.members import (
    BESIDE,
    LINEAR,
    REPEAT_BUYING,
    REPEAT_BUYING_INPUTS,
    SPREAD_OF_GAPS,
    TREES,
    Customers,
    Members,
    Repeat,
)
from training.pareto_nbd import fit_pareto_nbd
from training.regular_gaps import fit_regular_gaps
from training.repeat_buying import BG_NBD, PARETO_NBD, REGULAR_GAPS, History, fit_bgnbd
from training.split import Split
from training.weighing import weighed

Floats = NDArray[np.float64]
Labels = NDArray[np.uint8]

Rowwise = NDArray[np.bool_]
_Fit = TypeVar("_Fit")

N_FOLDS = 3
ENOUGH_ROWS = 150_000  # beyond it one fit does, which leaves out whoever calibrates it
ENOUGH_ROWS_TO_TRY = 60_000  # where it is only chosen by or judged: what the fit lacks then is to its disadvantage
ENOUGH_TO_TRY = 40_000  # customers who teach it then, the others calibrate
RARER_TO_TRY = 300  # of these others: a level off by 6% of a rate of 2% costs 0.00004 nats
LOTS = 12  # of customers, that are dealt to teaching and calibrating: at most eight teach
ENOUGH_CALIBRATING = 20_000  # customers: a line through so many scores is off by 2 / (2 n) = 0.00005 nats
ENOUGH_RARER = 500  # of them who ordered, or did not, whoever are fewer: 4% off a rate of 2% costs 0.00002 nats
ENOUGH_BUYERS = 100_000  # for the four parameters of repeat buying: each is then known within 1%
FEWEST_BUYERS = 30  # for the four parameters of repeat buying
FITS: Mapping[str, Callable[[History], Repeat]] = {
    BG_NBD: fit_bgnbd,
    PARETO_NBD: fit_pareto_nbd,
    REGULAR_GAPS: fit_regular_gaps,
}
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # a multiplier whose high bits deal consecutive keys into folds evenly


class TreeRecipe(Protocol):
    """How to boost."""

    @property
    def rounds(self) -> int:
        """How many trees."""

    def parameters(self, *, seed: int, threads: int) -> dict[str, Any]:
        """LightGBM's."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Members fitted to a split, and what each says of the calibrating window without having seen the customer.

    Attributes:
        y: of the calibrating rows, shape `(n,)`.
        out_of_fold: log-odds of trees and regression there, shape `(n,)`.
        repeat_of_kind: gives a kind of repeat buying, fitted, and its log-odds there, NaN where it can say nothing.
    """

    split: Split
    y: Labels
    out_of_fold: dict[str, Floats]
    booster: lightgbm.Booster
    linear: Linear | None
    repeat_of_kind: Callable[[str], tuple[Repeat | None, Floats | None]]

    def members(
        self, names: tuple[str, ...], *, repeat_buying: str = BG_NBD, levels: bool = True, weigh: bool = False
    ) -> tuple[Members, Floats]:
        """Those of these members that say anything (trees where none does) together, and their mean out of fold.

        Each is moved to the level of the judged rows; as it is, with `levels` false. With `weigh` their say is learned
        there, and whoever has none is left out.
        """
        said, repeat = dict(self.out_of_fold), {}
        for name, kind in ((REPEAT_BUYING, repeat_buying), (BESIDE, PARETO_NBD)):
            if name in names:
                repeat[name], scores = self.repeat_of_kind(kind)
                said |= {} if scores is None else {name: scores}
        present = tuple(name for name in names if name in said and np.isfinite(said[name]).any()) or (TREES,)
        offsets = {name: round(_offset(said[name], self.y), 9) if levels else 0.0 for name in present}
        weights: dict[str, float] = {}
        if weigh and len(present) > 1:
            weights = weighed({name: said[name] + offset for name, offset in offsets.items()}, self.y)
            offsets = {name: offsets[name] for name in weights}
        unspoken = np.all([np.isnan(said[name]) for name in offsets], axis=0)
        of_silent = self.y[unspoken] if unspoken.any() else self.y
        silent = round(float(log_odds(np.array([of_silent.mean()]))[0]), 9)
        linear = self.linear if LINEAR in offsets else None
        first, beside = (repeat.get(name) if name in offsets else None for name in (REPEAT_BUYING, BESIDE))
        chosen = Members(self.split.horizon_days, offsets, silent, linear, first, beside, weights)
        return chosen, chosen.mean_of(said)


class Lesson:
    """The rows of one split, and the members that need no recipe: fitted once, whatever the trees are.

    Args:
        source: of snapshots and labels.
        split: whose cutoffs teach.
        check: raises where the calibrating rows are too few to fit anything to.
        is_tried: what is fitted chooses a recipe or is judged, and is never served.
    """

    def __init__(
        self,
        source: Source,
        split: Split,
        *,
        check: Callable[[Rows], None] = lambda _: None,
        is_tried: bool = False,
    ) -> None:
        self.source, self.split = source, split
        self.rows = rows_of(source, split.train, horizon_days=split.horizon_days)
        newest = self.rows.cutoff == 0
        n = int(newest.sum())  # the newest cutoff stands first
        self.calibrating = Rows(
            (split.calibrate,),
            self.rows.customer_keys[:n],
            self.rows.X[:n],
            self.rows.y[:n],
            self.rows.cutoff[:n],
        )
        check(self.calibrating)
        X, y = self.calibrating.X, self.calibrating.y
        what = f"an order within {split.horizon_days} days of {split.calibrate:%Y-%m-%d}"
        trusted = declared_by(source).trusted
        refuse_leaks(X, y, inputs=source.inputs, categories=source.categories, what=what, trusted=trusted)
        self._newest = newest
        rarer = min(int(y.sum()), n - int(y.sum()))
        self._fold, self._folds = self._dealt(n, rarer, is_tried=is_tried)
        self._linear, self._linear_scores = self._fit_linear()
        self._repeat: dict[str, tuple[Repeat | None, Floats | None]] = {}

    def _dealt(self, n: int, rarer: int, *, is_tried: bool) -> tuple[NDArray[np.int64], range]:
        """The fold of each row, and those that are scored, each by what was learned from the others.

        Args:
            n: customers who calibrate or teach.
            rarer: those of them who ordered, or did not, whoever are fewer.
            is_tried: what is fitted is never served.
        """
        keys, n_rows = self.rows.customer_keys, len(self.rows.y)
        teaching = int(np.clip(round(LOTS * ENOUGH_TO_TRY / n), 1, LOTS * (N_FOLDS - 1) // N_FOLDS))
        fewest = rarer * min(teaching, LOTS - teaching)  # of those who teach, and of those who calibrate
        if is_tried and n_rows > ENOUGH_ROWS_TO_TRY and fewest >= LOTS * RARER_TO_TRY:
            return (fold_of(keys, n_folds=LOTS) < teaching).astype(np.int64), range(1)
        if n_rows > ENOUGH_ROWS and rarer >= N_FOLDS * ENOUGH_RARER:
            n_folds = max(N_FOLDS, min(n // ENOUGH_CALIBRATING, rarer // ENOUGH_RARER))
            return fold_of(keys, n_folds=n_folds), range(1)
        return fold_of(keys, n_folds=N_FOLDS), range(N_FOLDS)

    def fit(self, recipe: TreeRecipe, *, seed: int) -> Fitted:
        """Every member, the trees by this recipe."""

        def score(booster: lightgbm.Booster, asked: Rowwise) -> Floats:
            return np.asarray(booster.predict(self.rows.X[asked], raw_score=True, num_threads=2), dtype=np.float64)

        booster, scores = self._across_folds(lambda taught: self._boosted(recipe, taught, seed=seed), score)
        said = {TREES: scores, LINEAR: self._linear_scores}
        judged = self._judged()
        return Fitted(
            self.split,
            self.calibrating.y[judged],
            {name: of[judged] for name, of in said.items() if of is not None},
            booster,
            self._linear,
            self.repeat_buying,
        )

    def repeat_buying(self, kind: str) -> tuple[Repeat | None, Floats | None]:
        """That model fitted to all that is known, and what it says of the judged rows as they were."""
        if kind not in self._repeat:
            self._repeat[kind] = self._fit_repeat_buying(kind)
        return self._repeat[kind]

    @property
    def scored_keys(self) -> NDArray[np.int64]:
        """Whose the scores out of fold are, shape `(n,)`."""
        return self.calibrating.customer_keys[self._judged()]

    @property
    def taught_by(self) -> str:
        """Of how many customers it learned, and who calibrated it, for people; empty where everybody did both."""
        if len(self._folds) > 1:
            return ""
        calibrating = int(self._judged().sum())
        return f"{len(self.calibrating.y) - calibrating:,} customers, calibrated by {calibrating:,} others"

    def _judged(self) -> NDArray[np.bool_]:
        """Which calibrating rows are scored out of fold."""
        return np.asarray(np.isin(self._fold[self._newest], list(self._folds)))

    def _across_folds(
        self, fit: Callable[[Rowwise], _Fit], score: Callable[[_Fit, Rowwise], Floats]
    ) -> tuple[_Fit, Floats]:
        """A fit to everybody, and scores of the calibrating rows, each by a fit to the other folds.

        Where one fold alone is scored, the others being NaN, the fit is the one that left it out.
        """
        scores = np.full(len(self.rows.y), np.nan)
        for fold in self._folds:
            asked = self._newest & (self._fold == fold)
            fitted = fit(self._fold != fold)
            scores[asked] = score(fitted, asked)
        if len(self._folds) > 1:
            fitted = fit(np.ones(len(self.rows.y), dtype=bool))
        return fitted, np.asarray(scores[self._newest])

    def _boosted(self, recipe: TreeRecipe, taught: Rowwise, *, seed: int) -> lightgbm.Booster:
        source, X = self.source, self.rows.X if taught.all() else self.rows.X[taught]
        data = lightgbm.Dataset(
            X,
            self.rows.y[taught],
            feature_name=list(source.inputs),
            categorical_feature=[i for i, name in enumerate(source.inputs) if name in source.categories],
            params={"verbose": -1},
            free_raw_data=True,
        )
        parameters = recipe.parameters(seed=seed, threads=training_threads(X)) | parameters_of(source)
        return lightgbm.train(parameters, data, num_boost_round=recipe.rounds)

    def _fit_linear(self) -> tuple[Linear | None, Floats | None]:
        inputs, y = self.source.inputs, self.rows.y
        columns = columns_for(inputs)
        if not columns or binds(self.source, itertools.chain.from_iterable(columns)):
            return None, None
        design = design_of(self.rows.X, columns, places={name: i for i, name in enumerate(inputs)})

        def fit(taught: Rowwise) -> Linear:
            some = _spread_out(np.flatnonzero(taught), most=ENOUGH_ROWS)
            return fit_linear(design[some], y[some], columns=columns)

        return self._across_folds(fit, lambda fitted, asked: fitted.scores(design[asked]))

    def _fit_repeat_buying(self, kind: str) -> tuple[Repeat | None, Floats | None]:
        if binds(self.source, inputs_of(kind)):
            return None, None
        fitted = fit_repeat_buying(self.source, self.split.used_at, kind=kind)
        if fitted is None:
            return None, None
        customers = Customers(self.calibrating.X, self.source.inputs)
        return fitted, customers.repeat_buying(fitted, horizon_days=self.split.horizon_days)[self._judged()]


def inputs_of(kind: str) -> tuple[str, ...]:
    """What a kind of repeat buying is fitted to."""
    return (*REPEAT_BUYING_INPUTS, SPREAD_OF_GAPS) if kind == REGULAR_GAPS else REPEAT_BUYING_INPUTS


def fit_repeat_buying(source: Source, as_of: datetime, *, kind: str) -> Repeat | None:
    """A model of repeat buying, fitted to everything that was known then; None with too few buyers, or no history.

    Several heads stand at the same instant, and few customers of a shop know what all of them do: a source that keeps
    its fits (`repeat_fits`) is asked once.
    """
    whole = getattr(source, "whole", source)
    known = getattr(whole, "repeat_fits", None)
    if known is None:
        return _fitted_repeat_buying(whole, as_of, kind=kind)
    if (as_of, kind) not in known:
        known[as_of, kind] = _fitted_repeat_buying(whole, as_of, kind=kind)
    fitted: Repeat | None = known[as_of, kind]
    return fitted


def _fitted_repeat_buying(source: Source, as_of: datetime, *, kind: str) -> Repeat | None:
    if not set(inputs_of(kind)) <= set(source.inputs):
        return None
    customers = Customers(source.snapshot(as_of).X, source.inputs)
    history, bought = customers.history(), np.flatnonzero(customers.bought())
    if len(bought) < FEWEST_BUYERS:
        return None
    some = _spread_out(bought, most=ENOUGH_BUYERS)
    return FITS[kind](history.of(some))


def _offset(scores: Floats, y: Labels) -> float:
    """What moves a member to the rate of the rows that it can speak of."""
    known = np.isfinite(scores)
    return level_shift(scores[known], float(y[known].mean()))


def _spread_out(places: NDArray[np.intp], *, most: int) -> NDArray[np.intp]:
    """At most so many of the places, evenly over all of them."""
    if len(places) <= most:
        return places
    return np.asarray(places[np.linspace(0, len(places) - 1, most).round().astype(np.intp)])


def fold_of(customer_keys: NDArray[np.int64], *, n_folds: int) -> NDArray[np.int64]:
    """Each customer's fold: the same in every cutoff and every run."""
    spread = customer_keys.astype(np.uint64) * _SPREAD
    return ((spread >> np.uint64(40)) % np.uint64(n_folds)).astype(np.int64)
