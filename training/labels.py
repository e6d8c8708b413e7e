"""What happened next: labels over half-open windows [as_of, as_of + horizon)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.faults import CallersMistake

if TYPE_CHECKING:
    from features.workspace import Workspace

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The half-open stretch [start, end) of time that a label looks at.

    Two windows that meet share no instant: an order at `end` belongs to the next one.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"A window's ends know their time zone; got {self.start} and {self.end}.")
        if self.end <= self.start:
            raise ValueError(f"A window ends after it starts; got {self.start} to {self.end}.")

    def holds(self, instant: datetime) -> bool:
        """Whether the instant lies in it."""
        return self.start <= instant < self.end

    def is_closed_by(self, instant: datetime) -> bool:
        """Whether everything in it has happened when one stands at `instant`."""
        return self.end <= instant

    def as_list(self) -> list[str]:
        """Both ends as ISO dates, for model.json."""
        return [self.start.isoformat(), self.end.isoformat()]


def label_window(as_of: datetime, horizon_days: int) -> Window:
    """What a label of this horizon looks at, standing at `as_of`."""
    if horizon_days < 1:
        raise ValueError(f"Asked for a horizon of {horizon_days} days; a horizon is at least one day.")
    return Window(as_of, as_of + timedelta(days=horizon_days))


def require_closed(window: Window, *, known_until: datetime) -> None:
    """Refuses a label whose window is still open.

    Raises:
        CallersMistake: with the day on which the window closes, and the newest as_of that would do.
    """
    if window.is_closed_by(known_until):
        return
    days = (window.end - window.start).days
    newest = known_until - timedelta(days=days)
    raise CallersMistake(
        f"Asked for a {days}-day label as of {window.start:%Y-%m-%d}, but events end on {known_until:%Y-%m-%d}. "
        f"The window closes on {window.end:%Y-%m-%d}; use an as_of of {newest:%Y-%m-%d} or earlier, or wait."
    )


@dataclass(frozen=True, slots=True)
class Orders:
    """Every order known by an instant: whose, and when; by rising time.

    Two events with one order id are one order, at the time of the one that was known first, as everywhere in features.

    Attributes:
        customer_keys: shape `(n,)`; of customers who are known to be one person today, the survivor's.
        at_us: shape `(n,)`, microseconds since the epoch, UTC.
        joined: every key that was joined into another customer, and the survivor's.
    """

    customer_keys: NDArray[np.int64]
    at_us: NDArray[np.int64]
    joined: Mapping[int, int] = field(default_factory=dict)

    def customers_within(self, window: Window) -> NDArray[np.int64]:
        """Keys, rising, of customers with an order in the window; of a person with several keys, all of them."""
        start, end = self._places(window)
        ordered = np.unique(self.customer_keys[start:end])
        if not self.joined:
            return ordered
        persons = set(ordered.tolist())
        others = [key for key, person in self.joined.items() if person in persons]
        return np.union1d(ordered, np.asarray(others, dtype=np.int64))

    def n_within(self, window: Window) -> int:
        """How many orders were made in the window."""
        start, end = self._places(window)
        return end - start

    def _places(self, window: Window) -> tuple[int, int]:
        start, end = np.searchsorted(self.at_us, [_us(window.start), _us(window.end)], side="left")
        return int(start), int(end)

    @property
    def first_at(self) -> datetime | None:
        """When the first was made; None where there is none."""
        return EPOCH + timedelta(microseconds=int(self.at_us[0])) if len(self.at_us) else None


def read_orders(workspace: Workspace, *, event: str, known_until: datetime) -> Orders:
    """The orders in the lake and in the event log that had happened, and were known, before an instant."""
    import duckdb

    from features.lake import Lake
    from features.owners import persons, persons_table
    from features.snapshots import event_log_table

    joined = persons(workspace)
    log = event_log_table(workspace)  # before the lake: a sync in between hides nothing
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'; SET threads=2; SET memory_limit='3GB'")
        Lake(workspace.lake).register(connection, as_of=known_until)
        connection.register("log_events", log)
        connection.register("joined", persons_table(joined))
        asked = {"event": event} | ({"until": known_until.replace(tzinfo=None)} if log.num_rows else {})
        found = connection.execute(ORDERS.format(logged=LOGGED if log.num_rows else ""), asked).fetchnumpy()
    keys, at_us = (np.asarray(found[name], dtype=np.int64) for name in ("customer_key", "at_us"))
    return Orders(keys, at_us, joined)


ORDERS = """
    WITH known AS (
        SELECT customer_key, event_id, order_id, occurred_at, received_at FROM events WHERE event = $event
        {logged}
    )
    SELECT coalesce(person, customer_key) AS customer_key,
           epoch_us(min({{'known_at': greatest(occurred_at, received_at), 'at': occurred_at}}).at) AS at_us
    FROM known LEFT JOIN joined ON customer_key = from_key
    GROUP BY 1, coalesce(order_id, event_id) ORDER BY at_us, 1
"""
# Of a log that holds anything: what is in both is looked for among the lake's orders alone.
LOGGED = """
        UNION ALL
        SELECT customer_key, event_id, order_id, occurred_at, received_at FROM log_events
        WHERE event = $event AND occurred_at < $until AND received_at < $until
          AND event_id NOT IN (SELECT event_id FROM events WHERE event = $event)
"""


def _us(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def label(customer_keys: NDArray[np.int64], *, happened: NDArray[np.int64]) -> NDArray[np.uint8]:
    """1 for each customer to whom it happened, else 0; in the order of `customer_keys`."""
    return np.isin(customer_keys, happened).astype(np.uint8)


def base_rate(labels: NDArray[np.uint8] | Sequence[int]) -> float:
    """The share of ones."""
    return float(np.mean(labels))
