"""Which recipe: the one that a held-back window finds best, ties in favour of the fullest.

A season that this window could not try, since no year lies behind it, is shipped only where repeat orders bear it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from training.calibration import FloatArray
from training.dataset import Source, rows_of
from training.evaluation import log_losses
from training.heads import finisher, lesson_of, raw_scores
from training.labels import label_window
from training.members import TREES, Customers
from training.recipes import EVERY_MEMBER, RECIPES, Recipe
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
    tried: list[tuple[float, float, Recipe, str]] = []
    for base in candidates:
        finish = finisher(lesson, base, seed=seed)
        trees = raw_scores(finish(replace(base, members=(TREES,))).booster, rows.X)
        calm: dict[tuple[tuple[str, ...], str, bool, str], FloatArray] = {}
        for recipe in _of_season(base.variants(), season):
            head, key = finish(recipe), (recipe.members, recipe.repeat_buying, recipe.weighs, recipe.calibration)
            if key not in calm:
                calm[key] = replace(head, season=1.0).said_of(customers, trees)
            loss = float(log_losses(rows.y, head.in_season(calm[key], customers)).mean())
            tried.append((loss + recipe.handicap(), loss, recipe, head.shipped))
    _, loss, best, made_of = min(tried, key=lambda one: one[0])
    fullest = min(each for _, each, recipe, _ in tried if recipe.members == EVERY_MEMBER)
    window = label_window(judge_at, horizon_days)
    shorter = f", of {horizon_days} days since none of {asked_days} could choose" if horizon_days < asked_days else ""
    left_out = f"; with every member {fullest:.4f}" if best.members != EVERY_MEMBER else ""
    return Choice(
        best,
        f"{made_of}: log-loss {loss:.4f} on the held-back window "
        f"{window.start:%Y-%m-%d} to {window.end:%Y-%m-%d}{shorter}{left_out}",
    )


def _of_season(recipes: Iterable[Recipe], season: str | None) -> Iterator[Recipe]:
    """Those of a season that was settled without trying; all of them where it is to be tried."""
    return (recipe for recipe in recipes if season in (None, recipe.season))
