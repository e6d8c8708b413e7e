"""Which recipe: the one that a held-back window finds best, ties in favour of the fullest.

A season that this window could not try, since no year lies behind it, is shipped only where repeat orders bear it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from training.calibration import ISOTONIC, FloatArray
from training.dataset import Source, rows_of
from training.evaluation import log_losses
from training.heads import finisher, lesson_of, raw_scores
from training.labels import label_window
from training.members import REPEAT_BUYING, TREES, Customers
from training.recipes import (
    AS_IT_IS,
    ERRORS_OF_ALONE,
    ERRORS_OF_HALF,
    EVERY_MEMBER,
    FEWEST_FOR_STEPS,
    NO_SEASON,
    RECIPES,
    Recipe,
)
from training.repeat_buying import PARETO_NBD
from training.some_customers import some_customers
from training.split import WEEK, TooLittleData, gate_cutoff
from training.trusted_season import knows_season, untried_season

UNTRIED = "no window is closed that could choose: the default"


@dataclass(frozen=True, slots=True)
class Choice:
    """A recipe and, for people, how it was found."""

    recipe: Recipe
    because: str


def choose(
    source: Source, *, horizon_days: int, used_at: datetime, seed: int, candidates: Sequence[Recipe] = RECIPES
) -> Choice:
    """The recipe of these with the smallest log-loss on the newest window closed by `used_at`.

    Where too little lies behind that window, one of a shorter horizon chooses; where none can, the first recipe is it.
    Of very many customers, some choose.
    """
    source = some_customers(source)
    longest = int((used_at - source.first).days / 3 / WEEK) * WEEK  # behind the cutoff, to learn from, to choose on
    for horizon in dict.fromkeys((horizon_days, min(horizon_days, longest))):
        if horizon < 1:
            continue
        try:
            return _choose(
                source,
                horizon_days=horizon,
                asked_days=horizon_days,
                used_at=used_at,
                seed=seed,
                candidates=candidates,
            )
        except TooLittleData:
            continue
    season = untried_season(source, horizon_days=horizon_days, used_at=used_at)
    return Choice(replace(candidates[0], season=season), UNTRIED)


def _choose(
    source: Source,
    *,
    horizon_days: int,
    asked_days: int,
    used_at: datetime,
    seed: int,
    candidates: Sequence[Recipe],
) -> Choice:
    judge_at = gate_cutoff(used_at, horizon_days=horizon_days)
    lesson = lesson_of(source, horizon_days=horizon_days, used_at=judge_at, is_tried=True)
    rows = rows_of(source, [judge_at], horizon_days=horizon_days)
    customers = Customers(rows.X, source.inputs)
    is_tried = knows_season(source, lesson.split)
    season = None if is_tried else untried_season(source, horizon_days=asked_days, used_at=used_at)
    tried: list[Tried] = []
    for base in candidates:
        finish = finisher(lesson, base, seed=seed, steady=False)
        trees = raw_scores(finish(replace(base, members=(TREES,))).booster, rows.X)
        calm: dict[tuple[tuple[str, ...], str, bool, str], FloatArray] = {}
        for recipe in _worth_trying(base.variants(), season, n_calibrating=len(lesson.scored_keys)):
            head, key = finish(recipe), (recipe.members, recipe.repeat_buying, recipe.weighs, recipe.calibration)
            if key not in calm:
                calm[key] = replace(head, season=1.0).said_of(customers, trees)
            tried.append(Tried(recipe, head.shipped, log_losses(rows.y, head.in_season(calm[key], customers))))
    best, fullest = best_of(tried)
    own = at_its_own_level(tried, best)
    window = label_window(judge_at, horizon_days)
    shorter = f", of {horizon_days} days since none of {asked_days} could choose" if horizon_days < asked_days else ""
    left_out = f"; with every member {fullest.loss:.4f}" if best.recipe.members != EVERY_MEMBER else ""
    half = f"; half of the say is {PARETO_NBD}'s as it is, not worse beyond noise: {own.loss:.4f}" if own else ""
    return Choice(
        replace(best.recipe, halves=own is not None),
        f"{best.made_of}: log-loss {best.loss:.4f} on the held-back window "
        f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}{shorter}{left_out}{half}",
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """A recipe on the held-back window: what it is made of, and each customer's log-loss."""

    recipe: Recipe
    made_of: str
    losses: FloatArray

    @property
    def loss(self) -> float:
        """Its mean log-loss."""
        return float(self.losses.mean())

    def is_alone(self) -> bool:
        """Whether it is one member and nothing else."""
        return len(self.recipe.members) == 1


def best_of(tried: Sequence[Tried]) -> tuple[Tried, Tried]:
    """What is shipped, and the best with every member.

    A member alone must be better than the latter beyond noise, too: some hundred customers would else take everything
    away that knows what they do not show just now.
    """
    fullest = min((one for one in tried if one.recipe.members == EVERY_MEMBER), key=lambda one: one.loss)

    def at_best(one: Tried) -> float:
        doubt = (one.losses - fullest.losses).std() / np.sqrt(len(one.losses)) if one.is_alone() else 0.0
        return one.loss + one.recipe.handicap() + ERRORS_OF_ALONE * float(doubt)

    return min(tried, key=at_best), fullest


def at_its_own_level(tried: Sequence[Tried], best: Tried) -> Tried | None:
    """Pareto/NBD as it is, where the window does not show it to be worse than the best beyond noise; else None.

    Only beside what has no season, since its level has none either, and is calibrated by a line.
    """
    if (
        best.recipe.members == (REPEAT_BUYING,)
        or best.recipe.season != NO_SEASON
        or best.recipe.calibration == ISOTONIC
    ):
        return None
    own = replace(best.recipe, members=(REPEAT_BUYING,), repeat_buying=PARETO_NBD, weighs=False, calibration=AS_IT_IS)
    found = next((one for one in tried if one.recipe == own and one.made_of == PARETO_NBD), None)
    if found is None:
        return None
    worse = found.losses - best.losses
    return found if float(worse.mean()) <= ERRORS_OF_HALF * float(worse.std()) / np.sqrt(len(worse)) else None


def _worth_trying(recipes: Iterable[Recipe], season: str | None, *, n_calibrating: int) -> Iterator[Recipe]:
    """Those of a season that was settled without trying, or of any where it is to be tried; steps for enough rows."""
    for recipe in recipes:
        few = recipe.calibration == ISOTONIC and n_calibrating < FEWEST_FOR_STEPS
        if season in (None, recipe.season) and not few:
            yield recipe
