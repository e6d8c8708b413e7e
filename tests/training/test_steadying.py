"""Without a season the level is that of two windows: a shop that swings comes back, one that is misjudged stays so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.calibration import log_odds
from training.heads import finisher, lesson_of
from training.members import LINEAR
from training.recipes import AS_MANY_ORDERS, NO_SEASON, RECIPES
from training.repeat_buying import BgNbd
from training.split import Split
from training.steadying import missed, steadied

DAYS = 56
BUYING = BgNbd(r=0.8, alpha=6.0, a=0.8, b=2.5)


def a_world(tiny_world: Callable[..., Any], *, older: float, newest: float) -> Any:
    """A thousand customers, of whom such shares order in the older and in the newest of two windows."""
    world = tiny_world(n_customers=1_000, days=400)
    begins = {(world.known_until - timedelta(days=DAYS * back)): share for back, share in ((2, older), (1, newest))}

    def happened(as_of: datetime, horizon_days: int) -> NDArray[np.int64]:
        assert horizon_days == DAYS
        return np.arange(1, int(1_000 * begins[as_of]) + 1, dtype=np.int64)

    world.happened = happened
    return world


def the_split(world: Any) -> Split:
    return Split(DAYS, (world.known_until - timedelta(days=DAYS),), world.known_until)


def test_a_window_busier_than_the_one_before_moves_the_level_half_way_back(tiny_world: Callable[..., Any]) -> None:
    world = a_world(tiny_world, older=0.3, newest=0.6)
    split = the_split(world)
    older, newest = (
        missed(world, split.calibrate - timedelta(days=back), BUYING, horizon_days=DAYS) for back in (DAYS, 0)
    )
    assert older is not None
    assert newest is not None
    assert older < newest
    assert steadied(world, split, BUYING) == pytest.approx((older - newest) / 2)


def test_a_shop_as_busy_as_before_keeps_its_level(tiny_world: Callable[..., Any]) -> None:
    steady = a_world(tiny_world, older=0.6, newest=0.6)
    swings = a_world(tiny_world, older=0.3, newest=0.6)
    moved = steadied(steady, the_split(steady), BUYING)
    assert abs(moved) < 0.2 * abs(steadied(swings, the_split(swings), BUYING))


@pytest.mark.parametrize("model", [None, BUYING])
def test_where_no_older_window_can_tell_the_newest_one_stands(tiny_world: Callable[..., Any], model: Any) -> None:
    world = a_world(tiny_world, older=0.02, newest=0.6)  # 20 ordered in the older one
    assert steadied(world, the_split(world), model) == 0.0
    short = a_world(tiny_world, older=0.3, newest=0.6)
    short.first = short.known_until - timedelta(days=3 * DAYS - 1)
    assert steadied(short, the_split(short), BUYING) == 0.0


def test_a_head_of_no_season_is_steadied_and_one_that_is_only_compared_is_not(a_tiny_world: Any) -> None:
    used_at = a_tiny_world.known_until
    lesson = lesson_of(a_tiny_world, horizon_days=DAYS, used_at=used_at)
    recipe = replace(RECIPES[0], members=(LINEAR,), weighs=False, season=NO_SEASON)
    steady, newest = (finisher(lesson, recipe, seed=0, steady=steady)(recipe) for steady in (True, False))
    X = a_tiny_world.snapshot(used_at).X
    moved = steadied(a_tiny_world, lesson.split, lesson.repeat_buying("Pareto/NBD")[0])
    assert moved != 0.0
    assert log_odds(steady.predict(X)) == pytest.approx(log_odds(newest.predict(X)) + moved, abs=1e-6)


def test_a_season_that_is_known_starts_from_the_newest_window(tiny_world: Callable[..., Any]) -> None:
    world = tiny_world(n_customers=400, days=700)
    lesson = lesson_of(world, horizon_days=DAYS, used_at=world.known_until)
    recipe = replace(RECIPES[0], members=(LINEAR,), weighs=False, season=AS_MANY_ORDERS)
    steady, newest = (finisher(lesson, recipe, seed=0, steady=steady)(recipe) for steady in (True, False))
    assert steady.season != 1.0
    assert steady.calibration == newest.calibration
