"""Of somebody who was told very much the contacts that may decide anything, found without reading all of them.

Whether a cap of k may be reached is known once k contacts are found that it may count, by an index and no further; of a
cap that nothing reaches no contact is needed, however many there are. So what is read is bounded by what the caps
allow, and by what lies in the windows of those that are reached: not by the past. The newest are kept beside, whatever
they count for: they say what a stricter cap would have kept away.

Invariant: the verdicts on what is found here, and the instants at which they end, are those on everything.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from serving.contact.caps import CompiledCap
from serving.contact.facts import Contact
from serving.contact.needed import FEW, needed

_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = (
    "decision_id, action_id, channel, tags, initiated_by, decided_at, exposed_at, open_until, clicked_at, converted_at"
)
_MINE = (
    "customer_key IN (SELECT value FROM json_each(:keys)) AND latest_at > :since "
    "AND initiated_by IN (SELECT value FROM json_each(:whos))"
)
_NEWEST = f"SELECT {_COLUMNS} FROM contacts WHERE {_MINE} ORDER BY latest_at DESC, decision_id, slot LIMIT :most"
_SO_MANY = f"SELECT count(*) FROM (SELECT 1 FROM contacts WHERE {_MINE} %s LIMIT :most)"
_SO_MANY_OF_ACTIONS = (
    "SELECT value FROM json_each(:actions) WHERE (SELECT count(*) FROM (SELECT 1 FROM contacts "
    f"INDEXED BY contacts_of_action WHERE {_MINE} AND action_id = json_each.value LIMIT :most)) >= :most"
)
_SO_MANY_OF_AN_ACTION = (
    f"SELECT action_id FROM contacts INDEXED BY contacts_of_action WHERE {_MINE} "
    "GROUP BY action_id HAVING count(*) >= :most"
)
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
    caps = list(caps)
    newest: dict[Contact, None] = {}
    found: dict[Contact, None] = {}
    reached: list[CompiledCap] = []
    if caps:
        earliest = max(caps, key=lambda cap: cap.reaches_back)
        everybody = {"whos": json.dumps(sorted({who for cap in caps for who in _counted(cap)}))}
        newest = _read(connection, _NEWEST, _asked(person, earliest) | everybody | {"most": FEW})
    for cap, actions in _within_reach(connection, person, caps):
        reached.append(cap)
        conditions, named = _conditions(cap)
        if actions:
            conditions, named = _OF_ACTIONS, {"actions": json.dumps(actions)}
        query = f"SELECT {_COLUMNS} FROM contacts WHERE {_MINE} {conditions}"
        found |= _read(connection, query, _asked(person, cap) | named)
    kept = {**newest, **dict.fromkeys(needed(sorted(found, key=order), reached))}
    return tuple(sorted(kept, key=order))


def order(contact: Contact) -> tuple[int, str, str, str]:
    """By which contacts are sorted: when they were decided."""
    return contact.decided_at_us, contact.decision_id, contact.action_id, contact.channel


def _within_reach(
    connection: sqlite3.Connection, person: Person, caps: Sequence[CompiledCap]
) -> Iterator[tuple[CompiledCap, list[str]]]:
    """The caps that may be reached in this request, with the actions of which they may; none: of any."""
    alike: dict[tuple[object, ...], list[CompiledCap]] = defaultdict(list)
    for cap in caps:
        if len(cap.actions) == 1 and not cap.tags and not cap.channels:
            alike[cap.reaches_back, cap.cap.governs, cap.cap.at_most].append(cap)
        elif cap.each == "action" and not (cap.actions or cap.tags or cap.channels):
            rows = connection.execute(_SO_MANY_OF_AN_ACTION, _asked(person, cap) | {"most": _most(cap, person)})
            if actions := [action for (action,) in rows]:
                yield cap, actions
        elif _has_so_many(connection, person, cap):
            yield cap, []
    for some in alike.values():
        actions = sorted({action for cap in some for action in cap.actions})
        named = _asked(person, some[0]) | {"most": _most(some[0], person), "actions": json.dumps(actions)}
        for (action,) in connection.execute(_SO_MANY_OF_ACTIONS, named).fetchall():
            yield from ((cap, []) for cap in some if action in cap.actions)


def _has_so_many(connection: sqlite3.Connection, person: Person, cap: CompiledCap) -> bool:
    """Whether there are enough contacts of any kind, which an index alone says, and then of those that it is about."""
    most = _most(cap, person)
    named = _asked(person, cap) | {"most": most}
    (n_contacts,) = connection.execute(_SO_MANY % "", named).fetchone()
    conditions, more = _conditions(cap)
    if n_contacts >= most and conditions:
        (n_contacts,) = connection.execute(_SO_MANY % conditions, named | more).fetchone()
    return bool(n_contacts >= most)


def _most(cap: CompiledCap, person: Person) -> int:
    """So many contacts may reach the cap, together with those of this request that come before its last."""
    return max(1, cap.cap.at_most - person.n_chosen + 1)


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


def _asked(person: Person, cap: CompiledCap) -> dict[str, object]:
    since = person.at_us - cap.reaches_back // _MICROSECOND
    return {"keys": json.dumps(list(person.keys)), "since": since, "whos": json.dumps(_counted(cap))}


def _counted(cap: CompiledCap) -> list[str]:
    return [who for who in ("brand", "customer") if cap.governs(who)]


def _read(connection: sqlite3.Connection, query: str, named: dict[str, object]) -> dict[Contact, None]:
    return {contact_of(*row): None for row in connection.execute(query, named)}
