"""Plays days on: what the customers do of their own accord, and how they respond to the actions that they got."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from experiments.simulator import kinds as k
from experiments.simulator.answers import Talks, add_talks, draw_new_talks
from experiments.simulator.browsing import add_people, add_retargeting, add_visits, chat_channel
from experiments.simulator.ordering import Orders, Touches, draw_orders
from experiments.simulator.population import State, type_f, type_i
from experiments.simulator.purchases import add_purchases, add_refunds
from experiments.simulator.reacting import Reactions, draw_reactions, outcome_table
from experiments.simulator.tables import CAMPAIGNS, CHANNELS, DAY_US, EXPORT_SCHEMA, EventRows, instants
from features.faults import CallersMistake, closest_name

if TYPE_CHECKING:
    from experiments.simulator.world import World


@dataclass(frozen=True, slots=True)
class Exposure:
    """One action that a customer really got.

    Attributes:
        customer_id: as the export writes it.
        action_id: the action; "nothing" where nothing was said: that too is an exposure.
        at: an aware instant within the days that are played.
        channel: one of web, email, whatsapp, line; None for the customer's chat.
        is_personalised: False for the held-out arm.
    """

    customer_id: str
    action_id: str
    at: dt.datetime
    channel: str | None = None
    is_personalised: bool = True


@dataclass(frozen=True, slots=True)
class Week:
    """What happened.

    Attributes:
        events: in the export's columns.
        outcomes: of these days' exposures, in reacting.OUTCOME_SCHEMA.
        late_orders: customer_id, at, value of orders that follow only an exposure of an earlier call, because they came
            before this call's. They too lie in the window of the customer's first exposure.
    """

    events: pa.Table
    outcomes: pa.Table
    late_orders: pa.Table


@dataclass(frozen=True, slots=True)
class Given:
    """Exposures as arrays, in time order."""

    position: type_i  # in the sequence given
    customer: type_i
    action: type_i
    at_us: type_i
    day: type_i
    part: type_f
    channel: type_i
    is_personalised: np.ndarray

    @property
    def touches(self) -> Touches:
        """Every exposure as a touch, "nothing" too: it is felt as nothing."""
        return Touches(self.customer, self.action, self.day, self.part)


def play(world: World, exposures: Sequence[Exposure], *, days: int, seed: int) -> Week:
    """Plays `days` days from the world's now on, moving the world."""
    given = _given(world, exposures, days=days)
    stream = np.random.SeedSequence([world.plan.seed, 1 << 20, seed, world.day])
    rng = np.random.Generator(np.random.SFC64(stream))
    first_day, origin_us = world.day, world.plan.origin_us
    name = f"w{first_day}s{seed}"
    rows = EventRows(world.customer_ids, prefix=name)
    before = world.state.take(np.arange(len(world.population)))
    orders = _play_orders(world, rng, given, days=days)
    baskets, refunds = add_purchases(rows, rng, world.population, orders, origin_us=origin_us, order_prefix=f"A{name}")
    end_us = origin_us + world.day * DAY_US
    world.refunds = add_refunds(rows, world.refunds.and_also(refunds), end_us=end_us)
    span = {"first_day": first_day, "origin_us": origin_us}
    add_people(rows, world.population, n_days=days, **span)
    add_retargeting(rows, rng, world.population, n_days=days, **span)
    add_visits(rows, rng, world.population, has_lapsed=orders.has_lapsed, season=world.season, **span)
    talks = draw_new_talks(rng, world.population, n_days=days, **span)
    add_talks(rows, rng, world.population, talks, name=f"{name}-talk")

    ordered_at = instants(origin_us, orders.day, orders.part)
    whose, first_order = _join(given, orders.customer, ordered_at)
    people = world.population.take(given.customer)
    reactions = draw_reactions(
        rng,
        people,
        before.take(given.customer),
        given.touches,
        at_us=given.at_us,
        ordered_at_us=first_order,
        until_us=np.full(len(given.at_us), end_us),
        can_reply=given.channel != CHANNELS.index("email"),
        season=world.season,
    )
    _add_touches(rows, rng, world, given, reactions, name=name)
    joined = whose >= 0
    converted = (given.position[whose[joined]], ordered_at[joined], baskets.total[joined])
    outcomes = outcome_table(
        given.position,
        pa.array([exposure.customer_id for exposure in exposures], pa.string()),
        pa.array([exposure.action_id for exposure in exposures], pa.string()),
        reactions=reactions,
        converted=converted,
    )
    late = ~joined & world.exposed.is_exposed[orders.customer]
    late &= world.exposed.first_at_us[orders.customer] < ordered_at
    late_orders = pa.table(
        {
            "customer_id": world.customer_ids.take(pa.array(orders.customer[late])),
            "at": pa.array(ordered_at[late]).cast(pa.timestamp("us", tz="UTC")),
            "value": baskets.total[late],
        }
    )
    events = pa.concat_tables(rows.tables) if rows.tables else EXPORT_SCHEMA.empty_table()
    return Week(events.combine_chunks(), outcomes, late_orders)


