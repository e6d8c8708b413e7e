"""One fitted horizon of the next-purchase model, and how a lesson is finished into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.calibration import (
    IDENTITY,
    SMALLEST_PROBABILITY,
    Calibration,
    FloatArray,
    fit_calibration,
)
from training.dataset import Rows, Source
from training.fitting import Lesson
from training.members import REPEAT_BUYING, TREES, Customers, Members, Repeat, in_season
from training.own_level import halved
from training.pareto_nbd import ParetoNbd
from training.recipes import AS_BUSY, AS_IT_IS, NO_SEASON, WORDS, Recipe
from training.regular_gaps import RegularGaps
from training.repeat_buying import BG_NBD, PARETO_NBD, REGULAR_GAPS
from training.season import Ahead, bounded, season_change
from training.split import Split, TooLittleData, gate_cutoff, split_for
from training.steadying import steadied

FEWEST_POSITIVES = 30  # in any window that teaches or judges: below it one customer moves the rate by 3%
ENOUGH_TODAY = 60_000  # customers whose orders are expected: their sum is known within 1.5%, which costs 0.00001 nats
N_CUTOFFS = 2  # more of them blur the season: four ranked worse on three of the four cuts


@dataclass(frozen=True, slots=True)
class Head:
    """One fitted horizon.

    Attributes:
        split: the windows that taught it.
        booster: None where the trees are no member.
        season: how much more often they order than in the window that calibrated.
        leaving: who knows who has left and is no busier; None where the season makes nobody busier, or nobody knows.
        because: on which window it was chosen, for people; empty where the caller chose.
    """

    horizon_days: int
    recipe: Recipe
    split: Split
    inputs: tuple[str, ...]
    booster: lightgbm.Booster | None
    members: Members
    calibration: Calibration
    season: float = 1.0
    leaving: Repeat | None = None
    because: str = ""

    def predict(self, X: NDArray[np.float32]) -> FloatArray:
        """Calibrated probabilities, shape `(n,)`, of rows with the inputs it was fitted on."""
        customers = Customers(X, self.inputs)
        return self.said_of(customers, raw_scores(self.booster, X))

    def said_of(self, customers: Customers, trees: FloatArray | None) -> FloatArray:
        """The same of customers whose raw scores by the trees are known already."""
        of_trees = trees if self.booster is not None else None
        return self.in_season(self.calibration.apply(self.members.scores(customers, of_trees)), customers)

    def in_season(self, calm: FloatArray, customers: Customers) -> FloatArray:
        """What probabilities before the season become in it, shape `(n,)`."""
        return in_season(calm, self.season, customers=customers, leaving=self.leaving)

    @property
    def shipped(self) -> str:
        """What it is made of, for people: `trees + regression + BG/NBD`."""
        names = [self._repeat_model if name == REPEAT_BUYING else WORDS[name] for name in self.members.offsets]
        return " + ".join(names)

    @property
    def _repeat_model(self) -> str:
        return kind_of(self.members.repeat_buying) if self.members.repeat_buying is not None else BG_NBD


def kind_of(model: Repeat) -> str:
    """What a model of repeat buying is called."""
    if isinstance(model, RegularGaps):
        return REGULAR_GAPS
    return PARETO_NBD if isinstance(model, ParetoNbd) else BG_NBD


def raw_scores(booster: lightgbm.Booster | None, X: NDArray[np.float32]) -> FloatArray | None:
    """The trees' log-odds, shape `(n,)`; None without trees."""
    if booster is None:
        return None
    return np.asarray(booster.predict(X, raw_score=True, num_threads=2), dtype=np.float64)


def lesson_of(source: Source, *, horizon_days: int, used_at: datetime, is_tried: bool = False) -> Lesson:
    """What the newest windows that are closed by `used_at` teach; `is_tried` where what is fitted is never served.

    Raises:
        TooLittleData: with what is needed and when that will be there.
    """
    split = newest_split(source, horizon_days=horizon_days, used_at=used_at)
    return Lesson(source, split, check=partial(require_both, split=split), is_tried=is_tried)


