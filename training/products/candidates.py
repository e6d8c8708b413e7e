"""What a customer may buy next, and what is known of each: their own items, and what is bought most by everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.products.baskets import Baskets

Floats = NDArray[np.float64]
Keys = NDArray[np.int64]

INPUTS = (
    "n_days", "days_since_last", "days_since_first", "share", "share_90d", "share_365d", "after_last_order",
    "n_order_days", "days_since_order", "age_days", "items_a_day",
    "popular_30d", "popular_90d", "popular_365d", "bought_again", "trend_30d", "trend_90d",
)  # fmt: skip
N_POPULAR = 30  # of everybody's, recently and ever, that stand beside a customer's own
DAYS = (30.0, 90.0, 365.0)
TINY = 1e-4


@dataclass(frozen=True, slots=True)
class Items:
    """What is known of each item as of a day, shapes `(n_items,)`.

    Attributes:
        often: in how many order-days of anybody it ever was.
        popular: the share of recent order-days that it was in; shape `(3, n_items)`, of 30, 90 and 365 days.
        again: the share of its buyers who bought it on another day too, drawn towards a tenth.
    """

    often: Floats
    popular: Floats
    again: Floats

    @property
    def shown(self) -> Keys:
        """Those that everybody may buy next: the most bought lately and ever, by rising place."""
        tops = [np.argsort(-of, kind="stable")[:N_POPULAR] for of in (self.popular[0], self.often)]
        return np.unique(np.concatenate(tops))


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rows by customer, then item; shapes `(n,)`.

    Attributes:
        customer: a place among the customers asked, rising.
        item: a place among the items.
        X: shape `(n, len(INPUTS))`, NaN where they never bought it.
        frequency: what the most frequent of this customer, then of everybody, ranks by.
    """

    customer: Keys
    item: Keys
    X: Floats
    frequency: Floats


def items_of(known: Baskets, day: int) -> Items:
    """Of everybody's baskets that were known as of a day."""
    n, ago = len(known.names), day - known.days
    popular = np.empty((len(DAYS), n))
    for place, reach in enumerate(DAYS):
        recent = ago <= reach
        n_days = len(_customer_days(known.customer_keys[recent], known.days[recent]))
        popular[place] = np.bincount(known.items[recent], minlength=n) / max(n_days, 1)
    whose = np.unique(known.customer_keys, return_inverse=True)[1]
    pairs, times = np.unique(whose * n + known.items, return_counts=True)
    buyers = np.bincount(pairs % n, minlength=n)
    again = np.bincount(pairs[times > 1] % n, minlength=n)
    return Items(np.bincount(known.items, minlength=n).astype(np.float64), popular, (again + 1.0) / (buyers + 10.0))


def candidates_of(known: Baskets, day: int, customer_keys: Keys, items: Items) -> Candidates:
    """What each customer may buy next.

    Args:
        known: baskets before the day; others' than those of the customers asked do not matter.
        day: as of which.
        customer_keys: of those asked, rising, shape `(n,)`.
        items: of everybody's baskets, as of the same day.
    """
    mine = known.where(np.isin(known.customer_keys, customer_keys))
    whose, ago = np.searchsorted(customer_keys, mine.customer_keys), (day - mine.days).astype(np.float64)
    n_items, shown = len(known.names), items.shown
    own = whose * n_items + mine.items
    offered = (np.arange(len(customer_keys))[:, None] * n_items + shown).ravel()
    pairs = np.unique(np.concatenate([own, offered]))
    place = np.searchsorted(pairs, own)

    def total(weights: Floats) -> Floats:
        return np.asarray(np.bincount(place, weights=weights, minlength=len(pairs)), dtype=np.float64)

    n_days, last, first = total(np.ones(len(own))), np.full(len(pairs), np.nan), np.full(len(pairs), np.nan)
    np.fmin.at(last, place, ago)
    np.fmax.at(first, place, ago)
    customer, item = pairs // n_items, pairs % n_items
    of_customer = _customers(mine, whose, ago, n=len(customer_keys))
    n_order_days, since, age, of_90, of_365, size = (column[customer] for column in of_customer)
    month, quarter, year = (shares[item] for shares in items.popular)
    X = np.column_stack([
        n_days, last, first, n_days / n_order_days, total(np.exp(-ago / 90)) / of_90,
        total(np.exp(-ago / 365)) / of_365, last - since, n_order_days, since, age, size, month, quarter, year,
        items.again[item], np.log((month + TINY) / (year + TINY)), np.log((quarter + TINY) / (year + TINY)),
    ])  # fmt: skip
    return Candidates(customer, item, X, n_days + items.often[item] / (items.often.max() + 1.0))


def _customers(mine: Baskets, whose: Keys, ago: Floats, *, n: int) -> tuple[Floats, ...]:
    """Order-days, days since the last and the first, weights of the days, items a day; each of shape `(n,)`."""
    _, first = np.unique(whose * 1_000_000 + mine.days, return_index=True)  # one row a customer and day
    who, since = whose[first], ago[first]
    n_days = np.bincount(who, minlength=n).astype(np.float64)
    last, oldest = np.full(n, np.nan), np.full(n, np.nan)
    np.fmin.at(last, who, since)
    np.fmax.at(oldest, who, since)
    weights = (np.maximum(np.bincount(who, weights=np.exp(-since / days), minlength=n), 1e-300) for days in DAYS[1:])
    n_lines = np.bincount(whose, minlength=n).astype(np.float64)
    return np.maximum(n_days, 1.0), last, oldest, *weights, n_lines / np.maximum(n_days, 1.0)


def _customer_days(keys: Keys, days: Keys) -> Keys:
    return np.unique(keys * 1_000_000 + days)
