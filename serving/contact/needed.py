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
"""So many of the newest are kept whatever they are: to look which decide would cost more than it saves."""


def needed(contacts: Sequence[Contact], caps: Iterable[CompiledCap]) -> tuple[Contact, ...]:
    """The contacts on which the verdict of any of the caps may rest, in the order in which they were given."""
    alike: dict[tuple[str, str, tuple[str, ...], str], list[int]] = {}
    for number, contact in enumerate(contacts):
        alike.setdefault((contact.action_id, contact.channel, contact.tags, contact.initiated_by), []).append(number)
    kept: set[int] = set()
    for cap in caps:
        about = [
            number
            for (action_id, channel, tags, initiated_by), numbers in alike.items()
            if cap.governs(initiated_by) and cap.is_about(action_id, channel, tags)
            for number in numbers
        ]
        kept.update(_of_cap(contacts, sorted(about), cap))
    return tuple(contact for number, contact in enumerate(contacts) if number in kept)


def _of_cap(contacts: Sequence[Contact], about: Sequence[int], cap: CompiledCap) -> Iterable[int]:
    """Those of the contacts that fall under a cap by which it may be judged."""
    counted = [(number, *_counted_by(contacts[number], cap)) for number in about]
    counted = [one for one in counted if one[1] is not None]
    if len(counted) <= cap.cap.at_most:
        return [number for number, _, _ in counted]
    counts: dict[tuple[str, bool], dict[object, tuple[int, int]]] = {}
    for number, instant, is_open in counted:
        contact = contacts[number]
        counted_as: object = contact.message if cap.is_of_messages else number
        for group in cap.groups(contact.action_id, contact.channel, contact.tags):
            latest = counts.setdefault((group, is_open), {})
            latest[counted_as] = max((instant or 0, number), latest.get(counted_as, (instant or 0, number)))
    latest_of = (sorted(latest.values(), reverse=True)[: cap.cap.at_most] for latest in counts.values())
    return [number for some in latest_of for _, number in some]


def _counted_by(contact: Contact, cap: CompiledCap) -> tuple[int | None, bool]:
    """The instant by which it counts, and whether that is a reservation's end."""
    if cap.cap.counts == "exposure" and contact.exposed_at_us is None:
        return contact.open_until_us, True
    return getattr(contact, COUNTED[cap.cap.counts]), False
