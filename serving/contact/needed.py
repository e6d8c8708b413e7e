"""Of a customer's contacts those that can decide anything: a record does not grow with everything they were ever told.

A cap of k is judged by the k-th latest instant at which what it counts leaves the count. So of each of its counts the
k that leave last are enough, whatever is added to them within one request, and at every later instant. Calendar
windows end in the order of what lies in them, in every time zone; reservations, which leave at an instant of their
own, are kept by that instant beside what was exposed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from serving.contact.caps import COUNTED, CompiledCap
from serving.contact.facts import Contact

FEW = 16
"""So many are kept whatever they are: to look which decide would cost more than it saves."""


def needed(contacts: Sequence[Contact], caps: Iterable[CompiledCap]) -> tuple[Contact, ...]:
    """The contacts on which the verdict of any of the caps may rest, in the order in which they were given."""
    if len(contacts) <= FEW:
        return tuple(contacts)
    kept = {number for cap in caps for number in _of_cap(contacts, cap)}
    return tuple(contact for number, contact in enumerate(contacts) if number in kept)


def _of_cap(contacts: Sequence[Contact], cap: CompiledCap) -> Iterable[int]:
    counts: dict[tuple[str, bool], dict[object, tuple[int, int]]] = {}
    for number, contact in enumerate(contacts):
        if not cap.governs(contact.initiated_by):
            continue
        instant, is_open = _counted_by(contact, cap)
        about = contact.action_id, contact.channel, contact.tags
        if instant is None or not cap.is_about(*about):
            continue
        counted_as: object = contact.message if cap.is_of_messages else number
        for group in cap.groups(*about):
            latest = counts.setdefault((group, is_open), {})
            latest[counted_as] = max((instant, number), latest.get(counted_as, (instant, number)))
    for latest in counts.values():
        yield from (number for _, number in sorted(latest.values(), reverse=True)[: cap.cap.at_most])


def _counted_by(contact: Contact, cap: CompiledCap) -> tuple[int | None, bool]:
    """The instant by which it counts, and whether that is a reservation's end."""
    if cap.cap.counts == "exposure" and contact.exposed_at_us is None:
        return contact.open_until_us, True
    return getattr(contact, COUNTED[cap.cap.counts]), False
