"""What would be left of budgets and coupon codes, had the changed catalogue decided from the first decision on.

A budget that gives away more, or less, changes what later decisions can take of it. So what each decision would take is
carried to those behind it, with the draws as they fell: the same catalogue takes what was taken. Beside that stands
what others took: before the first decision that is looked at, or in decisions that could not be made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec.structs import replace

from features.catalogue import NOTHING
from serving.contact.budgets import ENOUGH, Limit
from serving.contact.facts import POOL, Facts, Left, Returning
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.decide import Decision
from serving.replaying.recreating import Recorded


class Use:
    """What was, or would be, taken of each budget and pool, by its periods.

    Args:
        rules: what each action takes.
    """

    def __init__(self, rules: ContactRules) -> None:
        self._rules = rules
        self.units: Counter[tuple[str, int]] = Counter()
        self.amount: Counter[tuple[str, int]] = Counter()  # millionths of the currency's unit

    def add(self, said: Iterable[tuple[str, str]], *, at_us: int) -> None:
        """Actions, each on a channel, that were drawn."""
        periods = self._rules.periods(at_us)
        for action_id, channel in said:
            if action_id == NOTHING:
                continue
            for charge in self._rules.terms(action_id, channel).charges:
                key = (charge.budget, periods.get(charge.budget, 0))
                self.units[key] += charge.units
                self.amount[key] += charge.amount


class Carried:
    """Goes along with the past decisions, the oldest first.

    Args:
        rules: of the changed catalogue.
        rules_then: of the one in use, by which the recorded decisions took what they took.
    """

    def __init__(self, rules: ContactRules, rules_then: ContactRules) -> None:
        self._rules, self._then = rules, rules_then
        self.was, self.would_be = Use(rules_then), Use(rules)

    def facts(self, facts: Facts, at_us: int) -> Facts:
        """What a decision would have rested on: the recorded facts with what would be left by then."""
        periods, left = self._rules.periods(at_us), dict(facts.budgets)
        for name, limit in self._rules.limits.items():
            left.pop(name, None)
            if (mine := self._left(limit, periods[name], facts.budgets.get(name))) is not None:
                left[name] = mine
        for pool in self._rules.pools:
            key = (POOL + pool, 0)
            then = facts.budgets.get(key[0])
            if then is not None and then.units is not None and then.units < ENOUGH:
                left[key[0]] = then._replace(units=max(0, then.units + self.was.units[key] - self.would_be.units[key]))
        return replace(facts, budgets=left)

    def add(self, one: Recorded, again: Decision) -> None:
        """One decision: what it took, and what it would have taken."""
        at_us = to_us(one.at)
        if one.record["policy_parameters"]:  # an answer that is always given is none of what a budget is for
            self.was.add([(slot["action_id"], slot["channel"]) for slot in one.record["slots"]], at_us=at_us)
        if again.is_drawn:
            self.would_be.add([(slot.action_id, slot.channel) for slot in again.slots], at_us=at_us)

    def _left(self, limit: Limit, period: int, then: Left | None) -> Left | None:
        """What would be left of a budget; None where that is more than any request takes."""
        key, old = (limit.name, period), self._then.limits.get(limit.name)
        units, amount = self.would_be.units[key], self.would_be.amount[key]
        returning: tuple[Returning, ...] = ()
        if then is not None and old is not None and then.period_us == period:
            units += _by_others(old.units, then.units, ENOUGH, self.was.units[key])
            amount += _by_others(old.amount, then.amount, old.enough_amount, self.was.amount[key])
            returning = then.returning
        if limit.leaves_enough(units, amount):
            return None
        return Left(
            period,
            None if limit.units is None else max(0, min(ENOUGH, limit.units - units)),
            None if limit.amount is None else max(0, min(limit.enough_amount, limit.amount - amount)),
            returning,
        )


def _by_others(limit: int | None, left: int | None, enough: int, was: int) -> int:
    """What others had taken of a budget of which so much was left; from `enough` on that is not known."""
    return 0 if limit is None or left is None or left >= enough else limit - left - was
