"""Budgets and pools of coupon codes: what each offer takes from them, and whether what is left pays for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from features.brand import Brand
from features.catalogue import Action, Catalogue
from features.contact_policy import Budget, Period
from serving.contact.blocks import BUDGET, NO_COUPON_CODE, Block
from serving.contact.facts import MILLION, POOL, Charge, Facts, Left, Terms
from serving.contact.windows import period_of, to_instant, zone_of

NEVER_USED = 2**62
ENOUGH = 1_000
"""No request takes more units than that: a budget with more left is as good as one with endless."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One budget: its own name, what it limits, and by which calendar it begins anew."""

    name: str
    units: int | None
    amount: int | None  # millionths of the currency's unit
    every: Period | None
    enough_amount: int  # as ENOUGH, in money

    def leaves_enough(self, units: int, amount: int) -> bool:
        """Whether so much use leaves more than any request takes."""
        has_units = self.units is None or self.units - units >= ENOUGH
        return has_units and (self.amount is None or self.amount - amount >= self.enough_amount)


@dataclass(frozen=True, slots=True)
class Present:
    """The present period of each budget, made ready to be asked about.

    Attributes:
        began: when the distinct periods began.
        periods: when each budget's did; 0: all time.
        scarce: budgets of which there was never enough.
        asked: of the scarce budgets, then of the others: their periods as JSON, and which use is of interest. What has
            been used less than that leaves enough.
    """

    began: tuple[int, ...]
    periods: dict[str, int]
    scarce: tuple[str, ...]
    asked: tuple[tuple[str, int, int], ...]


class Share(NamedTuple):
    """What saying an action on a channel counts as and takes, in the present periods.

    Attributes:
        tags: joined by commas.
        charges: budget, units, amount and when its period began.
        told: the charges, as JSON; None where there are none.
        pool: of coupon codes.
    """

    tags: str
    charges: tuple[tuple[str, int, int, int], ...]
    told: str | None
    pool: str | None


