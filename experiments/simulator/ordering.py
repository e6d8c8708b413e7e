"""Orders, day by day: one draw a customer and day from the true rate, with actions' effects on top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.simulator import behaviour as b
from experiments.simulator import kinds as k
from experiments.simulator.calendar import Season
from experiments.simulator.population import Population, State, type_b, type_f, type_i

REDEEM_DAYS = 7


@dataclass(frozen=True, slots=True)
class Touches:
    """Actions taken: one element an action that a customer got.

    Attributes:
        customer: index into the population.
        action: index into kinds.ACTIONS.
        day: the world's day on which it was taken.
        part: the part of that UTC day at which it was taken, in [0, 1).
    """

    customer: type_i
    action: type_i
    day: type_i
    part: type_f

    @classmethod
    def none(cls) -> Touches:
        """Nobody got anything."""
        empty = np.empty(0, dtype=np.int64)
        return cls(empty, empty, empty, np.empty(0))

    def __len__(self) -> int:
        return len(self.customer)

    def take(self, index: type_i | type_b) -> Touches:
        """The chosen touches."""
        return Touches(self.customer[index], self.action[index], self.day[index], self.part[index])


@dataclass(frozen=True, slots=True)
class Effects:
    """Touches with what each of them does: fixed at the moment of the touch by how well it fits."""

    customer: type_i
    day: type_i
    share: type_f  # of its day's orders, placed before the touch
    lift: type_f
    pull: type_f

    @classmethod
    def none(cls) -> Effects:
        """No effect at all."""
        empty = np.empty(0, dtype=np.int64)
        return cls(empty, empty, np.empty(0), np.empty(0), np.empty(0))

    def and_also(self, more: Effects) -> Effects:
        """Both."""
        return Effects(*(np.concatenate([getattr(self, name), getattr(more, name)]) for name in self.__slots__))

    def still_felt(self, day: int) -> Effects:
        """Those whose effect has not ended before `day`."""
        felt = self.day >= day - k.EFFECT_ENDS_AFTER_DAYS
        return self if felt.all() else Effects(*(getattr(self, name)[felt] for name in self.__slots__))


def sums(whom: type_i, weights: type_f, *, n: int) -> type_f:
    """The sum of the weights of each of `n`."""
    return np.asarray(np.bincount(whom, weights, minlength=n), dtype=np.float64)


def effects_of(touches: Touches, population: Population, state: State, *, season: Season) -> Effects:
    """What each touch does, given the customers' state at that moment."""
    if not len(touches):
        return Effects.none()
    whom, state = population.take(touches.customer), state.take(touches.customer)
    lift, pull = b.effect(whom, state, action=touches.action, day=touches.day, season=season)
    return Effects(touches.customer, touches.day, b.share_of_day(whom.region, touches.part), lift, pull)


def orders_expected(
    population: Population,
    state: State,
    effects: Effects,
    *,
    day: int,
    season: Season,
    between: tuple[type_f, type_f] | None = None,
) -> tuple[type_f, type_f]:
    """The rate summed over a day, or over the shares `between` of it, given no order since the state was taken.

    Returns:
        (n,) of the whole, and (n,) of the part that this very day's touches add.
    """
    n = len(population)
    low, high = between if between is not None else (np.zeros(n), np.ones(n))
    organic = b.organic_rate(population, state, day=day, season=season)
    share = high - low
    if not len(effects.customer):
        return organic * share, np.zeros(n)
    whom, today = effects.customer, effects.day == day
    seen = np.where(today, (high[whom] - np.maximum(low[whom], effects.share)).clip(min=0.0), share[whom])
    seen = seen * b.fading(day - effects.day)
    lifted = sums(whom, effects.lift * seen, n=n)
    pulled = sums(whom, effects.pull * seen, n=n)
    new = sums(whom[today], (effects.pull * seen)[today], n=n)
    return np.maximum(organic * (share + lifted), 0.0) + pulled, new


@dataclass(slots=True)
class Offers:
    """The newest action that each customer got, and when (in days): an order within REDEEM_DAYS redeems its offer."""

    action: type_i
    at: type_f

    @classmethod
    def none(cls, n: int) -> Offers:
        """Nobody got anything yet."""
        return cls(np.zeros(n, dtype=np.int64), np.full(n, -np.inf))


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders in time order of their days, and whether interest was lost on each simulated day."""

    customer: type_i
    day: type_i
    part: type_f  # of the UTC day
    redeemed: type_i  # the action whose offer the order redeems, 0 where none
    nth: type_i  # 1 for a customer's first
    has_lapsed: type_b  # (n_days, n_customers)


def draw_orders(
    rng: np.random.Generator,
    population: Population,
    state: State,
    *,
    first_day: int,
    n_days: int,
    season: Season,
    touches: Touches,
    offers: Offers,
    earlier: Effects,
) -> tuple[Orders, Effects]:
    """Draws the orders of `n_days` days, moving `state` and `offers` on.

    Returns:
        The orders, and the effects (those `earlier` among them) that may still be felt afterwards.
    """
    n = len(population)
    effects = earlier
    has_lapsed = np.empty((n_days, n), dtype=bool)
    found: list[tuple[type_i, type_i, type_f, type_i, type_i]] = []
    for day in range(first_day, first_day + n_days):
        now = touches.take(touches.day == day)
        effects = effects.still_felt(day).and_also(effects_of(now, population, state, season=season))
        offers.action[now.customer], offers.at[now.customer] = now.action, day + now.part
        has_lapsed[day - first_day] = day >= state.lapse_day
        expected, new = orders_expected(population, state, effects, day=day, season=season)
        ordered = np.flatnonzero(rng.random(n) < -np.expm1(-expected))
        buyers = population.take(ordered)
        share = rng.random(len(ordered))
        if len(now):
            start = np.zeros(n)
            start[now.customer] = b.share_of_day(population.region[now.customer], now.part)
            by_touch = rng.random(len(ordered)) * expected[ordered] < new[ordered]
            share = np.where(by_touch, start[ordered] + share * (1.0 - start[ordered]), share)
        part = b.part_of_day(buyers.region, share)
        waited = day + part - offers.at[ordered]
        redeemed = np.where((waited >= 0) & (waited < REDEEM_DAYS), offers.action[ordered], 0)
        state.last_order_day[ordered] = day
        state.n_orders[ordered] += 1
        state.lapse_day[ordered] = b.next_lapse_day(rng, buyers, day)
        found.append((ordered, np.full(len(ordered), day), part, redeemed, state.n_orders[ordered]))
    customer, days, part, redeemed, nth = (np.concatenate(column) for column in zip(*found, strict=True))
    return Orders(customer, days, part, redeemed, nth, has_lapsed), effects
