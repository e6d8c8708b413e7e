"""What was done and what the changed catalogue would have done, added up over the past decisions.

Shares are of probabilities, not of draws: what the policy would do on average, without the luck of single draws.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from serving.contact.facts import MILLION
from serving.contact.rules import ContactRules
from serving.decide import Decision
from serving.replaying.recreating import Recorded
from serving.what_if.carrying import Use

NO_SEGMENT = "(none)"


@dataclass(slots=True)
class Side:
    """One of the two: as it was, or as it would have been."""

    shares: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by segment, of probability
    reached: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # customers, by action
    suppressed: Counter[tuple[str, str]] = field(default_factory=Counter)  # by action and rule


class Tallies:
    """Adds up pairs of a recorded decision and the same one by the changed catalogue."""

    def __init__(self, rules: ContactRules, use: Use) -> None:
        self._rules, self._use = rules, use
        self.was, self.would_be = Side(), Side()
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

    def budgets(self) -> Iterator[dict[str, Any]]:
        """Each budget with what would have been charged in its fullest period, beside its limit."""
        for name in sorted({name for name, _ in self._use.units}):
            limit = self._rules.limits.get(name)
            units = max(n for (budget, _), n in self._use.units.items() if budget == name)
            amount = max(n for (budget, _), n in self._use.amount.items() if budget == name) / MILLION
            told: dict[str, Any] = {
                "budget": name,
                "every": limit.every if limit else None,
                "units": units,
                "at_most_units": limit.units if limit else None,
                "amount": amount,
                "at_most_amount": None if limit is None or limit.amount is None else limit.amount / MILLION,
            }
            used = [told[what] / told[f"at_most_{what}"] for what in ("units", "amount") if told[f"at_most_{what}"]]
            yield told | {"used_share": max(used) if used else None}


def action_of(key: str) -> str:
    """The action of a distribution's key, whatever its channel."""
    return key.partition("@")[0]


def _add(side: Side, segment: str, customer_key: int, distribution: Mapping[str, float]) -> None:
    for key, probability in distribution.items():
        if probability > 0.0:
            action_id = action_of(key)
            side.shares[segment][action_id] += probability  # type: ignore[assignment]
            side.reached[action_id].add(customer_key)
