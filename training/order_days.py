"""Who ordered on which day, for how much: one row a customer and day, the unit in which the literature counts orders.

Days are the brand's (its time zone), and several orders of a customer on one day are one row: repeat buying is modelled
and judged in customer-days. Cutoffs are whole days: what is known as of a day is what happened on the days before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from training.repeat_buying import DAYS_A_WEEK, History

if TYPE_CHECKING:
    from features.workspace import Workspace

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]

EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Buyers:
    """What is known of everyone who ordered before a day; shapes `(n,)`, by rising key.

    Attributes:
        keys: of the customers.
        n_days: on how many days they ordered.
        first_ago, last_ago: days from their first and last order to the cutoff, at least 1.
        revenue: of all those days, in the brand's currency.
        n_valued: on how many days they ordered for more than nothing.
        n_recent: on how many of the last 90 days they ordered, then of the last 365; shape `(n, 2)`.
    """

    keys: Keys
    n_days: Floats
    first_ago: Floats
    last_ago: Floats
    revenue: Floats
    n_valued: Floats
    n_recent: Floats

    def history(self) -> History:
        """In weeks, as the models of repeat buying want it."""
        return History(
            x=self.n_days - 1.0,
            t_x=(self.first_ago - self.last_ago) / DAYS_A_WEEK,
            T=self.first_ago / DAYS_A_WEEK,
        )

    def mean_value(self) -> Floats:
        """What an order-day of more than nothing brought on average; 0 where there was none."""
        return np.asarray(self.revenue / np.maximum(self.n_valued, 1.0))


@dataclass(frozen=True, slots=True)
class OrderDays:
    """Every day on which a customer ordered, by rising day; shapes `(n,)`.

    Attributes:
        customer_keys: whose; of customers who are known to be one person, the survivor's.
        days: since 1970-01-01 in the brand's time zone.
        amounts: what the day's orders came to; 0 where no amount is known.
    """

    customer_keys: Keys
    days: Keys
    amounts: Floats

    @classmethod
    def of(cls, customer_keys: Keys, days: Keys, amounts: Floats) -> OrderDays:
        """Of orders in any order, several a day or not; a day's amounts are summed by size, whoever read them first."""
        keys, at = np.asarray(customer_keys, dtype=np.int64), np.asarray(days, dtype=np.int64)
        order = np.lexsort((amounts, keys, at))
        keys, at = keys[order], at[order]
        is_first = np.append(np.ones(len(keys[:1]), dtype=bool), (np.diff(at) != 0) | (np.diff(keys) != 0))
        known = np.nan_to_num(np.asarray(amounts, dtype=np.float64), nan=0.0)[order]
        return cls(keys[is_first], at[is_first], _total(np.cumsum(is_first) - 1, known, n=int(is_first.sum())))

    def before(self, day: int) -> OrderDays:
        """Those that were known as of a day."""
        end = int(np.searchsorted(self.days, day, side="left"))
        return OrderDays(self.customer_keys[:end], self.days[:end], self.amounts[:end])

    def buyers(self, day: int) -> Buyers:
        """What was known of everyone who ordered before a day."""
        known = self.before(day)
        keys, place = np.unique(known.customer_keys, return_inverse=True)
        ago = (day - known.days).astype(np.float64)
        first, last = np.zeros(len(keys)), np.full(len(keys), np.inf)
        np.maximum.at(first, place, ago)
        np.minimum.at(last, place, ago)

        def total(weights: Floats) -> Floats:
            return _total(place, weights, n=len(keys))

        return Buyers(
            keys,
            total(np.ones(len(place))),
            first,
            last,
            total(np.maximum(known.amounts, 0.0)),
            total((known.amounts > 0).astype(np.float64)),
            np.column_stack([total((ago <= reach).astype(np.float64)) for reach in (90, 365)]),
        )

    def within(self, keys: Keys, *, day: int, horizon_days: int) -> tuple[Floats, Floats]:
        """How many order-days and how much spend each customer had in `[day, day + horizon)`; each of shape `(n,)`.

        Args:
            keys: of the customers, rising.
            day: on which the window begins.
            horizon_days: its length.
        """
        start, end = np.searchsorted(self.days, [day, day + horizon_days], side="left")
        whose, amounts = self.customer_keys[start:end], np.maximum(self.amounts[start:end], 0.0)
        place = np.searchsorted(keys, whose)
        asked = place < len(keys)
        asked[asked] = keys[place[asked]] == whose[asked]
        place, n = place[asked], len(keys)
        return _total(place, np.ones(len(place)), n=n), _total(place, amounts[asked], n=n)

    def n_within(self, *, day: int, horizon_days: int) -> int:
        """How many order-days there were in `[day, day + horizon)`, of whomever."""
        start, end = np.searchsorted(self.days, [day, day + horizon_days], side="left")
        return int(end - start)

    def next_day(self, keys: Keys, *, day: int) -> Floats:
        """Days from `day` to each customer's next order, 0 for that day itself; infinite where none is known."""
        start = int(np.searchsorted(self.days, day, side="left"))
        whose, days = self.customer_keys[start:], (self.days[start:] - day).astype(np.float64)
        found, first = np.unique(whose, return_index=True)  # days rise: the first place is the soonest
        place = np.searchsorted(found, keys)
        waits = np.full(len(keys), np.inf)
        known = place < len(found)
        known[known] = found[place[known]] == keys[known]
        waits[known] = days[first[place[known]]]
        return waits

    @property
    def longest_silence(self) -> int:
        """The most days that ever lay between two days with an order, of whomever; 1 where orders came daily."""
        days = np.unique(self.days)
        return int(np.diff(days).max()) if len(days) > 1 else 1


