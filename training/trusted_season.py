"""Which season a head may have: one that a closed window has tried, or one that repeat orders bear out.

Season needs a year of orders, and a window that tries it needs them behind itself: with 53 to 65 weeks of history and
a horizon of 13 weeks, there is a season and nothing that could have tried it.
"""

from __future__ import annotations

from datetime import datetime

from training.dataset import Source, repeats_of
from training.heads import newest_split
from training.recipes import AS_MANY_ORDERS, NO_SEASON
from training.season import Ahead, is_borne_out, season_change
from training.split import Split, TooLittleData


def knows_season(source: Source, split: Split) -> bool:
    """Whether a head of these windows knows how a year ago went on from there."""
    return season_change(source.n_orders, Ahead.of(source, split)) is not None


def untried_season(source: Source, *, horizon_days: int, used_at: datetime) -> str:
    """The season of a head that stands then, where no window has tried any: none, unless repeat orders bear it out."""
    repeats = repeats_of(source)
    if repeats is None:
        return NO_SEASON
    try:
        split = newest_split(source, horizon_days=horizon_days, used_at=used_at)
    except TooLittleData:
        return NO_SEASON
    found = is_borne_out(source.n_orders, repeats, Ahead.of(source, split))
    return AS_MANY_ORDERS if found else NO_SEASON
