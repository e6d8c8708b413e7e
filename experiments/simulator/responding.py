"""One draw of what would come back from actions: the window's first order from its true probability, and reactions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from experiments.simulator import behaviour as b
from experiments.simulator.ordering import REDEEM_DAYS, Touches
from experiments.simulator.population import Population, type_f, type_i
from experiments.simulator.purchases import fill_baskets
from experiments.simulator.reacting import draw_reactions, outcome_table
from experiments.simulator.tables import DAY_US

if TYPE_CHECKING:
    from experiments.simulator.world import World


def respond(
    world: World,
    customer_ids: Sequence[str],
    action_ids: str | Sequence[str],
    *,
    at: dt.datetime,
    rng: np.random.Generator,
    window_days: float,
) -> pa.Table:
    """Draws the outcomes of actions at `at`, one action a customer, without moving the world."""
    index, action = world.index_of(customer_ids), world.actions_of(action_ids, len(customer_ids))
    n = len(index)
    at_us = np.full(n, world.microseconds(at))
    touches = world.touches(np.arange(n), action, at_us)
    by_day = world.expected_by_day(index, touches, start_us=at_us, window_days=window_days)
    people = world.population.take(index)
    end_us = at_us + round(window_days * DAY_US)
    buys, ordered_at = _first_order(rng, people, by_day, at_us=at_us, end_us=end_us, origin_us=world.plan.origin_us)
    everyone = Touches(np.arange(n), action, *_day_part(at_us - world.plan.origin_us))
    reactions = draw_reactions(
        rng,
        people,
        world.state.take(index),
        everyone,
        at_us=at_us,
        ordered_at_us=np.where(buys, ordered_at, 0),
        until_us=end_us,
        can_reply=np.ones(n, dtype=bool),
        season=world.season,
    )
    whom = np.flatnonzero(buys)
    redeemed = np.where((ordered_at - at_us)[whom] < REDEEM_DAYS * DAY_US, action[whom], 0)
    baskets = fill_baskets(rng, world.population, index[whom], redeemed=redeemed)
    names = [action_ids] * n if isinstance(action_ids, str) else list(action_ids)
    return outcome_table(
        np.arange(n),
        pa.array(list(customer_ids), pa.string()),
        pa.array(names, pa.string()),
        reactions=reactions,
        converted=(whom, ordered_at[whom], baskets.total),
    )


def _day_part(offset_us: type_i) -> tuple[type_i, type_f]:
    day, rest = np.divmod(offset_us, DAY_US)
    return day, rest / DAY_US


def _first_order(
    rng: np.random.Generator, people: Population, by_day: type_f, *, at_us: type_i, end_us: type_i, origin_us: int
) -> tuple[np.ndarray, type_i]:
    """Whether and when the first order of the window comes: the instant at which the summed rate passes an Exp(1)."""
    n = len(at_us)
    summed = by_day.cumsum(axis=0)
    threshold = rng.exponential(1.0, n)
    buys = threshold < summed[-1]
    row = (summed <= threshold).sum(axis=0).clip(max=len(by_day) - 1)
    everyone = np.arange(n)
    before = summed[row, everyone] - by_day[row, everyone]
    within = ((threshold - before) / np.maximum(by_day[row, everyone], 1e-300)).clip(0.0, 1.0 - 1e-9)
    day = (at_us.min() - origin_us) // DAY_US + row
    low, high = (((us - origin_us) / DAY_US - day).clip(0.0, 1.0) for us in (at_us, end_us))
    low, high = b.share_of_day(people.region, low), b.share_of_day(people.region, high)
    part = b.part_of_day(people.region, low + within * (high - low))
    return buys, origin_us + day * DAY_US + (part * DAY_US).astype(np.int64)
