"""The latent truth of a simulated brand: every customer's true response to every action, known here and nowhere else.

`World` stands at an instant (`now`, a midnight UTC) and knows each customer's latent state then. It answers what would
happen (`order_probability`, `respond`, `true_uplift`) and plays days on (`simulate_week`), which moves it. Nothing
outside the simulator, the demo and the tests may read it: the architecture test of the simulator says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from experiments.simulator import behaviour as b
from experiments.simulator import kinds as k
from experiments.simulator.calendar import Season, season
from experiments.simulator.history import Batch, Plan, customer_names
from experiments.simulator.ordering import Effects, Offers, Touches, effects_of, orders_expected
from experiments.simulator.playing import Exposed, Exposure, Week, play
from experiments.simulator.population import Population, State, type_f, type_i
from experiments.simulator.purchases import Refunds
from experiments.simulator.responding import respond
from experiments.simulator.tables import DAY_US
from experiments.simulator.truth_files import read_truth, write_truth
from experiments.simulator.uplift import TrueUplift, true_uplift
from features.catalogue import NOTHING
from features.faults import CallersMistake, closest_name

PLAYABLE_DAYS = 400


class World:
    """The truth at an instant.

    Args:
        plan: what was simulated to get here.
        population: who the customers are.
        state: where they stand now.
        day: the world's day that begins now.
        effects: actions that may still be felt.
    """

    def __init__(self, plan: Plan, population: Population, state: State, *, day: int, effects: Effects) -> None:
        self.plan = plan
        self.population = population
        self.state = state
        self.day = day
        self.effects = effects
        self.offers = Offers.none(len(population))
        self.refunds = Refunds.none()
        self.exposed = Exposed(len(population))

    @classmethod
    def at_the_end(cls, plan: Plan, batches: Sequence[Batch]) -> World:
        """The world where the history ends."""
        population = Population.joined([batch.population for batch in batches])
        state = State(*(np.concatenate([getattr(batch.state, f.name) for batch in batches]) for f in fields(State)))
        return cls(plan, population, state, day=plan.days, effects=Effects.none())

    @classmethod
    def load(cls, folder: Path) -> World:
        """Reads the world that `rapport simulate` has left beside its export.

        Raises:
            CallersMistake: there is no truth in that folder.
        """
        plan, population, state = read_truth(folder)
        return cls(plan, population, state, day=plan.days, effects=Effects.none())

    def save(self, folder: Path) -> None:
        """Writes the truth where the history ends into the folder's `truth/`."""
        if self.day != self.plan.days:
            raise CallersMistake(
                f"Asked to save the world on day {self.day}, but only the end of the history, day {self.plan.days}, "
                f"can be saved: what was played since is in nobody's file. Save before simulate_week."
            )
        write_truth(folder, self.plan, self.population, self.state)

    @property
    def now(self) -> dt.datetime:
        """The instant at which the world stands: a midnight UTC."""
        return dt.datetime.combine(self.plan.first, dt.time(), dt.UTC) + dt.timedelta(days=self.day)

    @cached_property
    def customer_ids(self) -> pa.Array:
        """Every customer's id as the export writes it, in the population's order."""
        return customer_names(0, len(self.population))

    @cached_property
    def season(self) -> Season:
        """The season of the history and of the days that can still be played."""
        return season(self.plan.first, n_days=self.plan.days + PLAYABLE_DAYS)

    # -- what would happen ---------------------------------------------------------------------------------------

    def order_probability(
        self, customer_ids: Sequence[str], action_id: str | Sequence[str], at: dt.datetime, window_days: float = 7.0
    ) -> type_f:
        """The true P(at least one order in [at, at + window_days)) of each customer who gets the action at `at`.

        Conditional on the latent state now, with no order between now and `at`.

        Args:
            customer_ids: the export's ids; one may occur several times.
            action_id: one for all, or one a customer; "nothing" where nothing is said.
            at: an aware instant, not before `now`.
            window_days: length of the window, more than 0.
        """
        index, action = self.index_of(customer_ids), self.actions_of(action_id, len(customer_ids))
        at_all = np.full(len(index), self.microseconds(at))
        touches = self.touches(np.arange(len(index)), action, at_all)
        by_day = self.expected_by_day(index, touches, start_us=at_all, window_days=window_days)
        return np.asarray(-np.expm1(-by_day.sum(axis=0)))

    def expected_by_day(
        self,
        index: type_i,
        touches: Touches,
        *,
        start_us: type_i,
        window_days: float,
        state: State | None = None,
        earlier: Effects | None = None,
    ) -> type_f:
        """Orders expected a day of the window, given no order before: (n_days, n), partial days at both ends.

        Args:
            index: customers, by position in the population.
            touches: what they get in the window; its customers count within `index`.
            start_us: (n,) each one's start of the window.
            window_days: its length.
            state: theirs at the start; default their state now.
            earlier: effects still felt, by position in `index`; default those of the world now.
        """
        people = self.population.take(index)
        state = self.state.take(index) if state is None else state
        effects = self._felt_by(index) if earlier is None else earlier
        effects = effects.and_also(effects_of(touches, people, state, season=self.season))
        end_us = start_us + round(window_days * DAY_US)
        first, last = (int((us - self.plan.origin_us) // DAY_US) for us in (start_us.min(), end_us.max() - 1))
        self._check_day(last)
        rows = []
        for day in range(first, last + 1):
            low, high = (((us - self.plan.origin_us) / DAY_US - day).clip(0.0, 1.0) for us in (start_us, end_us))
            between = (b.share_of_day(people.region, low), b.share_of_day(people.region, high))
            expected, _ = orders_expected(people, state, effects, day=day, season=self.season, between=between)
            rows.append(expected)
        return np.stack(rows)

    def respond(
        self,
        customer_ids: Sequence[str],
        action_ids: str | Sequence[str],
        at: dt.datetime,
        rng: np.random.Generator,
        window_days: float = 7.0,
    ) -> pa.Table:
        """Draws what would come back from actions at `at` within the window, moving nothing.

        Returns:
            `reacting.OUTCOME_SCHEMA`: `exposure` is the position in `customer_ids`; at most one conversion each, the
            first order, whose probability is exactly `order_probability`.
        """
        return respond(self, customer_ids, action_ids, at=at, rng=rng, window_days=window_days)

    def simulate_week(self, start: dt.datetime, exposures: Sequence[Exposure], seed: int, *, days: int = 7) -> Week:
        """Plays the next `days` days with the actions given, moving the world on.

        Args:
            start: has to be `now`: days are played one after the other.
            exposures: the actions that customers get within these days, in any order.
            seed: of these days; the same world, exposures and seed give the same days.
            days: how many, at least 1.

        Raises:
            CallersMistake: the days do not follow on what was played, or an exposure is not of this world.
        """
        if start != self.now or days < 1:
            raise CallersMistake(
                f"Asked to play {days} days from {start.isoformat()}, but this world stands at {self.now.isoformat()}: "
                f"days are played one after the other, at least one at a time. Start there, or load the world anew."
            )
        self._check_day(self.day + days)
        return play(self, exposures, days=days, seed=seed)

    def true_uplift(
        self, customer_ids: Sequence[str] | None = None, *, baseline: str = NOTHING, window_days: float = 28.0
    ) -> TrueUplift:
        """The true absolute uplift in P(order within the window from the first exposure) of the actions really given.

        Args:
            customer_ids: default every customer whose first exposure was personalised.
            baseline: what held-out customers get instead, at the same instants.
            window_days: length of each customer's window.
        """
        return true_uplift(self, customer_ids=customer_ids, baseline=baseline, window_days=window_days)

    # -- from outside names to positions ---------------------------------------------------------------------------

    def index_of(self, customer_ids: Sequence[str]) -> type_i:
        """Positions in the population of customers by id.

        Raises:
            CallersMistake: an id is not of this world.
        """
        index = np.empty(len(customer_ids), dtype=np.int64)
        for position, customer_id in enumerate(customer_ids):
            number = customer_id[1:]
            if not (customer_id[:1] == "C" and number.isdigit() and int(number) < len(self.population)):
                raise CallersMistake(
                    f"Asked for customer '{customer_id}', who is not of this simulated world. Its customers are "
                    f"'{self.customer_ids[0]}' … '{self.customer_ids[-1]}': name one of them."
                )
            index[position] = int(number)
        return index

    def action_index(self, action_id: str) -> int:
        """The position of an action.

        Raises:
            CallersMistake: the simulated customers have no response to an action of that name.
        """
        if action_id not in k.ACTION_INDEX:
            closest = closest_name(action_id, k.ACTIONS)
            hint = f" Closest: '{closest}'." if closest else ""
            raise CallersMistake(
                f"Asked for the response to action '{action_id}', which the simulated customers do not know. "
                f"They respond to the starter's actions: {', '.join(k.ACTIONS)}.{hint}"
            )
        return k.ACTION_INDEX[action_id]

    def actions_of(self, action_id: str | Sequence[str], n: int) -> type_i:
        """Positions of one action for all `n`, or of one each."""
        if isinstance(action_id, str):
            return np.full(n, self.action_index(action_id))
        if len(action_id) != n:
            raise CallersMistake(
                f"Asked with {n} customers and {len(action_id)} actions; give one action for all or one a customer."
            )
        return np.array([self.action_index(name) for name in action_id], dtype=np.int64)

    def microseconds(self, at: dt.datetime) -> int:
        """The instant in microseconds since the epoch.

        Raises:
            CallersMistake: it has no time zone, or lies before `now`.
        """
        if at.tzinfo is None:
            raise CallersMistake(f"Asked for {at.isoformat()}, which has no time zone. Give an aware datetime, as UTC.")
        if at < self.now:
            raise CallersMistake(
                f"Asked for {at.isoformat()}, but this world already stands at {self.now.isoformat()}: what lies "
                f"before has happened. Ask for now or later, or load the world anew."
            )
        return round((at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1))

    def touches(self, customer: type_i, action: type_i, at_us: type_i) -> Touches:
        """Actions at instants as touches; "nothing" touches nobody."""
        said = action > 0
        day, rest = np.divmod(at_us - self.plan.origin_us, DAY_US)
        return Touches(customer[said], action[said], day[said], (rest / DAY_US)[said])

    def _check_day(self, day: int) -> None:
        if day >= self.plan.days + PLAYABLE_DAYS:
            raise CallersMistake(
                f"Asked for day {day}, but this world has a calendar of {PLAYABLE_DAYS} days after its history only. "
                f"Simulate a history that ends later."
            )

    def _felt_by(self, index: type_i) -> Effects:
        """The world's effects, by position in `index`."""
        if not len(self.effects.customer):
            return Effects.none()
        order = np.argsort(self.effects.customer, kind="stable")
        whose = self.effects.customer[order]
        low, high = np.searchsorted(whose, index), np.searchsorted(whose, index, side="right")
        count = high - low
        position = np.repeat(np.arange(len(index)), count)
        offset = np.arange(len(position)) - np.repeat(np.cumsum(count) - count, count)
        chosen = order[low[position] + offset]
        effects = self.effects
        return Effects(position, effects.day[chosen], effects.share[chosen], effects.lift[chosen], effects.pull[chosen])
