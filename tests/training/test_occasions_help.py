"""A shop whose festival falls three weeks later this year: who knows of it says how many will order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from features.occasions import OccasionDays
from training.evaluation import quality
from training.heads import Head
from training.next_purchase import RECIPES, fit_head

LASTS, FELL_ON, FALLS_ON = 14, 100, 100 + 364 + 21
HORIZON = 28
STANDS_ON = FALLS_ON - LASTS - 7  # all of it lies ahead; a year ago most of it lay behind
RECIPE = replace(RECIPES[0], members=("linear",), rounds=5)


def a_festival_shop(tiny_world: Callable[..., Any], *, occasions: tuple[OccasionDays, ...]) -> Any:
    """Keen and rare customers, and four times as many orders in the fortnight before the festival."""
    world = tiny_world(n_customers=500, days=FALLS_ON + 60, seed=9)
    rng = np.random.default_rng(9)
    rates = np.where(world.keen, 1 / 60, 1 / 200)
    days = np.arange(FALLS_ON + 60)
    busy = np.where([any(0 <= on - day < LASTS for on in (FELL_ON, FALLS_ON)) for day in days], 4.0, 1.0)
    world.orders = [days[rng.random(len(days)) < rate * busy].astype(float) + 0.5 for rate in rates]
    world.occasions = occasions
    return world


def said_of(world: Any) -> tuple[Head, Any]:
    used_at = world.first + timedelta(days=STANDS_ON)
    head = fit_head(world, horizon_days=HORIZON, used_at=used_at, recipe=RECIPE)
    snapshot = world.snapshot(used_at)
    y = np.isin(snapshot.customer_keys, world.happened(used_at, HORIZON)).astype(np.uint8)
    return head, quality(y, head.predict(snapshot.X))


def test_a_festival_that_moved_is_expected_where_it_falls_this_year(tiny_world: Callable[..., Any]) -> None:
    first = tiny_world(n_customers=2, days=2).first.date()
    begins = (first + timedelta(days=FELL_ON), first + timedelta(days=FALLS_ON))
    festival = OccasionDays("festival", begins, days_before=LASTS - 1, days_after=0)
    (blind, without), (knows, with_it) = (
        said_of(a_festival_shop(tiny_world, occasions=known)) for known in ((), (festival,))
    )
    assert knows.season > blind.season
    assert abs(with_it.mean_probability / with_it.base_rate - 1) < 0.15
    assert without.mean_probability / without.base_rate < 0.8
    assert with_it.log_loss < without.log_loss - 0.01
