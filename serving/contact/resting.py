"""Whom the contact policy keeps from a channel as a whole just now, of everybody: for counts, not for decisions.

Of each customer the few newest contacts are read that a cap on messages may still count, by an index, and of whoever
was told more what decides: neither grows with the past. Whoever has no such contact and no provider's limit rests, if
at all, by quiet hours only, which are the same for all of one time zone.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from serving.contact.facts import CarrierLimit, Contact, Facts
from serving.contact.many import Person, contact_of, of_many, order
from serving.contact.needed import FEW
from serving.contact.rules import ContactRules
from serving.contact.windows import to_us

_MICROSECOND = timedelta(microseconds=1)
# From one customer to the next by the index, and of each so many of the newest: no contact besides is looked at.
_NEWEST = """
WITH RECURSIVE told (customer_key) AS (
    SELECT min(customer_key) FROM contacts
    UNION ALL
    SELECT (SELECT min(customer_key) FROM contacts WHERE customer_key > told.customer_key)
    FROM told WHERE told.customer_key IS NOT NULL
)
SELECT contacts.customer_key, decision_id, action_id, channel, tags, initiated_by, decided_at, exposed_at, open_until,
       clicked_at, converted_at
FROM told CROSS JOIN contacts ON contacts.customer_key = told.customer_key AND initiated_by = :who
 AND latest_at >= max(:since + 1, coalesce((
    SELECT newer.latest_at FROM contacts AS newer
    WHERE newer.customer_key = told.customer_key AND newer.initiated_by = :who
    ORDER BY newer.latest_at DESC LIMIT 1 OFFSET :few
 ), 0))
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
    contacts = _contacts_of_all(connection, rules, at_us=at_us, owner_of=owner_of)
    limits: dict[int, list[CarrierLimit]] = defaultdict(list)
    for key, channel, until, code in connection.execute(_LIMITS, (at_us,)):
        limits[owner_of.get(key, key)].append(CarrierLimit(channel, until, code))
    return {
        key: Facts(contacts=tuple(contacts.get(key, ())), carrier_limits=tuple(limits.get(key, ())))
        for key in contacts.keys() | limits.keys()
    }


def _contacts_of_all(
    connection: sqlite3.Connection, rules: ContactRules, *, at_us: int, owner_of: Mapping[int, int]
) -> dict[int, list[Contact]]:
    """By person, those on which a cap on messages may rest."""
    caps = rules.caps_on_writing
    if not caps:
        return {}
    since = at_us - max(cap.reaches_back for cap in caps) // _MICROSECOND
    whos = ("brand", "customer") if any(cap.governs("customer") for cap in caps) else ("brand",)
    contacts: dict[int, list[Contact]] = defaultdict(list)
    keys: dict[int, set[int]] = defaultdict(set)
    for who in whos:
        for key, *said in connection.execute(_NEWEST, {"who": who, "since": since, "few": FEW}):
            owner = owner_of.get(key, key)
            contacts[owner].append(contact_of(*said))
            keys[owner].add(key)
    for owner, mine in contacts.items():
        if len(mine) > FEW:
            person = Person(sorted(keys[owner]), at_us, ("brand",), n_chosen=1)
            contacts[owner] = list(of_many(connection, person, caps=caps))
        else:
            mine.sort(key=order)
    return contacts
