"""Which members and which level an expectation has, chosen on a held-back window as the probability's are.

Season breaks the level of expectations far more than their order, so the level is chosen apart from the members: as in
the window that taught, times the season where a year is known (season.py), or as the models of repeat buying say by
themselves, who know nothing of season but that people leave.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from training.dataset import occasions_of
from training.expectations.members import (
    BOOSTING,
    CORRECTED,
    FEWEST_DAYS,
    REGRESSION,
    Of,
    Pieces,
    actual,
    pieces,
    with_correction,
)
from training.expectations.shop import BG_NBD, EPOCH, PARETO_NBD, REPEAT, Shop
from training.season import Ahead, is_borne_out, season_multiplier
from training.served.expectations import Expectation
from training.split import whole_weeks
from training.year_ahead import year_within

Floats = NDArray[np.float64]

SEASON, TAUGHT, BETWEEN, OWN = "season", "taught", "between", "own"
EVERY = (*REPEAT, REGRESSION, BOOSTING)
MEMBERS: tuple[tuple[str, ...], ...] = (
    EVERY,
    (*REPEAT, REGRESSION),
    (*REPEAT, BOOSTING),
    (BOOSTING,),
    REPEAT,
    (BG_NBD,),
    (PARETO_NBD,),
)
CARRIED = {*REPEAT, CORRECTED}  # what can say more of a horizon than of the window that taught
HARM = 0.02  # of the error: members and season are given up only where they did more harm than this
FEWEST_ORDERS = 50  # in a held-back window that chooses anything
ENOUGH_ORDERS = 1_000  # in it, for a regression and trees to be trusted before they have shown that they help


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an expectation is made of."""

    members: tuple[str, ...]
    level: str
    chosen_on_days: int | None  # length of the held-back window; None where there was none

    def __str__(self) -> str:
        levels = {
            SEASON: "level of the last window times season",
            TAUGHT: "level of the last window",
            BETWEEN: "level between the last window's and its own",
            OWN: "its own level",
        }
        names = " + ".join(self.members) or "nothing"
        return f"{names}; {levels[self.level]}"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of the buyers as of the cutoff, and what it is made of.

    Attributes:
        values: shape `(n,)`.
        window_days: of the window that taught; None where none had closed.
    """

    values: Floats
    recipe: Recipe
    window_days: int | None


def expect(shop: Shop, *, horizon_days: int, of: Of, seed: int = 0) -> Expected | None:
    """Order-days or spend of each buyer within the horizon; None where nothing can be fitted.

    Args:
        shop: known until the cutoff.
        horizon_days: how far ahead.
        of: what is expected.
        seed: of LightGBM.
    """
    now = pieces(shop, shop.day, horizon_days=horizon_days, of=of, seed=seed)
    if not now.said:
        return None
    if now.window_days != horizon_days:
        now = with_correction(now, shop, shop.day, horizon_days=horizon_days, of=of)
    season = _season(shop, shop.day, horizon_days=horizon_days, window_days=now.window_days)
    recipe = _choose(shop, now, horizon_days=horizon_days, of=of, seed=seed, has_season=season != 1.0)
    return Expected(combined(now, recipe.members, level=recipe.level, season=season), recipe, now.window_days)


def made_of(
    shop: Shop, recipe: Recipe, *, horizon_days: int, of: Of, seed: int = 0
) -> tuple[Expectation, Recipe] | None:
    """That recipe, fitted to everything that is known; None where no window of the horizon's length has closed.

    A season that is known by now, which the window that judged did not know, is not served. But where repeat orders
    bear it out, it says which of the levels that were tried is served: the nearest.

    Args:
        shop: known until the cutoff.
        recipe: that was chosen before, and judged.
        horizon_days: how far ahead.
        of: what is expected.
        seed: of LightGBM.
    """
    now = pieces(shop, shop.day, horizon_days=horizon_days, of=of, seed=seed)
    if now.learned is None or now.window_days != horizon_days or not set(recipe.members) <= now.said.keys():
        return None
    season = _season(shop, shop.day, horizon_days=horizon_days, window_days=now.window_days)
    judged_at = shop.day - whole_weeks(horizon_days)
    judged = (
        recipe.level == SEASON or _season(shop, judged_at, horizon_days=horizon_days, window_days=horizon_days) != 1
    )
    times = {level: factor(now, recipe.members, level=level, season=season) for level in (SEASON, TAUGHT, BETWEEN, OWN)}
    level = recipe.level
    if not judged and season != 1.0 and _untried(shop, horizon_days=horizon_days) == SEASON:
        level = min((TAUGHT, BETWEEN, OWN), key=lambda one: abs(float(np.log(times[one] / season))))
    made = Expectation(recipe.members, float(f"{times[level]:.9g}"), now.learned, level == SEASON)
    return made, replace(recipe, level=level)


def weeks_ahead(shop: Shop, *, horizon_days: int) -> tuple[tuple[int, float], ...]:
    """Which share of the coming window's orders will have come by when, as a year ago; nothing where none tells."""
    return year_within(shop.n_orders, _ahead(shop, shop.day, horizon_days=horizon_days))