def finisher(lesson: Lesson, trees: Recipe, *, seed: int, steady: bool = True) -> Callable[[Recipe], Head]:
    """A fit that any members, calibration and season can finish: the trees do not depend on them.

    Args:
        lesson: what is known.
        trees: how to boost.
        seed: of LightGBM.
        steady: without a season, the level is that of the two newest closed windows; false where only recipes are
            compared, to all of which the newest one's is as good.
    """
    source, split = lesson.source, lesson.split
    fitted = lesson.fit(trees, seed=seed)
    level = _Level(source, split, fitted.booster, n_calibrating=len(lesson.calibrating.y))
    mixed: dict[tuple[tuple[str, ...], str, bool, bool], tuple[Members, FloatArray]] = {}
    levelled: dict[tuple[tuple[str, ...], str, bool, str], tuple[Head, float]] = {}

    def mix(recipe: Recipe) -> tuple[Members, FloatArray]:
        levels = recipe.calibration != AS_IT_IS
        key = (recipe.members, recipe.repeat_buying, recipe.weighs, levels)
        if key not in mixed:
            mixed[key] = fitted.members(
                recipe.members, repeat_buying=recipe.repeat_buying, levels=levels, weigh=recipe.weighs
            )
        return mixed[key]

    def calm(recipe: Recipe) -> tuple[Head, float]:
        """Without season, and the orders that it expected of the calibrating window."""
        key = (recipe.members, recipe.repeat_buying, recipe.weighs, recipe.calibration)
        if key not in levelled:
            members, scores = mix(recipe)
            as_it_is = recipe.calibration == AS_IT_IS
            calibration = IDENTITY if as_it_is else fit_calibration(scores, fitted.y, kind=recipe.calibration)
            booster = fitted.booster if TREES in members.offsets else None
            made = replace(recipe, members=tuple(members.offsets))
            head = Head(split.horizon_days, made, split, tuple(source.inputs), booster, members, calibration)
            levelled[key] = (head, level.by_orders(head, calibration.apply(scores)))
        return levelled[key]

    def with_half(head: Head) -> Head:
        pareto = fitted.repeat_of_kind(PARETO_NBD)[0]
        if not isinstance(pareto, ParetoNbd):
            return head
        members, line = halved(head.members, head.calibration, pareto)
        made = replace(head.recipe, members=tuple(members.offsets))
        return replace(head, recipe=made, members=members, calibration=line)

    def finish(recipe: Recipe) -> Head:
        head, by_orders = calm(recipe)
        season = {AS_BUSY: level.busier, NO_SEASON: 1.0}.get(recipe.season, by_orders)
        if steady and recipe.calibration != AS_IT_IS and not (level.has_season and recipe.season != NO_SEASON):
            moved = steadied(source, split, fitted.repeat_of_kind(PARETO_NBD)[0])
            head = replace(head, calibration=head.calibration.shifted(moved))
        if recipe.halves:
            head = with_half(head)
        knows = BG_NBD if recipe.repeat_buying == REGULAR_GAPS else recipe.repeat_buying
        leaving = fitted.repeat_of_kind(knows)[0] if season > 1.0 else None
        return replace(head, recipe=replace(recipe, members=head.recipe.members), season=season, leaving=leaving)

    return finish


class _Level:
    """How many times as often as a head says customers will order: by season, where a year is known."""

    def __init__(self, source: Source, split: Split, booster: lightgbm.Booster, *, n_calibrating: int) -> None:
        self._source, self._split, self._booster, self._n = source, split, booster, n_calibrating
        self._change = season_change(source.n_orders, Ahead.of(source, split))

    @property
    def has_season(self) -> bool:
        """Whether a year ago is known, and holds enough."""
        return self._change is not None

    @property
    def busier(self) -> float:
        """As the same windows a year ago, less what the shop grows."""
        return 1.0 if self._change is None else bounded(self._change.busier)

    def by_orders(self, head: Head, calibrating: FloatArray) -> float:
        """Such that today's customers order as many times as often as there were orders a year ago.

        Args:
            head: that has no season yet.
            calibrating: what it says of customers of the calibrating window, none of whom it saw, shape `(n,)`.
        """
        if self._change is None:
            return 1.0
        before = _orders_of(calibrating) * self._n / len(calibrating)  # with much data one fold alone is scored
        customers, trees, n_times = self._today
        return bounded(self._change.orders * before / max(n_times * _orders_of(head.said_of(customers, trees)), 1e-9))

    @cached_property
    def _today(self) -> tuple[Customers, FloatArray | None, float]:
        """Today's customers, what trees say of them, and how many times as many there are."""
        X = self._source.snapshot(self._split.used_at).X
        some = X[:: max(1, -(-len(X) // ENOUGH_TODAY))]
        return Customers(some, self._source.inputs), raw_scores(self._booster, some), len(X) / max(len(some), 1)


def _orders_of(probability: FloatArray) -> float:
    """The orders that customers of these probabilities make, if each has a steady rate: the sum of −ln(1 − P)."""
    return float(-np.log1p(-np.minimum(probability, 1.0 - SMALLEST_PROBABILITY)).sum())


def newest_split(source: Source, *, horizon_days: int, used_at: datetime) -> Split:
    """The newest windows that are closed by `used_at`, on the grid that all fits to this source share."""
    return split_for(
        used_at,
        horizon_days=horizon_days,
        first=source.first,
        n_cutoffs=N_CUTOFFS,
        anchor=gate_cutoff(source.known_until, horizon_days=21),
    )


def require_both(rows: Rows, split: Split) -> None:
    """Refuses rows that are too few of either kind to fit anything to."""
    n_positive = int(rows.y.sum())
    fewest = min(n_positive, len(rows.y) - n_positive)
    if fewest >= FEWEST_POSITIVES:
        return
    which = "ordered" if fewest == n_positive else "did not order"
    times = "once there are orders" if not fewest else f"with {FEWEST_POSITIVES / fewest:.1f} times as many customers"
    raise TooLittleData(
        f"Asked for a {split.horizon_days}-day model as of {split.used_at:%Y-%m-%d}, but only {fewest} of "
        f"{len(rows.y)} customers {which} within {split.horizon_days} days of {max(rows.as_ofs):%Y-%m-%d}. "
        f"It needs {FEWEST_POSITIVES} of either kind in each window: that suffices {times}, or with a longer horizon."
    )