class Budgets:
    """A brand's budgets, those of its actions, and the pools that its incentives name, by name."""

    def __init__(self, brand: Brand, catalogue: Catalogue) -> None:
        self._brand = brand
        self._zone = zone_of(None, brand.time_zone)
        self._actions = {action.id: action for action in catalogue.actions}
        self._shared = brand.contact_policy.budgets
        dearest = {action.id: self._dearest(action) for action in catalogue.actions}
        most = max(dearest.values(), default=0)
        self.limits = {name: _limit(name, budget, most) for name, budget in self._shared.items()} | {
            name: _limit(name, action.budget, dearest[action.id])
            for action in catalogue.actions
            if action.budget is not None
            for name in (budget_of(action.id),)
        }
        incentives = [action.incentive for action in catalogue.actions if action.incentive is not None]
        self.pools = tuple(sorted({one.coupons for one in incentives if one.coupons is not None}))
        self._terms: dict[tuple[str, str], Terms] = {}
        self._periods: dict[Period, tuple[int, int]] = {}
        self._everies = tuple({limit.every: None for limit in self.limits.values() if limit.every})
        self._present: Present | None = None
        self._shares: tuple[Present | None, dict[tuple[str, str], Share]] = (None, {})

    def terms(self, action_id: str, channel: str) -> Terms:
        """What choosing an action on a channel counts as and takes from which budgets."""
        key = (action_id, channel)
        if (found := self._terms.get(key)) is None:
            found = self._terms[key] = self._terms_of(action_id, channel)
        return found

    def share(self, action_id: str, channel: str, *, at_us: int) -> Share:
        """As `terms`, at an instant: an action takes the same all day."""
        present = self.present(at_us)
        if self._shares[0] is not present:
            self._shares = (present, {})  # swapped whole: threads may share them
        shares = self._shares[1]
        if (found := shares.get((action_id, channel))) is None:
            terms = self.terms(action_id, channel)
            charges = tuple([(*one, present.periods.get(one.budget, 0)) for one in terms.charges])
            told = json.dumps(charges) if charges else None
            found = shares[action_id, channel] = Share(",".join(terms.tags), charges, told, terms.pool)
        return found

    def periods(self, at_us: int) -> dict[str, int]:
        """When the present period of each budget began; 0 for all time."""
        return self.present(at_us).periods

    def present(self, at_us: int) -> Present:
        """The present periods; those of the last call, until one of them ends."""
        began = tuple([self._period(every, at_us)[0] for every in self._everies])
        present = self._present
        if present is None or present.began != began:
            present = self._present = self._present_of(began)
        return present

    def _present_of(self, began: tuple[int, ...]) -> Present:
        of = dict(zip(self._everies, began, strict=True))
        periods = {name: of[limit.every] if limit.every else 0 for name, limit in self.limits.items()}
        scarce = {name: limit for name, limit in self.limits.items() if not limit.leaves_enough(0, 0)}
        others = [limit for name, limit in self.limits.items() if name not in scarce]
        units = min((one.units - ENOUGH for one in others if one.units is not None), default=NEVER_USED)
        amount = min((one.amount - one.enough_amount for one in others if one.amount is not None), default=NEVER_USED)
        asked = []
        if scarce:
            asked.append((json.dumps({name: periods[name] for name in scarce}), -NEVER_USED, -NEVER_USED))
        if others:
            asked.append((json.dumps({one.name: periods[one.name] for one in others}), units, amount))
        return Present(began, periods, tuple(scarce), tuple(asked))

    def spent(self, charge: Charge, facts: Facts, at_us: int) -> Block | None:
        """Why what is left does not pay for a charge at an instant; None where it does."""
        left, limit = facts.budgets.get(charge.budget), self.limits.get(charge.budget)
        if left is None:
            return None
        ends = None
        if limit is not None and limit.every is not None:
            period, ends = self._period(limit.every, at_us)
            if period != left.period_us:
                left = Left(period, limit.units, limit.amount)  # begun anew since the facts were read
        if _affords(left.at(at_us) if left.returning else left, charge):
            return None
        until = next((one.at_us for one in left.returning if _affords(left.at(one.at_us), charge)), None)
        if ends is not None and limit is not None and _affords(Left(0, limit.units, limit.amount), charge):
            until = ends if until is None else min(until, ends)
        is_pool = limit is None
        name = charge.budget.removeprefix(POOL)
        return Block(
            NO_COUPON_CODE if is_pool else BUDGET,
            f"no code is left in '{name}'" if is_pool else f"'{name}' is spent",
            until,
            _counter(name, charge, left, limit),
        )

    def _period(self, every: Period, at_us: int) -> tuple[int, int]:
        """The present period by the brand's clock: when it began, and when the next one does."""
        kept = self._periods.get(every)
        if kept is None or not kept[0] <= at_us < kept[1]:
            span = period_of(at_us, every, self._zone)
            kept = self._periods[every] = (span.start_us, span.end_us or 0)
        return kept

    def _terms_of(self, action_id: str, channel: str) -> Terms:
        action = self._actions.get(action_id)
        if action is None:  # a question that was made for the brand: nothing in any budget names it
            return Terms()
        amount = self._price(action, channel)
        names = [
            name
            for name, budget in self._shared.items()
            if (not budget.channels or channel in budget.channels)
            and (not budget.actions or action_id in budget.actions)
            and (not budget.tags or not set(budget.tags).isdisjoint(action.tags))
        ]
        if action.budget is not None:
            names.append(budget_of(action_id))
        charges = [Charge(name, 1, amount) for name in names]
        pool = action.incentive.coupons if action.incentive is not None else None
        if pool is not None:
            charges.append(Charge(POOL + pool, 1, 0))
        return Terms(tuple(action.tags), tuple(charges), pool)

    def _price(self, action: Action, channel: str) -> int:
        cost = action.incentive.cost if action.incentive is not None else 0.0
        return round((cost + self._brand.channels[channel].price) * MILLION)

    def _dearest(self, action: Action) -> int:
        return max(
            (self._price(action, channel) for channel in action.channels if channel in self._brand.channels), default=0
        )


def budget_of(action_id: str) -> str:
    """The name of an action's own budget."""
    return f"action:{action_id}"


def _affords(left: Left, charge: Charge) -> bool:
    has_units = left.units is None or left.units >= charge.units
    return has_units and (left.amount is None or left.amount >= charge.amount)


def _counter(name: str, charge: Charge, left: Left, limit: Limit | None) -> dict[str, Any]:
    if limit is None:
        return {"pool": name, "left": left.units}
    told: dict[str, Any] = {"budget": name, "window": f"calendar {limit.every}" if limit.every else "all time"}
    if limit.units is not None:
        told |= {"left_units": left.units, "at_most_units": limit.units}
    if limit.amount is not None:
        told |= {
            "left_amount": (left.amount or 0) / MILLION,
            "at_most_amount": limit.amount / MILLION,
            "cost": charge.amount / MILLION,
        }
    if limit.every:
        told["since"] = to_instant(left.period_us).isoformat()
    return told


def _limit(name: str, budget: Budget, dearest: int) -> Limit:
    amount = None if budget.amount is None else round(budget.amount * MILLION)
    return Limit(name, budget.units, amount, budget.every, enough_amount=ENOUGH * max(dearest, 1))
