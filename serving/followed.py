"""What followed a decision: the outcomes that joined it, as its record and its page tell them."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import NamedTuple

_READ = (
    "SELECT outcome, goal, value, occurred_at, slot, joined_by, reason, retry_after_seconds, is_late IS 1, "
    "over_cap IS 1 FROM outcomes WHERE decision_id = ? AND is_machine IS NOT 1 ORDER BY occurred_at, received_at"
)


class Followed(NamedTuple):
    """One outcome of a decision.

    Attributes:
        outcome: what happened.
        goal: of a conversion, the brand's goal.
        value: in the brand's currency, where it has one.
        occurred_at_us: when, in microseconds since the epoch.
        slot: of the decision's list; None where it is of all of it.
        joined_by: decision_id, token, coupon or attribution_window.
        reason: of a refusal `not_now` or `never`, of a failure the provider's code.
        retry_after_seconds: of a failure, when the provider takes the next message.
        is_late: after the attribution window: kept, and counted for no rate.
        over_cap: its reservation was over when the customer saw it.
    """

    outcome: str
    goal: str | None
    value: float | None
    occurred_at_us: int
    slot: int | None
    joined_by: str
    reason: str | None
    retry_after_seconds: float | None
    is_late: int
    over_cap: int

    @property
    def occurred_at(self) -> datetime:
        """When it happened, UTC."""
        return datetime.fromtimestamp(self.occurred_at_us / 1e6, tz=UTC)

    def as_dict(self) -> dict[str, object]:
        """As JSON types; what it does not have, and a flag that is not up, is left out."""
        told: dict[str, object] = {
            "outcome": self.outcome,
            "goal": self.goal,
            "value": self.value,
            "occurred_at": self.occurred_at.isoformat(),
            "joined_by": self.joined_by,
        }
        more = {"slot": self.slot, "reason": self.reason, "retry_after_seconds": self.retry_after_seconds}
        told |= {name: value for name, value in more.items() if value is not None}
        return told | {name: True for name in ("is_late", "over_cap") if getattr(self, name)}

    @property
    def flags_in_words(self) -> str:
        """What a reader should know of it before they count it; empty where there is nothing."""
        said = (
            "not now" if self.reason == "not_now" else self.reason,
            "late: after the attribution window, counted for no rate" if self.is_late else None,
            "seen when its reservation was over" if self.over_cap else None,
        )
        return "; ".join(word for word in said if word)


def outcomes_of(connection: sqlite3.Connection, decision_id: str) -> list[Followed]:
    """What followed a decision, oldest first; what machines did is left out."""
    return [Followed(*row) for row in connection.execute(_READ, (decision_id,))]
