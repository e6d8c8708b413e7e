"""The true rates: how many orders a day a customer places of their own accord, and how an action changes that.

Everything here is conditional on *no order since the state was taken*. Between two orders the rates of a customer are a
known function of the day, so the probability of at least one order in any window is exactly 1 − exp(−Σ rate). The
history is drawn from these same functions.
"""

from __future__ import annotations

import numpy as np

from experiments.simulator import kinds as k
from experiments.simulator.calendar import REGIONS, Season
from experiments.simulator.population import Population, State, type_f, type_i

_HOURS = np.array(
    [1, 0.5, 0.3, 0.2, 0.3, 0.6, 1.2, 2, 3, 4, 4.5, 4.6, 5, 4.8, 4.2, 4, 4.2, 4.8, 5.6, 6.6, 7.4, 7.2, 5.2, 2.6]
)  # shopping by local hour


def _day_curve(offset_hours: float) -> type_f:
    """Cumulative share of a UTC day's orders at 97 quarter hours, 0 … 1."""
    minutes = np.repeat(_HOURS, 4)
    shifted = np.roll(minutes, -round(offset_hours * 4))
    return np.concatenate([[0.0], np.cumsum(shifted) / shifted.sum()])


_QUARTERS = np.linspace(0.0, 1.0, 97)
DAY_CURVES = np.stack([_day_curve(hours) for hours in (5.5, 7.0, 0.0)])


def share_of_day(region: type_i, part_of_day: type_f) -> type_f:
    """The share of a UTC day's orders that is placed before a part of the day, in [0, 1]."""
    shares = np.empty(len(region))
    for index in range(len(REGIONS)):
        mine = region == index
        shares[mine] = np.interp(part_of_day[mine], _QUARTERS, DAY_CURVES[index])
    return shares


def part_of_day(region: type_i, share: type_f) -> type_f:
    """The inverse of `share_of_day`: the moment by which a share of the day's orders is placed, in [0, 1)."""
    parts = np.empty(len(region))
    for index in range(len(REGIONS)):
        mine = region == index
        parts[mine] = np.interp(share[mine], DAY_CURVES[index], _QUARTERS)
    return parts.clip(max=1.0 - 1e-9)


def organic_rate(population: Population, state: State, *, day: int, season: Season) -> type_f:
    """Orders a day without any action, given no order since the state was taken."""
    column = population.kind * len(REGIONS) + population.region
    has_bought = state.n_orders > 0
    since = day - np.where(has_bought, state.last_order_day, population.signup_day)
    refills = (population.kind == k.LOYAL_REFILLER) & has_bought
    due = 0.08 + 2.6 / (1.0 + np.exp(-(since / population.cycle - 0.85).clip(-5.0, 5.0) / 0.08))
    rested = 1.0 - 0.7 * np.exp(-since / 10.0)
    fresh = 1.0 + 1.5 * np.exp(-since / 10.0)
    rhythm = np.where(refills, due, np.where(has_bought, rested, fresh))
    base = np.where(has_bought, k.REPEAT_RATE[population.kind], k.FIRST_ORDER_RATE[population.kind])
    base = np.where(refills, 1.0 / population.cycle, base)
    interest = np.where(day >= state.lapse_day, k.FADED, 1.0)
    stage = k.LIFE_STAGE_FACTOR[population.life_stage_on(day)]
    known = day >= population.signup_day
    rate: type_f = known * base * population.rate * rhythm * interest * stage * season.factor[day, column]
    return rate


def fit(population: Population, state: State, *, action: type_i, day: type_i, season: Season) -> type_f:
    """How well each customer's action fits the moment, 0 … 1.3: a reminder long before its time moves nobody."""
    n_orders = state.n_orders
    since = day - state.last_order_day
    tenure = day - population.signup_day
    in_cycle = (n_orders > 0) & (since > 0.6 * population.cycle) & (since < 2.0 * population.cycle)
    rules = {
        "welcome_hook": np.where((n_orders == 0) & (tenure < 60), 1.0, 0.15),
        "skin_quiz": np.where(n_orders <= 1, 1.0, 0.5),
        "first_order_coupon": np.where(n_orders == 0, 1.0, 0.1),
        "second_purchase_coupon": np.where(n_orders == 1, 1.0, 0.2),
        "loyalty_points": np.where(n_orders >= 2, 1.0, 0.2),
        "festival_offer": np.where(season.is_festive[day, population.region], 1.0, 0.25),
        "winback_offer": np.where((n_orders > 0) & (since > 90), 1.3, 0.2),
        "replenish_reminder": np.where(in_cycle, 1.0, 0.1),
    }
    fitting = np.ones(len(population))
    for name, rule in rules.items():
        fitting = np.where(action == k.ACTION_INDEX[name], rule, fitting)
    return np.where(action == 0, 0.0, fitting)


def effect(
    population: Population, state: State, *, action: type_i, day: type_i, season: Season
) -> tuple[type_f, type_f]:
    """What an action does at first: (lift, pull); the rate becomes organic · (1 + lift · fading) + pull · fading."""
    pull = k.PULL[population.kind, action] * fit(population, state, action=action, day=day, season=season)
    pull = np.where(population.do_not_disturb, 0.0, pull * population.sensitivity)
    lift = np.where(population.do_not_disturb & (action > 0), k.DO_NOT_DISTURB_LIFT, 0.0)
    return lift, pull


def fading(days_since: type_i) -> type_f:
    """How much of an action's effect is left after whole days."""
    left: type_f = np.exp(-days_since / k.EFFECT_DAYS)
    return np.where((days_since >= 0) & (days_since <= k.EFFECT_ENDS_AFTER_DAYS), left, 0.0)


def order_value_factor(action: type_i) -> type_f:
    """What is left of an order's value after the offer that it redeems."""
    factor: type_f = 1.0 - k.DISCOUNT[action]
    return factor


def click_probability(population: Population, state: State, *, action: type_i, day: type_i, season: Season) -> type_f:
    """P(the customer clicks a message), before knowing whether they will order."""
    _, pull = effect(population, state, action=action, day=day, season=season)
    chance = population.engagement * (0.035 + 7.0 * pull) * np.where(population.do_not_disturb, 0.3, 1.0)
    return np.where(action == 0, 0.0, chance.clip(0.0, 0.6))


def refusal_probability(population: Population, action: type_i) -> type_f:
    """P(the customer answers that they do not want this)."""
    return np.where(action == 0, 0.0, np.where(population.do_not_disturb, 0.09, 0.006))


def next_lapse_day(rng: np.random.Generator, population: Population, day: type_i | int) -> type_i:
    """When interest is lost after an order on `day`."""
    n = len(population)
    lasting = rng.exponential(k.LAPSE_AFTER[population.kind]).astype(np.int64) + 5
    return np.asarray(day + np.where(rng.random(n) < k.LEAVES_AT_ONCE[population.kind], 2, lasting))