@dataclass(frozen=True, slots=True)
class Happened:
    """What became of customers, for whoever judges: of a person with several keys the same for each, as in labels.

    Attributes:
        orders: all that is known by now.
        joined: every key that was joined into another customer by now, and the survivor's.
    """

    orders: OrderDays
    joined: Mapping[int, int]

    def persons_of(self, keys: Keys) -> Keys:
        """The person behind each key, shape `(n,)`."""
        return np.array([self.joined.get(key, key) for key in keys.tolist()], dtype=np.int64)

    def within(self, keys: Keys, *, day: int, horizon_days: int) -> tuple[Floats, Floats]:
        """As that of OrderDays; keys in any order."""
        persons, place = np.unique(self.persons_of(keys), return_inverse=True)
        n_days, spend = self.orders.within(persons, day=day, horizon_days=horizon_days)
        return n_days[place], spend[place]

    def next_day(self, keys: Keys, *, day: int) -> Floats:
        """As that of OrderDays."""
        return self.orders.next_day(self.persons_of(keys), day=day)


def rfm(buyers: Buyers) -> Floats:
    """Recency, frequency, money and age of each buyer, most of them as logarithms; shape `(n, 8)`."""
    n, age, recency = buyers.n_days, buyers.first_ago, buyers.last_ago
    gap = np.where(n > 1, (age - recency) / np.maximum(n - 1, 1), age)
    logs = [recency, n, buyers.revenue, age, buyers.n_recent[:, 0], buyers.n_recent[:, 1]]
    return np.column_stack([*(np.log1p(column) for column in logs), recency / (age / n + 1), np.log1p(gap)])


def _total(place: Keys, weights: Floats, *, n: int) -> Floats:
    """The sum of the weights at each of n places."""
    return np.asarray(np.bincount(place, weights=weights, minlength=n), dtype=np.float64)


def day_of(instant: datetime, *, time_zone: str) -> int:
    """The day, in days since 1970-01-01, that begins nearest to an instant in a time zone.

    Nearest, for a cutoff that is whole days of 24 hours before a midnight may be an hour off one where clocks changed.
    """
    local = instant.astimezone(ZoneInfo(time_zone))
    return local.date().toordinal() - EPOCH_ORDINAL + (1 if local.hour >= 12 else 0)