def _given(world: World, exposures: Sequence[Exposure], *, days: int) -> Given:
    end = world.now + dt.timedelta(days=days)
    for exposure in exposures:
        if exposure.at.tzinfo is None or not world.now <= exposure.at < end:
            raise CallersMistake(
                f"Asked to expose '{exposure.customer_id}' at {exposure.at.isoformat()}, but the days played are "
                f"{world.now.isoformat()} … {end.isoformat()} (UTC, the end not included). Give an instant in them."
            )
        if exposure.channel is not None and exposure.channel not in CHANNELS:
            closest = closest_name(exposure.channel, CHANNELS)
            raise CallersMistake(
                f"Asked to expose '{exposure.customer_id}' on channel '{exposure.channel}', which the simulated brand "
                f"does not have. It has {', '.join(CHANNELS)}." + (f" Closest: '{closest}'." if closest else "")
            )
    at_us = np.array([world.microseconds(exposure.at) for exposure in exposures], dtype=np.int64)
    customer = world.index_of([exposure.customer_id for exposure in exposures])
    action = np.array([world.action_index(exposure.action_id) for exposure in exposures], dtype=np.int64)
    chat = chat_channel(world.population.take(customer))
    said = np.array([CHANNELS.index(e.channel) if e.channel is not None else -1 for e in exposures], dtype=np.int64)
    channel = np.where(said < 0, chat, said)
    is_personalised = np.array([exposure.is_personalised for exposure in exposures], dtype=bool)
    order = np.argsort(at_us, kind="stable")
    day, rest = np.divmod(at_us[order] - world.plan.origin_us, DAY_US)
    return Given(
        order, customer[order], action[order], at_us[order], day, rest / DAY_US, channel[order], is_personalised[order]
    )


def _play_orders(world: World, rng: np.random.Generator, given: Given, *, days: int) -> Orders:
    """One day at a time, so that the ledger of exposures sees the state in which each customer first met one."""
    parts: list[Orders] = []
    for day in range(world.day, world.day + days):
        today = given.day == day
        world.exposed.record(given, today, world.state)
        orders, world.effects = draw_orders(
            rng,
            world.population,
            world.state,
            first_day=day,
            n_days=1,
            season=world.season,
            touches=given.touches.take(today & (given.action > 0)),
            offers=world.offers,
            earlier=world.effects,
        )
        parts.append(orders)
    world.day += days
    names = ("customer", "day", "part", "redeemed", "nth")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return Orders(**columns, has_lapsed=np.concatenate([part.has_lapsed for part in parts]))


def _join(given: Given, customer: type_i, ordered_at: type_i) -> tuple[type_i, type_i]:
    """Each order's newest exposure before it (-1 where none), and each exposure's first such order (0 where none)."""
    latest = np.full(len(customer), -1)
    first = np.zeros(len(given.customer), dtype=np.int64)
    by_customer: dict[int, list[int]] = {}
    for number, whom in enumerate(given.customer.tolist()):
        by_customer.setdefault(whom, []).append(number)
    for number, (whom, at) in enumerate(zip(customer.tolist(), ordered_at.tolist(), strict=True)):
        for exposure in reversed(by_customer.get(whom, ())):
            if given.at_us[exposure] < at:
                latest[number] = exposure
                first[exposure] = at if not first[exposure] else min(first[exposure], at)
                break
    return latest, first


def _add_touches(
    rows: EventRows, rng: np.random.Generator, world: World, given: Given, reactions: Reactions, *, name: str
) -> None:
    said = given.action > 0
    for event, chosen, time in (
        ("Message Sent", said, given.at_us),
        ("Message Clicked", reactions.clicked, reactions.clicked_at),
        ("Message Replied", reactions.replied, reactions.replied_at),
    ):
        rows.add(
            event,
            customer=given.customer[chosen],
            time=time[chosen],
            campaign=CAMPAIGNS.index("rapport"),
            action_id=given.action[chosen],
            channel=given.channel[chosen],
        )
    quiz = reactions.replied & (given.action == k.ACTION_INDEX["skin_quiz"])
    talks = Talks(given.customer[quiz], given.day[quiz], reactions.replied_at[quiz])
    add_talks(rows, rng, world.population, talks, name=f"{name}-quiz")


class Exposed:
    """The ledger of exposures: everyone's first one, with the state in which it met them, then all of them."""

    def __init__(self, n: int) -> None:
        self.is_exposed = np.zeros(n, dtype=bool)
        self.is_personalised = np.zeros(n, dtype=bool)
        self.first_at_us = np.zeros(n, dtype=np.int64)
        self.state = State(np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64))
        self.touches = Touches.none()

    def record(self, given: Given, today: np.ndarray, state: State) -> None:
        """Writes down a day's exposures, before the day is played."""
        new = np.flatnonzero(today & ~self.is_exposed[given.customer])
        whom, at = np.unique(given.customer[new], return_index=True)
        first = new[at]
        self.is_exposed[whom] = True
        self.is_personalised[whom] = given.is_personalised[first]
        self.first_at_us[whom] = given.at_us[first]
        self.state.put(whom, state.take(whom))
        more = given.touches.take(today)
        self.touches = Touches(
            *(np.concatenate([getattr(self.touches, name), getattr(more, name)]) for name in Touches.__slots__)
        )
