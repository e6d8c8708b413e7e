"""What was done and what the changed catalogue would have done, added up over the past decisions.

Shares are of probabilities, not of draws: what the policy would do on average, without the luck of single draws.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.contact.budgets import Limit
from serving.contact.facts import MILLION
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us
from serving.decide import Decision
from serving.replaying.recreating import Recorded

NO_SEGMENT = "(none)"


@dataclass(slots=True)
class Side:
    """One of the two: as it was, or as it would have been."""

    shares: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by segment, of probability
    reached: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # customers, by action
    suppressed: Counter[tuple[str, str]] = field(default_factory=Counter)  # by action and rule


@dataclass(slots=True)
class Spent:
    """What one budget would have been charged, by its periods."""

    units: Counter[int] = field(default_factory=Counter)
    amount: Counter[int] = field(default_factory=Counter)


class Tallies:
    """Adds up pairs of a recorded decision and the same one by the changed catalogue."""

    def __init__(self, rules: ContactRules) -> None:
        self._rules = rules
        self.was, self.would_be = Side(), Side()
        self.spent: dict[str, Spent] = defaultdict(Spent)
        self.n_of_segment: Counter[str] = Counter()

    def add(self, one: Recorded, again: Decision) -> None:
        """One decision of somebody who is not held out."""
        record, segment = one.record, one.record["segment"] or NO_SEGMENT
        key = int(record["customer_key"])
        self.n_of_segment[segment] += 1
        _add(self.was, segment, key, record["distribution"])
        _add(self.would_be, segment, key, again.distribution.as_dict())
        self.was.suppressed.update((away["action_id"], away["rule"]) for away in record["suppressed"])
        self.would_be.suppressed.update((away.action_id, away.rule) for away in again.suppressed)
        self._charge(one, again)

    def _charge(self, one: Recorded, again: Decision) -> None:
        """What the first slot is expected to take from each budget."""
        probabilities, at_us = again.distribution.as_dict(), to_us(one.at)
        periods = self._rules.periods(at_us)
        for offer in again.prepared.offers:
            probability = probabilities.get(offer.key, 0.0)
            if probability <= 0.0:
                continue
            for charge in self._rules.terms(offer.action.id, offer.channel).charges:
                period = periods.get(charge.budget, 0)
                self.spent[charge.budget].units[period] += charge.units * probability  # type: ignore[assignment]
                self.spent[charge.budget].amount[period] += charge.amount * probability  # type: ignore[assignment]

    def budgets(self) -> Iterator[dict[str, Any]]:
        """Each budget with what would have been charged in its fullest period, beside its limit.

        Past decisions are made again by the counters of then, so what a budget keeps away is no suppression yet: the
        share of all that would be charged which is beyond the limits of its periods says how much that would be.
        """
        for name, spent in sorted(self.spent.items()):
            limit = self._rules.limits.get(name)
            units, amount = max(spent.units.values()), max(spent.amount.values()) / MILLION
            told: dict[str, Any] = {
                "budget": name,
                "every": limit.every if limit else None,
                "units": units,
                "at_most_units": limit.units if limit else None,
                "amount": amount,
                "at_most_amount": None if limit is None or limit.amount is None else limit.amount / MILLION,
            }
            used = [told[what] / told[f"at_most_{what}"] for what in ("units", "amount") if told[f"at_most_{what}"]]
            beyond = _beyond(spent, limit) if limit is not None else None
            yield told | {"used_share": max(used) if used else None, "beyond_share": beyond}


def _beyond(spent: Spent, limit: Limit) -> float | None:
    """Which share of what would be charged the periods' limits do not hold; None where there is no limit."""
    limited = [(spent.units, limit.units), (spent.amount, limit.amount)]
    shares = [
        sum(max(0.0, charged - at_most) for charged in by_period.values()) / total
        for by_period, at_most in limited
        if at_most is not None and (total := sum(by_period.values())) > 0
    ]
    return max(shares, default=None)


def action_of(key: str) -> str:
    """The action of a distribution's key, whatever its channel."""
    return key.partition("@")[0]


def _add(side: Side, segment: str, customer_key: int, distribution: Mapping[str, float]) -> None:
    for key, probability in distribution.items():
        if probability > 0.0:
            action_id = action_of(key)
            side.shares[segment][action_id] += probability  # type: ignore[assignment]
            side.reached[action_id].add(customer_key)
