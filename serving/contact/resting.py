"""Whom the contact policy keeps from a channel as a whole just now, of everybody: for counts, not for decisions.

What is read is every contact that may still count and every provider's limit; whoever has neither rests, if at all,
by quiet hours only, which are the same for all of one time zone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from serving.contact.facts import CarrierLimit, Contact, Facts
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us

_CONTACTS = """
SELECT customer_key, decision_id, action_id, channel, initiated_by, decided_at, exposed_at, open_until, clicked_at,
       converted_at
FROM contacts WHERE initiated_by = ? AND latest_at > ?
"""
_LIMITS = "SELECT customer_key, channel, until, code FROM carrier_limits WHERE until > ?"


class Rest(NamedTuple):
    """The rule that keeps the brand from a channel, and until when (µs since the epoch); None: nobody knows."""

    rule: str
    until_us: int | None


class Resting:
    """Asks the rules about many people on whole channels.

    Args:
        connection: to read with.
        rules: the contact policy.
        at: now.
        owner_of: the survivor of each key that was joined into another.
    """

    def __init__(
        self, connection: sqlite3.Connection, rules: ContactRules, *, at: datetime, owner_of: Mapping[int, int]
    ) -> None:
        self._rules, self._at = rules, at
        self._facts = _facts_of_all(connection, rules, at_us=to_us(at), owner_of=owner_of)
        self._by_zone: dict[tuple[str, str | None], Rest | None] = {}

    @property
    def keys(self) -> frozenset[int]:
        """The people of whom something counts."""
        return frozenset(self._facts)

    def of_zone(self, channel: str, zone: str | None) -> Rest | None:
        """What holds for everybody of a time zone of whom nothing counts."""
        key = (channel, zone)
        if key not in self._by_zone:
            self._by_zone[key] = self._asked(channel, Facts(), zone)
        return self._by_zone[key]

    def of(self, customer_key: int, channel: str, zone: str | None) -> Rest | None:
        """What holds for one person."""
        facts = self._facts.get(customer_key)
        return self.of_zone(channel, zone) if facts is None else self._asked(channel, facts, zone)

    def _asked(self, channel: str, facts: Facts, zone: str | None) -> Rest | None:
        block = self._rules.rests(channel, facts, at=self._at, zone=zone)
        return None if block is None else Rest(block.rule, block.until_us)


def _facts_of_all(
    connection: sqlite3.Connection, rules: ContactRules, *, at_us: int, owner_of: Mapping[int, int]
) -> dict[int, Facts]:
    contacts: dict[int, list[Contact]] = {}
    limits: dict[int, list[CarrierLimit]] = {}
    for who, back_us in rules.counted(("brand",)):
        for key, decision_id, action_id, channel, *rest in connection.execute(_CONTACTS, (who, at_us - back_us)):
            said = Contact(decision_id, action_id, channel, (), *rest)
            contacts.setdefault(owner_of.get(key, key), []).append(said)
    for key, channel, until, code in connection.execute(_LIMITS, (at_us,)):
        limits.setdefault(owner_of.get(key, key), []).append(CarrierLimit(channel, until, code))
    return {
        key: Facts(contacts=tuple(contacts.get(key, ())), carrier_limits=tuple(limits.get(key, ())))
        for key in contacts.keys() | limits.keys()
    }