def combined(of: Pieces, members: tuple[str, ...], *, level: str, season: float) -> Floats:
    """The mean of those members, at that level; shape `(n,)`."""
    return mean_of(of, members) * factor(of, members, level=level, season=season)


def mean_of(of: Pieces, members: tuple[str, ...]) -> Floats:
    """The mean of those members, at the level of the window that taught; shape `(n,)`."""
    return np.asarray(np.mean([of.said[name] for name in members], axis=0))


def factor(of: Pieces, members: tuple[str, ...], *, level: str, season: float) -> float:
    """How many times that mean the level is."""
    if level in (TAUGHT, SEASON):
        return season if level == SEASON else 1.0
    names = [name for name in members if name in of.own] or list(of.own)
    own = float(np.mean([of.own[name] for name in names])) / float(mean_of(of, members).sum())
    return own if level == OWN else float(np.sqrt(own))


def error(values: Floats, happened: Floats) -> float:
    """What a recipe is chosen by: the geometric mean of mean absolute and root mean squared error.

    The first is small where most customers, who do nothing, are said to; the second where the few who do much are. A
    per cent of either counts the same.
    """
    wrong = values - happened
    return float(np.sqrt(np.abs(wrong).mean() * np.sqrt(np.mean(wrong**2))))


def _choose(shop: Shop, now: Pieces, *, horizon_days: int, of: Of, seed: int, has_season: bool) -> Recipe:
    full = now.window_days == horizon_days
    parts = 3 if full else 2  # behind the window, to learn from and to choose on; what is only carried needs no labels
    window = min(horizon_days, shop.n_days // parts)
    held_back = shop.day - (whole_weeks(window) if parts * whole_weeks(window) <= shop.n_days else window)
    default = _untried(shop, horizon_days=horizon_days) if has_season else BETWEEN if full else OWN
    available = [names for names in MEMBERS if set(names) <= now.said.keys()]
    if not full:  # what was learned of a shorter window is carried on by the models of repeat buying, or left to them
        available = [names for names in (*available, (CORRECTED,)) if set(names) <= now.said.keys() & CARRIED]
    if window < FEWEST_DAYS:
        return Recipe(available[0], default, None)
    happened = actual(shop, held_back, horizon_days=window, of=of)
    n_orders = int(shop.orders.within(shop.buyers(held_back).keys, day=held_back, horizon_days=window)[0].sum())
    then = pieces(shop, held_back, horizon_days=window, of=of, seed=seed)
    if not full:
        then = with_correction(then, shop, held_back, horizon_days=window, of=of)
    tried = [names for names in available if set(names) <= then.said.keys()]
    if n_orders < FEWEST_ORDERS or not tried:
        return Recipe(available[0], default, None)
    season = _season(shop, held_back, horizon_days=window, window_days=then.window_days)
    levels = _levels(full and then.window_days == window, has_season=has_season, had_season=season != 1.0)
    errors = {
        (names, level): error(combined(then, names, level=level, season=season), happened)
        for names, level in itertools.product(tried, levels)
    }
    level = _level(errors, levels)
    usual = REPEAT if n_orders < ENOUGH_ORDERS and REPEAT in tried else tried[0]
    best = min(tried, key=lambda names: errors[names, level] * (1.0 + HARM * (full and names != usual)))
    return Recipe(best, default if has_season and SEASON not in levels else level, window)


def _levels(full: bool, *, has_season: bool, had_season: bool) -> tuple[str, ...]:
    """The levels that the held-back window can tell apart: it cannot try a season that it did not know."""
    if not full:
        return (OWN,)
    if has_season and not had_season:
        return (TAUGHT,)
    return (SEASON, TAUGHT, OWN) if has_season else (BETWEEN, TAUGHT, OWN)


def _level(errors: dict[tuple[tuple[str, ...], str], float], levels: tuple[str, ...]) -> str:
    """That of the smallest error, the first unless it did harm."""
    best = {level: min(loss for (_, of), loss in errors.items() if of == level) for level in levels}
    return min(levels, key=lambda level: best[level] * (1.0 + HARM * (level != levels[0])))


def _season(shop: Shop, day: int, *, horizon_days: int, window_days: int | None) -> float:
    """How much busier the window as of a day will be than the one that taught; 1 where a year is not known."""
    if window_days != horizon_days:
        return 1.0
    return season_multiplier(shop.n_orders, _ahead(shop, day, horizon_days=horizon_days))


def _untried(shop: Shop, *, horizon_days: int) -> str:
    """The level where no window has tried the season: the last window's, unless repeat orders bear the season out."""
    ahead = _ahead(shop, shop.day, horizon_days=horizon_days)
    return SEASON if is_borne_out(shop.n_orders, shop.repeats, ahead) else TAUGHT


def _ahead(shop: Shop, day: int, *, horizon_days: int) -> Ahead:
    calibrate, first = (
        EPOCH + timedelta(days=at) for at in (day - whole_weeks(horizon_days), int(shop.orders.days[0]))
    )
    return Ahead(calibrate, EPOCH + timedelta(days=day), horizon_days, first, occasions_of(shop.source))
