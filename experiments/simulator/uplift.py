"""The truth that a measured uplift is held against.

Estimand: for the personalised customers, P(at least one order in the `window_days` from the customer's own first
exposure), given the actions that they really got, minus the same probability for the same customers, had each of those
exposures been the baseline. Both are exact given the latent state at the first exposure; nothing is sampled.

"Given the actions" takes them as they were given, in time. A policy that looks at what customers did may have chosen a
later action because of an order before it; for whoever has ordered the window is decided, but the formula still counts
that later action, so it is the uplift of *this list of actions*, very near the policy's own (docs/simulator.md has the
size of the difference).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from experiments.simulator.ordering import Effects, Touches
from experiments.simulator.population import type_f, type_i
from features.catalogue import NOTHING
from features.faults import CallersMistake

if TYPE_CHECKING:
    from experiments.simulator.world import World


@dataclass(frozen=True, slots=True)
class TrueUplift:
    """The true uplift over some customers.

    Attributes:
        n_customers: how many.
        order_rate: mean P(at least one order in the window), given the actions that they got.
        baseline_order_rate: the same, had they got the baseline.
    """

    n_customers: int
    window_days: float
    order_rate: float
    baseline_order_rate: float

    @property
    def absolute_uplift(self) -> float:
        """The difference, as a share of customers."""
        return self.order_rate - self.baseline_order_rate

    @property
    def relative_uplift(self) -> float:
        """The difference over the baseline's rate."""
        return self.absolute_uplift / self.baseline_order_rate


def true_uplift(
    world: World, *, customer_ids: Sequence[str] | None = None, baseline: str = NOTHING, window_days: float = 28.0
) -> TrueUplift:
    """The true uplift over the exposed customers of the played days; see the module's docstring for the estimand."""
    exposed = world.exposed
    if customer_ids is None:
        index = np.flatnonzero(exposed.is_exposed & exposed.is_personalised)
        asked = "of the personalised customers"
    else:
        index, asked = world.index_of(customer_ids), f"over {len(customer_ids)} customers"
    unexposed = int((~exposed.is_exposed[index]).sum())
    if not len(index) or unexposed:
        raise CallersMistake(
            f"Asked for the true uplift {asked}, but {unexposed or 'all'} of them got nothing at all in the days "
            f"played. An uplift needs exposures: give them to simulate_week first (the action 'nothing' is one too)."
        )
    given = order_probability_as_given(world, index, window_days=window_days, instead=None)
    without = order_probability_as_given(world, index, window_days=window_days, instead=world.action_index(baseline))
    return TrueUplift(len(index), window_days, float(given.mean()), float(without.mean()))


def order_probability_as_given(world: World, index: type_i, *, window_days: float, instead: int | None) -> type_f:
    """P(at least one order in each customer's window) with the actions given, or with `instead` in their place."""
    exposed = world.exposed
    position = np.full(len(world.population), -1)
    position[index] = np.arange(len(index))
    mine = exposed.touches.take(position[exposed.touches.customer] >= 0)
    action = mine.action if instead is None else np.full(len(mine), instead)
    touches = Touches(position[mine.customer], action, mine.day, mine.part).take(action > 0)
    by_day = world.expected_by_day(
        index,
        touches,
        start_us=exposed.first_at_us[index],
        window_days=window_days,
        state=exposed.state.take(index),
        earlier=Effects.none(),
    )
    return np.asarray(-np.expm1(-by_day.sum(axis=0)))
