"""A goal that is reached by a live event: the outcome `converted`, joined to a decision as any other.

What is an order to the features is a conversion to the proof: nobody has to report it twice. Two events with one order
id are one conversion, as they are one order.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Any

import msgspec

from features.brand import Brand
from features.catalogue import Catalogue
from features.packing import EPOCH
from serving.outcome_rows import CONVERTED, OutcomeRow, write_outcomes


class Reached(msgspec.Struct, frozen=True, gc=False):
    """A goal that an event reached."""

    goal: str
    value: float | None  # in the brand's currency
    order_key: str  # of the order, else of the event


class Goals:
    """Which goals an event of a brand reaches."""

    def __init__(self, brand: Brand) -> None:
        self._of_event: dict[str, list[tuple[str, str | None]]] = {}
        for name, goal in brand.goals.items():
            self._of_event.setdefault(goal.event, []).append((name, goal.value))

    def reached(
        self, event: str, *, message_id: str, columns: Mapping[str, Any], properties: Mapping[str, Any]
    ) -> tuple[Reached, ...]:
        """The goals that this event reaches; none for most."""
        goals = self._of_event.get(event)
        if goals is None:
            return ()
        order_key = columns.get("order_id") or message_id
        return tuple(Reached(goal, _amount(value, columns, properties), order_key) for goal, value in goals)


class Conversions:
    """Writes the goals that live events reached, inside the transaction that writes the events."""

    def __init__(self, brand: Brand, catalogue: Catalogue) -> None:
        self._attribution = timedelta(days=brand.rewards.attribution_days)
        self._goals_of = {action.id: action.goal for action in catalogue.actions}
        self._default_goal = next(iter(brand.goals))

    def write(self, connection: sqlite3.Connection, reached: Sequence[tuple[Reached, int, int, int]]) -> None:
        """Writes them once each.

        Args:
            connection: inside a transaction.
            reached: goal, customer_key, and when it happened and arrived, microseconds since the epoch.
        """
        rows = [
            OutcomeRow(
                outcome_id=_outcome_id(one, key),
                decision_id=None,
                customer_key=key,
                outcome=CONVERTED,
                goal=one.goal,
                value=one.value,
                occurred_at=EPOCH + timedelta(microseconds=occurred_us),
                received_at=EPOCH + timedelta(microseconds=arrived_us),
            )
            for one, key, occurred_us, arrived_us in reached
        ]
        write_outcomes(
            connection,
            rows,
            attribution=self._attribution,
            goals_of=self._goals_of,
            default_goal=self._default_goal,
        )


def _amount(name: str | None, columns: Mapping[str, Any], properties: Mapping[str, Any]) -> float | None:
    said = None if name is None else columns.get(name, properties.get(name))
    is_amount = isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < float("inf")
    return float(said) if is_amount else None  # type: ignore[arg-type]  # is_amount says so


def _outcome_id(one: Reached, customer_key: int) -> str:
    said = f"{one.goal}\n{customer_key}\n{one.order_key}"
    return f"e-{blake2b(said.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
