"""Of somebody who was told very much the contacts that may decide anything, found without reading all of them.

Whether a cap of k may be reached is known once k contacts are found that it may count, by an index and no further; of a
cap that nothing reaches no contact is needed, however many there are; of one that may be reached those that leave its
count last. So what is read is bounded by what the caps allow, and not by the past; but for caps that count apart by
channel or tag, of which it is what lies in their windows. The newest are kept beside, whatever they count for: they say
what a stricter cap would have kept away.

Invariant: the verdicts on what is found here, and the instants at which they end, are those on everything.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from serving.contact.caps import COUNTED, CompiledCap
from serving.contact.facts import Contact
from serving.contact.needed import FEW, needed

ALL = 2**62
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = (
    "decision_id, action_id, channel, tags, initiated_by, decided_at, exposed_at, open_until, clicked_at, converted_at"
)
_MINE = "customer_key = :key AND initiated_by = :who AND {counted} > :since"
_NEWEST = f"SELECT {_COLUMNS}, latest_at FROM contacts WHERE {_MINE} {{about}} ORDER BY latest_at DESC LIMIT :most"
_SO_MANY = f"SELECT count(*) FROM (SELECT 1 FROM contacts WHERE {_MINE} {{about}} LIMIT :most)"
_SO_MANY_OF_ACTIONS = (
    "SELECT value, (SELECT count(*) FROM (SELECT 1 FROM contacts INDEXED BY contacts_of_action "
    f"WHERE {_MINE} AND action_id = json_each.value LIMIT :most)) FROM json_each(:actions)"
)
_SO_MANY_OF_EACH = (
    f"SELECT action_id, count(*) FROM contacts INDEXED BY contacts_of_action WHERE {_MINE} GROUP BY action_id"
)
# Clicks and conversions are few, and have indexes of their own; the instant of anything else is not after latest_at.
_BY_ITS_OWN_INDEX = {"click": "clicked_at", "conversion": "converted_at"}
_OF_CHANNELS = "AND channel IN (SELECT value FROM json_each(:channels))"
_OF_ACTIONS = "AND action_id IN (SELECT value FROM json_each(:actions))"
_OF_TAGS = "AND EXISTS (SELECT 1 FROM json_each(:tags) WHERE instr(',' || tags || ',', ',' || value || ','))"


class Person(NamedTuple):
    """Whose contacts are looked at."""

    keys: Sequence[int]  # every key of theirs
    at_us: int  # when it is decided
    initiated_by: Collection[str]  # who speaks first in the places that are asked for
    n_chosen: int  # so many may be chosen in this request, at most


def contact_of(decision_id: str, action_id: str, channel: str, tags: str, *rest: Any) -> Contact:
    """A contact from its row."""
    return Contact(decision_id, action_id, channel, tuple(tags.split(",")) if tags else (), *rest)


def of_many(connection: sqlite3.Connection, person: Person, *, caps: Iterable[CompiledCap]) -> tuple[Contact, ...]:
    """The contacts of one person on which a verdict may rest, in the order in which they were decided.

    Args:
        connection: to read with.
        person: who has more than `FEW`.
        caps: all that govern these places.
    """
    caps, asking = list(caps), _Asking(connection, person)
    if not caps:
        return ()
    kept: set[Contact] = set()
    for who in {who for cap in caps for who in _counted(cap)}:
        earliest = max((cap for cap in caps if cap.governs(who)), key=lambda cap: cap.reaches_back)
        said = asking.newest(earliest, "", {}, whos=(who,), most=FEW, counted="latest_at")
        kept.update(contact for contact, _ in said)
    kept = set(sorted(kept, key=order, reverse=True)[:FEW])
    for cap, actions in asking.within_reach(caps):
        kept.update(needed(sorted(asking.of_cap(cap, actions), key=order), [cap]))
    return tuple(sorted(kept, key=order))


def order(contact: Contact) -> tuple[int, str, str, str]:
    """By which contacts are sorted: when they were decided."""
    return contact.decided_at_us, contact.decision_id, contact.action_id, contact.channel


class _Asking:
    """Asks about the contacts of one person, key by key and side by side: so that an index gives the newest first."""

    def __init__(self, connection: sqlite3.Connection, person: Person) -> None:
        self._connection, self._person = connection, person

    def within_reach(self, caps: Sequence[CompiledCap]) -> Iterator[tuple[CompiledCap, list[str]]]:
        """The caps that may be reached in this request, with the actions of which they may; none: of any."""
        alike: dict[tuple[object, ...], list[CompiledCap]] = defaultdict(list)
        for cap in caps:
            is_of_all = not (cap.tags or cap.channels) and cap.cap.counts not in _BY_ITS_OWN_INDEX
            if is_of_all and len(cap.actions) == 1:
                alike[cap.reaches_back, cap.cap.governs, cap.cap.at_most].append(cap)
            elif is_of_all and cap.each == "action" and not cap.actions:
                if actions := self._so_many(cap, _SO_MANY_OF_EACH, {}):
                    yield cap, actions
            elif self._has_so_many(cap):
                yield cap, []
        for some in alike.values():
            actions = sorted({action for cap in some for action in cap.actions})
            reached = self._so_many(some[0], _SO_MANY_OF_ACTIONS, {"actions": json.dumps(actions)})
            yield from ((cap, []) for cap in some if not cap.actions.isdisjoint(reached))

    def of_cap(self, cap: CompiledCap, actions: Sequence[str]) -> Iterable[Contact]:
        """The contacts by which a cap may be judged: those of its window, or where it has one count its newest."""
        about, named = _conditions(cap)
        if actions:
            about, named = _OF_ACTIONS, {"actions": json.dumps(actions)}
        most = 2 * cap.cap.at_most + FEW if cap.each is None else ALL
        while True:
            found = self.newest(cap, about, named, whos=_counted(cap), most=most, counted=_column(cap))
            contacts = [contact for contact, _ in found]
            if len(found) < most or self._is_settled(cap, contacts, unread_us=found[most - 1][1]):
                return contacts
            most *= 4

    def newest(
        self,
        cap: CompiledCap,
        about: str,
        named: dict[str, object],
        *,
        whos: Collection[str],
        most: int,
        counted: str,
    ) -> list[tuple[Contact, int]]:
        """The newest in the window of a cap, each with its latest instant, the latest first; so many of each key."""
        query = _NEWEST.format(counted=counted, about=about)
        rows = [
            row
            for asked in self._asked(cap, whos)
            for row in self._connection.execute(query, asked | named | {"most": most})
        ]
        return sorted([(contact_of(*row[:-1]), row[-1]) for row in rows], key=lambda one: one[1], reverse=True)

    def _is_settled(self, cap: CompiledCap, contacts: Sequence[Contact], *, unread_us: int) -> bool:
        """Whether those that were not read, of which nothing is later than that instant, leave the count before."""
        if unread_us > self._person.at_us:  # an open reservation may be among them
            return False
        column = COUNTED[cap.cap.counts]
        later = [one for one in contacts if (getattr(one, column) or 0) > unread_us]
        return len({one.message for one in later} if cap.is_of_messages else later) >= cap.cap.at_most

    def _has_so_many(self, cap: CompiledCap) -> bool:
        """Whether there are enough contacts of any kind, which an index alone says, and then of what it is about."""
        about, named = _conditions(cap)
        return self._counts(cap, "", {}) and (not about or self._counts(cap, about, named))

    def _counts(self, cap: CompiledCap, about: str, named: dict[str, object]) -> bool:
        query, most, n_contacts = _SO_MANY.format(counted=_column(cap), about=about), self._most(cap), 0
        for asked in self._asked(cap, _counted(cap)):
            n_contacts += self._connection.execute(query, asked | named | {"most": most}).fetchone()[0]
            if n_contacts >= most:
                return True
        return False

    def _so_many(self, cap: CompiledCap, query: str, named: dict[str, object]) -> list[str]:
        """The actions of which there are so many that the cap may be reached."""
        n_contacts: Counter[str] = Counter()
        most = self._most(cap)
        for asked in self._asked(cap, _counted(cap)):
            rows = self._connection.execute(query.format(counted="latest_at"), asked | named | {"most": most})
            n_contacts.update(dict(rows.fetchall()))
        return [action for action, n in n_contacts.items() if n >= most]

    def _asked(self, cap: CompiledCap, whos: Collection[str]) -> list[dict[str, object]]:
        since = self._person.at_us - cap.reaches_back // _MICROSECOND
        return [{"key": int(key), "who": who, "since": since} for key in self._person.keys for who in whos]

    def _most(self, cap: CompiledCap) -> int:
        """So many contacts may reach the cap, together with those of this request that come before its last."""
        return max(1, cap.cap.at_most - self._person.n_chosen + 1)


def _column(cap: CompiledCap) -> str:
    """The instant by which a contact's place in the window is looked up."""
    return _BY_ITS_OWN_INDEX.get(cap.cap.counts, "latest_at")


def _conditions(cap: CompiledCap) -> tuple[str, dict[str, object]]:
    """What a contact is that a cap is about, in SQL."""
    parts = {
        "channels": (_OF_CHANNELS, cap.channels),
        "actions": (_OF_ACTIONS, cap.actions),
        "tags": (_OF_TAGS, cap.tags),
    }
    asked = {name: (condition, of) for name, (condition, of) in parts.items() if of}
    named: dict[str, object] = {name: json.dumps(sorted(of)) for name, (_, of) in asked.items()}
    return " ".join(condition for condition, _ in asked.values()), named


def _counted(cap: CompiledCap) -> list[str]:
    return [who for who in ("brand", "customer") if cap.governs(who)]
