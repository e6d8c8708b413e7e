"""A horizon of which no window is closed: models that need no labels, beside a shorter lesson carried to the horizon.

They are tried on the newer half of what is known, standing where it begins with what was known then, by the same steps
as where the head is used: so what is shipped was judged, if on a shorter horizon. A model of repeat buying alone is
left only for a lesson that is better there beyond noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import product

import numpy as np

from training.calibration import IDENTITY, FloatArray, log_odds
from training.carrying import Carry
from training.dataset import Rows, Source, rows_of
from training.evaluation import log_losses
from training.fitting import FEWEST_BUYERS, fit_repeat_buying
from training.heads import Head, finisher, lesson_of, raw_scores
from training.labels import label_window
from training.members import REPEAT_BUYING, Customers, Members, Repeat
from training.recipes import MEMBERS, NO_SEASON, RECIPES, REPEAT_MODELS, Recipe
from training.split import WEEK, Split, TooLittleData

LEAST_GAIN = 0.002  # nats that a carried lesson must win by, beside one standard error of the difference
CARRIED_CALIBRATIONS = ("shift", "platt")  # the steps of an isotonic fit have no place between two horizons
UNTRIED = "nothing that is closed could choose: the default"


@dataclass(frozen=True)
class Standing:
    """Where a head stands: what is known there, and how far ahead it looks."""

    source: Source
    horizon_days: int
    used_at: datetime
    seed: int

    @property
    def taught_days(self) -> int:
        """The longest horizon, at most the one asked for, that what is known has room for twice; in whole weeks."""
        half = (self.used_at - self.source.first) // timedelta(days=2 * WEEK) * WEEK
        return min(half, self.horizon_days)

    @cached_property
    def window(self) -> Split:
        """The newer half of what is known."""
        return Split(self.taught_days, (self.used_at - timedelta(days=self.taught_days),), self.used_at)

    @cached_property
    def curves(self) -> dict[str, Repeat]:
        """Models of repeat buying fitted to everything that is known."""
        fitted = {kind: fit_repeat_buying(self.source, self.used_at, kind=kind) for kind in REPEAT_MODELS}
        return {kind: model for kind, model in fitted.items() if model is not None}

    def alone(self, kind: str) -> Head:
        """A model of repeat buying as it is."""
        recipe = replace(
            RECIPES[0], members=(REPEAT_BUYING,), repeat_buying=kind, season=NO_SEASON, calibration="identity"
        )
        members = Members(self.horizon_days, {REPEAT_BUYING: 0.0}, self._silent, None, self.curves[kind])
        inputs = tuple(self.source.inputs)
        return Head(self.horizon_days, recipe, self.window, inputs, None, members, IDENTITY)

    def carried(self, recipe: Recipe) -> Head:
        """A lesson on the longest horizon that can be taught, carried, in the mean with the curve that carries it.

        A lesson knows the level of an earlier and shorter window, the curve that of the whole history: which of the two
        is right about the coming one, no closed window can say.
        """
        head = self._finish(recipe)
        carry = Carry(self.taught_days, self.horizon_days, self.curves[recipe.repeat_buying])
        beside = self.alone(recipe.repeat_buying)
        return replace(head, horizon_days=self.horizon_days, carry=carry, beside=beside)

    def ways(self) -> Iterator[tuple[Recipe | None, str]]:
        """Every recipe that a lesson could be carried with, after each model of repeat buying without a recipe."""
        yield from ((None, kind) for kind in self.curves)
        for members, kind, repeat in product(MEMBERS, CARRIED_CALIBRATIONS, self.curves):
            made = replace(RECIPES[0], members=members, calibration=kind, season=NO_SEASON, repeat_buying=repeat)
            yield made, repeat

    def head(self, recipe: Recipe | None, kind: str) -> Head:
        """The head of one of the ways."""
        return self.alone(kind) if recipe is None else self.carried(recipe)

    @cached_property
    def _finish(self) -> Callable[[Recipe], Head]:
        lesson = lesson_of(self.source, horizon_days=self.taught_days, used_at=self.used_at)
        return finisher(lesson, RECIPES[0], seed=self.seed)

    @cached_property
    def _silent(self) -> float:
        """Log-odds of those who never bought: their rate in the newer half, as long as the horizon."""
        rows = rows_of(self.source, [self.window.calibrate], horizon_days=self.taught_days)
        never = ~Customers(rows.X.astype(np.float64), self.source.inputs).bought()
        rate = (float(rows.y[never].sum()) + 0.5) / (int(never.sum()) + 1.0)
        longer = 1.0 - (1.0 - rate) ** (self.horizon_days / self.taught_days)
        return round(float(log_odds(np.array([longer]))[0]), 9)


def head_without_window(source: Source, *, horizon_days: int, used_at: datetime, seed: int) -> Head:
    """One horizon that no window is long enough, or has enough in it, to teach.

    Args:
        source: of snapshots and labels.
        horizon_days: of what is asked.
        used_at: nothing known later is used.
        seed: of LightGBM.

    Raises:
        TooLittleData: there is not even a fortnight of orders, or there are too few buyers.
    """
    here = Standing(source, horizon_days, used_at, seed)
    _require_enough(here)
    there = Standing(source, here.taught_days, here.window.calibrate, seed)
    rows = rows_of(source, [there.used_at], horizon_days=there.horizon_days)
    tried = _tried(there, rows) if there.taught_days >= WEEK else {}
    for recipe, kind in _ranked(tried):
        try:
            return replace(here.head(recipe, kind), because=_because(here, tried, (recipe, kind)))
        except TooLittleData:
            continue  # the newer half is thinner than the older one
    return replace(here.alone(next(iter(here.curves))), because=UNTRIED)


def _require_enough(here: Standing) -> None:
    asked = f"Asked for a {here.horizon_days}-day model as of {here.used_at:%Y-%m-%d}, but "
    if here.taught_days < 1:
        raise TooLittleData(
            f"{asked}orders begin on {here.source.first:%Y-%m-%d}. It needs {2 * WEEK} days of orders, to be tried on "
            "the newer half of them.",
            ready=here.source.first + timedelta(days=2 * WEEK),
        )
    if not here.curves:
        raise TooLittleData(
            f"{asked}no window of that length is closed that could teach it, and a model of repeat buying needs "
            f"{FEWEST_BUYERS} customers with an order. Import more, or ask for a shorter horizon."
        )


Way = tuple[Recipe | None, str]


def _tried(there: Standing, rows: Rows) -> dict[Way, FloatArray]:
    """Each way's log-losses on the held-back rows; those that too little is known for are left out."""
    customers = Customers(rows.X.astype(np.float64), there.source.inputs)
    losses: dict[Way, FloatArray] = {}
    trees: FloatArray | None = None
    for way in there.ways():
        try:
            head = there.head(*way)
        except TooLittleData:
            continue
        if trees is None:
            trees = raw_scores(head.booster, rows.X)
        losses[way] = log_losses(rows.y, head.said_of(customers, trees))
    return losses