def read_order_days(
    workspace: Workspace,
    *,
    known_until: datetime | None = None,
    days_end_at: datetime | None = None,
    customer_keys: Keys | None = None,
) -> OrderDays:
    """Every order in the lake and in the event log, by the brand's days.

    Two events with one order id are one order, that which was known first, as everywhere in features.

    Args:
        workspace: of the brand.
        known_until: as snapshots as of that instant: what had happened and was received before it, of customers as they
            were joined by then; None for all that is known now.
        days_end_at: an instant at which one of the days ends; None where the brand's do. A snapshot is of an instant,
            and a day that it cuts in two would be before it and after it.
        customer_keys: of these alone; None for everybody.
    """
    import duckdb
    import pyarrow as pa

    from features.brand import load_brand
    from features.lake import Lake
    from features.owners import persons_table
    from features.snapshots import event_log_table

    brand = load_brand(workspace)
    log = event_log_table(workspace)  # before the lake: a sync in between hides nothing
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'; SET threads=2; SET memory_limit='3GB'")
        Lake(workspace.lake).register(connection, as_of=known_until)
        connection.register("log_events", log)
        connection.register("joined", persons_table(_persons(workspace, known_until)))
        zone, shift = (brand.time_zone, 0) if days_end_at is None else ("UTC", since_midnight_us(days_end_at))
        asked = {"event": brand.events.order, "zone": zone, "shift": shift}
        if log.num_rows:
            asked["until"] = known_until and known_until.astimezone(UTC).replace(tzinfo=None)
        if customer_keys is not None:
            connection.register("asked", pa.table({"key": pa.array(customer_keys, type=pa.int64())}))
        query = ORDER_DAYS.format(
            logged=LOGGED if log.num_rows else "", whose="" if customer_keys is None else OF_THESE
        )
        found = connection.execute(query, asked).fetchnumpy()
    return OrderDays.of(
        np.asarray(found["customer_key"], dtype=np.int64),
        np.asarray(found["day"], dtype=np.int64),
        np.ma.filled(np.ma.asarray(found["amount"], dtype=np.float64), 0.0),
    )


def since_midnight_us(instant: datetime) -> int:
    """Microseconds since the midnight (UTC) before an instant."""
    utc = instant.astimezone(UTC)
    return (utc - utc.replace(hour=0, minute=0, second=0, microsecond=0)) // timedelta(microseconds=1)


def _persons(workspace: Workspace, known_until: datetime | None) -> dict[int, int]:
    """Every key that is part of another customer, and who that is: as known by an instant, or now."""
    from features.database import connect
    from features.identity import IdentityTable
    from features.lake import instant_us
    from features.owners import owners_at, persons

    if known_until is None or not workspace.database.is_file():
        return persons(workspace)
    with closing(connect(workspace.database)) as connection:
        return owners_at(IdentityTable(connection).merges(), instant_us(known_until))


ORDER_DAYS = """
    WITH known AS (
        SELECT customer_key, event_id, order_id, occurred_at, received_at, total, products
        FROM events WHERE event = $event
        {logged}
    ),
    orders AS (
        SELECT coalesce(person, customer_key) AS customer_key,
               min({{
                   'known_at': greatest(occurred_at, received_at), 'at': occurred_at, 'id': event_id,
                   'amount': coalesce(total, list_sum(list_transform(products,
                       lambda line: coalesce(line.quantity, 1) * line.price)))
               }}) AS first
        FROM known LEFT JOIN joined ON customer_key = from_key
        {whose}
        GROUP BY 1, coalesce(order_id, event_id)
    )
    SELECT customer_key, first.amount AS amount,
           date_diff('day', DATE '1970-01-01',
                     CAST(timezone($zone, timezone('UTC', first['at'] - to_microseconds($shift))) AS DATE)) AS day
    FROM orders
"""
# Of a log that holds anything: what is in both is looked for among the lake's orders alone.
LOGGED = """
        UNION ALL
        SELECT customer_key, event_id, order_id, occurred_at, received_at, total, products
        FROM log_events
        WHERE event = $event AND event_id NOT IN (SELECT event_id FROM events WHERE event = $event)
          AND ($until IS NULL OR greatest(occurred_at, received_at) < $until::TIMESTAMP)
"""
OF_THESE = "WHERE coalesce(person, customer_key) IN (SELECT key FROM asked)"
