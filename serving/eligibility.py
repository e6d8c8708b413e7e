"""Whether an action may be offered to this customer, here and now, by the catalogue's own rules.

An expression that needs a value nobody knows suppresses its action with `when_unknown`: unknown is neither true nor
false.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from features.catalogue import Action
from features.expressions import Expression, UnknownName

_CANONICAL = msgspec.json.Encoder(order="sorted")

NOT_YET_VALID = "not_yet_valid"
EXPIRED = "expired"
WHEN = "when"
WHEN_UNKNOWN = "when_unknown"
NOT_RENDERABLE = "not_renderable"


@dataclass(frozen=True)
class Suppressed:
    """An action that may not be offered: by which rule, why, and from when on it may be.

    What it tells of itself is made once: one such value stands in the records of many customers.
    """

    action_id: str
    rule: str
    detail: str = ""
    eligible_at: datetime | None = None
    channel: str = ""  # where several were asked for: the one on which it may not
    counter: Mapping[str, Any] | None = None  # the state of what was counted, where the rule counts

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return dict(self._told)

    @cached_property
    def recorded(self) -> msgspec.Raw:
        """As the record of a decision has it."""
        return msgspec.Raw(_CANONICAL.encode(self._told))

    @cached_property
    def _told(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "action_id": self.action_id,
            "rule": self.rule,
            "detail": self.detail,
            "eligible_at": self.eligible_at.isoformat() if self.eligible_at else None,
        }
        if self.channel:
            told["channel"] = self.channel
        if self.counter is not None:
            told["counter"] = dict(self.counter)
        return told


@dataclass(frozen=True, slots=True)
class Offerable:
    """An action of the catalogue with its expressions compiled and its validity in UTC.

    Attributes:
        days: the slots of which its texts tell the day only.
    """

    action: Action
    when: Expression | None
    slots: Mapping[str, Expression]
    valid_from: datetime | None
    valid_until: datetime | None
    days: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """The variables that its expressions may ask for."""
        of_slots = frozenset().union(*(expression.names for expression in self.slots.values()))
        return of_slots | (self.when.names if self.when else frozenset())


def as_utc(instant: datetime | None) -> datetime | None:
    """The same instant in UTC; one without a zone is UTC already."""
    if instant is None:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def out_of_season(offerable: Offerable, *, at: datetime) -> Suppressed | None:
    """Why the action's validity keeps it away at this instant, or None: `[valid_from, valid_until)`."""
    action_id = offerable.action.id
    if offerable.valid_from is not None and at < offerable.valid_from:
        return Suppressed(action_id, NOT_YET_VALID, eligible_at=offerable.valid_from)
    if offerable.valid_until is not None and at >= offerable.valid_until:
        return Suppressed(action_id, EXPIRED, detail=f"ended {offerable.valid_until.isoformat()}")
    return None


def ruled_out(offerable: Offerable, values: Mapping[str, object]) -> Suppressed | None:
    """Why the action's `when` keeps it away, or None where it holds or there is none.

    Args:
        offerable: the action.
        values: the variables that are known; an unknown one is left out.
    """
    if offerable.when is None:
        return None
    try:
        holds = offerable.when.evaluate(values)
    except UnknownName as unknown:
        return Suppressed(offerable.action.id, WHEN_UNKNOWN, detail=str(unknown))
    return None if holds is True else Suppressed(offerable.action.id, WHEN, detail=offerable.action.when or "")