def _ranked(tried: dict[Way, FloatArray]) -> list[Way]:
    """The ways, best first: repeat buying alone goes before every lesson that is not better beyond noise."""
    by_loss = sorted(tried, key=lambda way: float(tried[way].mean()))
    alone = [way for way in by_loss if way[0] is None]
    if not alone:
        return by_loss
    plain = tried[alone[0]]

    def is_better(way: Way) -> bool:
        gain = plain - tried[way]
        return bool(gain.mean() > max(LEAST_GAIN, float(gain.std()) / np.sqrt(len(gain))))

    better = [way for way in by_loss if way[0] is not None and is_better(way)]
    return better + alone


def _because(here: Standing, tried: dict[Way, FloatArray], way: Way) -> str:
    window = label_window(here.window.calibrate, here.taught_days)
    said = {True: "alone", False: "taught on a shorter window and carried"}
    best = {
        is_alone: min((float(loss.mean()) for (recipe, _), loss in tried.items() if (recipe is None) == is_alone))
        for is_alone in {recipe is None for recipe, _ in tried}
    }
    beside = "".join(f"; best {said[is_alone]} {loss:.4f}" for is_alone, loss in sorted(best.items(), reverse=True))
    return (
        f"no window of {here.horizon_days} days is closed that could teach; chosen on the held-back {here.taught_days} "
        f"days {window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}: log-loss {float(tried[way].mean()):.4f}{beside}"
    )
