"""What a live event is to the ledger: a goal reached, a button or link pressed, a coupon redeemed.

What is an order to the features is a conversion to the proof: nobody has to report it twice. Two events with one order
id are one conversion, as they are one order. With a token or a coupon code it joins exactly its decision, the code's
first; without one the attribution window's newest.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from features.brand import Brand
from features.catalogue import Catalogue
from features.packing import EPOCH
from serving.contact.store import decision_of_code
from serving.ingest.following import Followed
from serving.joining.seen import seen_outcome_id
from serving.outcome_effects import CONVERTED, REDEEMED, REFUSED
from serving.outcome_rows import BY_COUPON, BY_TOKEN, BY_WINDOW, OutcomeRow, write_outcomes


class Reached(msgspec.Struct, frozen=True, gc=False):
    """A goal that an event reached."""

    goal: str
    value: float | None  # in the brand's currency
    order_key: str  # of the order, else of the event


class Happening(NamedTuple):
    """An event that moves the ledger.

    Attributes:
        customer_key: whose it is.
        is_named: whether the event itself says who it was, and not only on which device.
        occurred_us: when it happened, microseconds since the epoch.
        arrived_us: when it arrived.
        reached: the goals that it reached.
        followed: the decision that it followed, by a token or a code.
    """

    customer_key: int
    is_named: bool
    occurred_us: int
    arrived_us: int
    reached: tuple[Reached, ...]
    followed: Followed | None


class _Named(NamedTuple):
    decision_id: str
    slot: int
    joined_by: str


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

    def write(self, connection: sqlite3.Connection, happened: Sequence[Happening]) -> None:
        """Writes them once each: goals that were reached, and what buttons, links and coupon codes say.

        Args:
            connection: inside a transaction.
            happened: events that reached a goal or followed a decision.
        """
        write_outcomes(
            connection,
            [row for one in happened for row in _rows(connection, one)],
            attribution=self._attribution,
            goals_of=self._goals_of,
            default_goal=self._default_goal,
        )


def _rows(connection: sqlite3.Connection, one: Happening) -> Iterator[OutcomeRow]:
    by_coupon, by_token = _decisions_of(connection, one.followed)
    if by_coupon is not None and one.followed is not None:
        code = (one.followed.coupon_code or "").upper()  # however it was typed
        yield _row(one, by_coupon, outcome=REDEEMED, outcome_id=_id("redeemed", code, by_coupon.decision_id))
    if by_token is not None and one.followed is not None and one.followed.said is not None:
        said, outcome = one.followed.said, one.followed.outcome
        if outcome is not None:
            outcome_id = seen_outcome_id(one.followed.token or "", outcome, _instant(one.occurred_us))
            reason = said.reason if outcome == REFUSED else None
            is_machine = one.followed.is_machine
            row = _row(one, by_token, outcome=outcome, outcome_id=f"{outcome_id}-m" if is_machine else outcome_id)
            yield replace(row, reason=reason, is_machine=is_machine)
    for goal in one.reached:
        outcome_id = _id(goal.goal, str(one.customer_key), goal.order_key)
        row = _row(one, by_coupon or by_token, outcome=CONVERTED, outcome_id=outcome_id)
        yield replace(row, goal=goal.goal, value=goal.value)


def _row(one: Happening, decision: _Named | None, *, outcome: str, outcome_id: str) -> OutcomeRow:
    is_known = decision is None or one.is_named  # a device that nobody has signed in on may be the decision's customer
    return OutcomeRow(
        outcome_id=outcome_id,
        decision_id=decision.decision_id if decision else None,
        customer_key=one.customer_key if is_known else None,
        outcome=outcome,
        goal=None,
        value=None,
        occurred_at=_instant(one.occurred_us),
        received_at=_instant(one.arrived_us),
        slot=decision.slot if decision else None,
        joined_by=decision.joined_by if decision else BY_WINDOW,
    )


def _decisions_of(connection: sqlite3.Connection, followed: Followed | None) -> tuple[_Named | None, _Named | None]:
    """The decision that gave out the code, and the one whose button or link it was, as far as the ledger has them."""
    if followed is None:
        return None, None
    by_coupon = by_token = None
    if followed.coupon_code is not None and (found := decision_of_code(connection, followed.coupon_code)):
        by_coupon = _Named(found[0][0], found[0][1], BY_COUPON)
    if followed.said is not None:
        by_token = _Named(followed.said.decision_id, followed.said.slot, BY_TOKEN)
    return _if_there(connection, by_coupon), _if_there(connection, by_token)


def _if_there(connection: sqlite3.Connection, named: _Named | None) -> _Named | None:
    if named is None:
        return None
    query = "SELECT 1 FROM decisions WHERE decision_id = ?"
    return named if connection.execute(query, (named.decision_id,)).fetchone() else None


def _instant(us: int) -> datetime:
    return EPOCH + timedelta(microseconds=us)


def _amount(name: str | None, columns: Mapping[str, Any], properties: Mapping[str, Any]) -> float | None:
    said = None if name is None else columns.get(name, properties.get(name))
    is_amount = isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < float("inf")
    return float(said) if is_amount else None  # type: ignore[arg-type]  # is_amount says so


def _id(*said: str) -> str:
    joined = "\n".join(said)
    return f"e-{blake2b(joined.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"
