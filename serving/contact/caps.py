"""Frequency caps: so many contacts at most within a window, counted over facts and open reservations.

What was counted leaves the count at a known instant (its window closes, its reservation ends), so the k-th latest of
these instants is exactly when a customer at the cap of k may be spoken to again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from features.contact_policy import Cap, FrequencyCap, Period
from serving.contact.facts import Contact, Facts
from serving.contact.windows import period_of, to_instant

_LONGEST_DAYS: dict[Period, int] = {"day": 2, "week": 8, "month": 32}
_MICROSECOND = timedelta(microseconds=1)
COUNTED = {
    "decision": "decided_at_us",
    "exposure": "exposed_at_us",
    "click": "clicked_at_us",
    "conversion": "converted_at_us",
}


@dataclass(frozen=True, slots=True)
class CompiledCap:
    """One cap of brand.yaml or of an action, ready to be counted.

    Attributes:
        name: as answers call it.
        cap: its numbers.
        reaches_back: how far back its window may begin, at most.
        channels, tags, actions: what it is about; everything where empty.
        each: counted apart for each of these.

    What is said together counts once where the cap is of messages, not of actions or tags: five offers in one e-mail
    are one e-mail.
    """

    name: str
    cap: Cap
    reaches_back: timedelta
    channels: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    each: str | None = None
    rolling_us: int = 0  # 0 for a calendar window
    is_of_messages: bool = True

    @property
    def window(self) -> str:
        """The window in words."""
        if self.cap.calendar:
            return f"calendar {self.cap.calendar}"
        if self.cap.rolling_days:
            return f"rolling {self.cap.rolling_days:g} {'day' if self.cap.rolling_days == 1 else 'days'}"
        return f"rolling {self.cap.rolling_hours:g} {'hour' if self.cap.rolling_hours == 1 else 'hours'}"

    def governs(self, initiated_by: str) -> bool:
        """Whether it is about what is said where these speak first: those are counted, and those are limited."""
        return self.cap.governs in ("everyone", initiated_by)

    def is_about(self, action_id: str, channel: str, tags: Iterable[str]) -> bool:
        """Whether something that is said falls under it."""
        return (
            (not self.channels or channel in self.channels)
            and (not self.actions or action_id in self.actions)
            and (not self.tags or not self.tags.isdisjoint(tags))
        )

    def groups(self, action_id: str, channel: str, tags: Iterable[str]) -> tuple[str, ...]:
        """Under which of its counts something falls."""
        if self.each == "action":
            return (action_id,)
        if self.each == "channel":
            return (channel,)
        if self.each == "tag":
            return tuple(tag for tag in tags if not self.tags or tag in self.tags)
        return ("",)

    def leaves_at(self, facts: Facts, group: str, zone: ZoneInfo, *, but: tuple[str, str]) -> list[int]:
        """When each counted contact leaves the count, the latest first.

        Args:
            facts: whose contacts.
            group: one of `groups`.
            zone: the customer's, for calendar windows.
            but: the message that is being made just now, where whole messages are counted.
        """
        key = (self.name, group, but if self.is_of_messages else None)
        if (kept := facts.memo.get(key)) is not None:
            return kept  # type: ignore[no-any-return]
        latest: dict[object, int] = {}
        for number, contact in self._near(facts, group):
            if (leaves := self._counted_until(contact, group, zone)) is None:
                continue
            counted_as: object = contact.message if self.is_of_messages else number
            if counted_as != but:
                latest[counted_as] = max(leaves, latest.get(counted_as, leaves))
        found = facts.memo[key] = sorted(latest.values(), reverse=True)
        return found

    def _near(self, facts: Facts, group: str) -> Sequence[tuple[int, Contact]]:
        """The contacts that may count: of an action's count only that action's."""
        if self.each == "action":
            return facts.of_action(group)
        if len(self.actions) == 1:
            return facts.of_action(next(iter(self.actions)))
        return tuple(enumerate(facts.contacts))

    def since(self, at_us: int, zone: ZoneInfo) -> int:
        """When the window began that ends now."""
        if self.cap.calendar:
            return period_of(at_us, self.cap.calendar, zone).start_us
        return at_us - self.rolling_us

    def counter(self, counted: int, at_us: int, zone: ZoneInfo) -> dict[str, Any]:
        """The count as an answer tells it."""
        return {
            "cap": self.name,
            "counted": counted,
            "at_most": self.cap.at_most,
            "counts": self.cap.counts,
            "window": self.window,
            "since": to_instant(self.since(at_us, zone)).isoformat(),
        }

    def _counted_until(self, contact: Contact, group: str, zone: ZoneInfo) -> int | None:
        if self.cap.governs not in ("everyone", contact.initiated_by):
            return None
        if not self.is_about(contact.action_id, contact.channel, contact.tags):
            return None
        if self.each is not None and group not in self.groups(contact.action_id, contact.channel, contact.tags):
            return None
        if self.cap.counts == "exposure" and contact.exposed_at_us is None:
            return contact.open_until_us
        instant: int | None = getattr(contact, COUNTED[self.cap.counts])
        if instant is None or self.cap.calendar is None:
            return None if instant is None else instant + self.rolling_us
        return period_of(instant, self.cap.calendar, zone).end_us


def compiled(name: str, cap: Cap, *, of_action: str | None = None) -> CompiledCap:
    """A cap of brand.yaml with its filters, or one of an action."""
    rolling = cap.rolling
    rolling_us = (rolling or timedelta()) // _MICROSECOND
    back = rolling if rolling is not None else timedelta(days=_LONGEST_DAYS[cap.calendar or "month"])
    if isinstance(cap, FrequencyCap):
        channels, tags, actions = frozenset(cap.channels), frozenset(cap.tags), frozenset(cap.actions)
        is_of_messages = not tags and not actions and cap.each not in ("action", "tag")
        return CompiledCap(name, cap, back, channels, tags, actions, cap.each, rolling_us, is_of_messages)
    one = frozenset(() if of_action is None else (of_action,))
    return CompiledCap(name, cap, back, actions=one, rolling_us=rolling_us, is_of_messages=of_action is None)


def of_action(action_id: str, caps: Iterable[Cap]) -> tuple[CompiledCap, ...]:
    """The caps of one action, as answers call them: `hello.caps[1]`."""
    return tuple(
        compiled(f"{action_id}.caps[{number}]", cap, of_action=action_id) for number, cap in enumerate(caps, 1)
    )
