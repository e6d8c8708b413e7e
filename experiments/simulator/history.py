"""The past of the brand: batches of customers, each simulated whole, each with random streams of its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from experiments.simulator.answers import add_talks, draw_talks
from experiments.simulator.browsing import (
    add_newcomers_advertisements,
    add_newsletters,
    add_people,
    add_retargeting,
    add_visits,
)
from experiments.simulator.calendar import Season, season
from experiments.simulator.campaigns import PROBABILITIES, add_messages, draw_campaign
from experiments.simulator.ordering import Effects, Offers, draw_orders
from experiments.simulator.population import Population, State, draw_population
from experiments.simulator.purchases import add_purchases, add_refunds
from experiments.simulator.tables import EventRows

BATCH = 10_000
EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated: `customers` over the `days` before midnight UTC of `end`, from one seed."""

    customers: int
    days: int
    seed: int
    end: dt.date

    @property
    def first(self) -> dt.date:
        """The world's first day."""
        return self.end - dt.timedelta(days=self.days)

    @property
    def origin_us(self) -> int:
        """The first day's midnight UTC, in microseconds since the epoch."""
        return (self.first - EPOCH).days * 86_400_000_000

    @property
    def end_us(self) -> int:
        """The instant after the last day."""
        return (self.end - EPOCH).days * 86_400_000_000


def customer_names(first: int, n: int) -> pa.Array:
    """The customers' ids as the shop writes them: 'C000042'."""
    digits = pc.utf8_lpad(pc.cast(pa.array(np.arange(first, first + n)), pa.string()), width=6, padding="0")
    return pc.binary_join_element_wise("C", digits, "")


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of customers: who they are, where they stand at the end, and their events by kind of event."""

    population: Population
    state: State
    tables: list[pa.Table]


def simulate_batches(plan: Plan) -> Iterator[Batch]:
    """Simulates the plan batch by batch."""
    seasons = season(plan.first, n_days=plan.days)
    for number, first in enumerate(range(0, plan.customers, BATCH)):
        yield _simulate_batch(plan, seasons, number=number, first=first, n=min(BATCH, plan.customers - first))


def _simulate_batch(plan: Plan, seasons: Season, *, number: int, first: int, n: int) -> Batch:
    streams = np.random.SeedSequence([plan.seed, number]).spawn(3)
    people, orders_rng, rng = (np.random.Generator(np.random.SFC64(stream)) for stream in streams)
    population = draw_population(people, n, n_days=plan.days)
    rows = EventRows(customer_names(first, n), prefix=f"h{number}")
    campaign = draw_campaign(rng, population, n_days=plan.days)
    before = State.at_the_beginning(population)
    state = State.at_the_beginning(population)
    orders, _ = draw_orders(
        orders_rng,
        population,
        state,
        first_day=0,
        n_days=plan.days,
        season=seasons,
        touches=campaign,
        offers=Offers.none(n),
        earlier=Effects.none(),
    )
    origin = plan.origin_us
    add_people(rows, population, first_day=0, n_days=plan.days, origin_us=origin)
    add_newcomers_advertisements(rows, rng, population, origin_us=origin)
    add_retargeting(rows, rng, population, first_day=0, n_days=plan.days, origin_us=origin)
    add_visits(rows, rng, population, has_lapsed=orders.has_lapsed, first_day=0, season=seasons, origin_us=origin)
    add_newsletters(rows, rng, population, first=plan.first, n_days=plan.days, origin_us=origin)
    talks = draw_talks(rng, population, n_days=plan.days, origin_us=origin)
    add_talks(rows, rng, population, talks, name=f"T{number}")
    add_messages(
        rows,
        rng,
        population,
        campaign,
        state=before,
        season=seasons,
        origin_us=origin,
        probabilities=PROBABILITIES,
    )
    _, refunds = add_purchases(rows, rng, population, orders, origin_us=origin, order_prefix=f"A{number}")
    add_refunds(rows, refunds, end_us=plan.end_us)
    return Batch(population, state, rows.tables)
