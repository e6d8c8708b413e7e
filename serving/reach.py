"""Whom the brand can speak to first: now, within a week, or not, and why, by channel and segment.

The rules of consent are `serving.contact`'s, as a decision uses them. What is added is where somebody is: a channel
with a session window is open for so long after they last wrote there, a web page can only show something to a visitor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from features.brand import Brand, Channel
from features.catalogue import Catalogue
from serving.contact.consent import EVERY_CHANNEL, missing_consent

NEVER = np.iinfo(np.int64).min
HOUR_US = 3_600_000_000
WEEK_US = 7 * 24 * HOUR_US
WEB_VISIT_US = HOUR_US // 2  # half an hour without an event ends a visit

NOW, THIS_WEEK = "now", "this_week"
NEVER_ON_CHANNEL, SESSION_CLOSED, NOT_THERE, HELD_OUT = "never_on_channel", "session_closed", "not_there", "held_out"
ON_NO_CHANNEL = "on_no_channel"

Flags = npt.NDArray[np.bool_]
Names = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class People:
    """Everybody whom the shop knows, one element a person in every array.

    Attributes:
        keys: of the survivors, ascending.
        segment: of the newest scores; None where they were not scored.
        is_held_out: whether they are kept from all personalisation.
        consents: for each channel, whether a consent on record stands.
        unsubscribed: for each channel, and for EVERY_CHANNEL, whether they have unsubscribed from it.
        last_seen_us: for each channel, when they last did something there, µs since the epoch; NEVER where never.
        resting: for each channel, the rule of the contact policy that keeps the brand from it now; None where none.
        rests_until_us: for each channel, until when it does, µs since the epoch; NEVER where nobody knows.
    """

    keys: npt.NDArray[np.int64]
    segment: Names
    is_held_out: Flags
    consents: Mapping[str, Flags]
    unsubscribed: Mapping[str, Flags]
    last_seen_us: Mapping[str, npt.NDArray[np.int64]]
    resting: Mapping[str, Names] = field(default_factory=dict)
    rests_until_us: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


def reach_of(people: People, *, brand: Brand, templated: Collection[str], at_us: int) -> dict[str, Any]:
    """How many can be reached, by channel and segment, as JSON types.

    Args:
        people: everybody.
        brand: whose channels they are.
        templated: channels on which something can be said first outside a session, by an approved template.
        at_us: now, µs since the epoch.
    """
    segments = sorted({segment for segment in people.segment.tolist() if segment is not None})
    states = {
        name: channel_states(people, name, channel, has_template=name in templated, at_us=at_us)
        for name, channel in brand.channels.items()
    }
    return {
        "n_customers": len(people.keys),
        "on_any_channel": _counts(_best(list(states.values()), len(people.keys))),
        "channels": [
            {"channel": name}
            | _counts(state)
            | {
                "segments": [
                    {"segment": segment} | _counts(state[people.segment == segment])
                    for segment in (*segments, None)
                    if bool((people.segment == segment).any())
                ]
            }
            for name, state in states.items()
        ],
    }


def channel_states(people: People, name: str, channel: Channel, *, has_template: bool, at_us: int) -> Names:
    """For each person `now`, `this_week`, or the reason why neither."""
    state = np.full(len(people.keys), NOW, dtype=object)
    consent = people.consents[name]
    unsubscribed = people.unsubscribed[name] | people.unsubscribed[EVERY_CHANNEL]
    if channel.consent == "session":
        state = _in_session(people.last_seen_us[name], consent, channel, has_template=has_template, at_us=at_us)
    if (resting := people.resting.get(name)) is not None:
        until_us = people.rests_until_us[name]
        rests = (resting != None) & np.isin(state, (NOW, THIS_WEEK))  # noqa: E711 (element by element)
        is_soon = (until_us != NEVER) & (until_us <= at_us + WEEK_US)
        state[rests & is_soon] = THIS_WEEK
        state[rests & ~is_soon] = resting[rests & ~is_soon]
    state[people.is_held_out & np.isin(state, (NOW, THIS_WEEK))] = HELD_OUT
    for has_consent, has_left in ((False, False), (False, True), (True, False), (True, True)):
        rule = missing_consent(
            channel,
            channel_name=name,
            initiated_by="brand",
            consents=(name,) if has_consent else (),
            unsubscribed=(name,) if has_left else (),
        )
        if rule is not None:
            state[(consent == has_consent) & (unsubscribed == has_left)] = rule
    return state


def _in_session(
    last_seen_us: npt.NDArray[np.int64], consent: Flags, channel: Channel, *, has_template: bool, at_us: int
) -> Names:
    """Of a channel whose consent is that the customer opened a session."""
    never = last_seen_us == NEVER
    age = np.where(never, np.iinfo(np.int64).max, at_us - np.where(never, 0, last_seen_us))
    window = channel.session_window_hours
    if channel.kind == "web":
        is_open, otherwise = age <= (WEB_VISIT_US if window is None else window * HOUR_US), NOT_THERE
    elif window is None or has_template:
        is_open, otherwise = ~never | consent, NEVER_ON_CHANNEL
    else:
        is_open, otherwise = age <= window * HOUR_US, SESSION_CLOSED
    closed = np.where(never & ~consent, NEVER_ON_CHANNEL, otherwise)
    state: Names = np.where(is_open, NOW, np.where(age <= WEEK_US, THIS_WEEK, closed)).astype(object)
    return state


def _best(states: Sequence[Names], n: int) -> Names:
    """For each person the best of all channels."""
    best = np.full(n, ON_NO_CHANNEL, dtype=object)
    for wanted in (HELD_OUT, THIS_WEEK, NOW):
        for state in states:
            best[state == wanted] = wanted
    return best


def _counts(state: Names) -> dict[str, Any]:
    found = Counter(state.tolist())
    now, this_week = found.pop(NOW, 0), found.pop(THIS_WEEK, 0)
    return {
        "reachable_now": now,
        "reachable_this_week": now + this_week,
        "not_reachable": sum(found.values()),
        "reasons": dict(sorted(found.items())),
    }


def templated_channels(brand: Brand, catalogue: Catalogue) -> frozenset[str]:
    """Channels on which an action with a template can be said where the brand speaks first."""
    first = {name: one for name, one in brand.placements.items() if one.initiated_by == "brand"}
    return frozenset(
        channel
        for action in catalogue.actions
        if action.templates
        for placement in action.placements
        if placement in first
        for channel in first[placement].channels
        if channel in action.channels
    )
