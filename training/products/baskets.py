"""What was in every order: one row a customer, day and item, as of any day.

An item is a category where at least half of the order lines name one and there are two or more, else a product.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from features.workspace import Workspace

Keys = NDArray[np.int64]

CATEGORY, PRODUCT = "category", "product"
SHARE_NAMED = 0.5  # of order lines: fewer named categories would tell of the catalogue rather than of the customer
CUSTOMERS_A_PART = 100_000  # so many at a time bound the memory


@dataclass(frozen=True, slots=True)
class Baskets:
    """Shapes `(n,)`, by rising day; one row a customer, day and item.

    Attributes:
        customer_keys: whose.
        days: since 1970-01-01 in the brand's time zone.
        items: places in `names`.
        names: of the items.
        kind: what an item is, `category` or `product`.
    """

    customer_keys: Keys
    days: Keys
    items: Keys
    names: tuple[str, ...]
    kind: str

    @classmethod
    def of(cls, customer_keys: Keys, days: Keys, items: Keys, *, names: tuple[str, ...], kind: str) -> Baskets:
        """Of lines in any order, an item named several times a day or not."""
        keys, at, item = (np.asarray(of, dtype=np.int64) for of in (customer_keys, days, items))
        order = np.lexsort((item, keys, at))
        keys, at, item = keys[order], at[order], item[order]
        changes = (np.diff(at) != 0) | (np.diff(keys) != 0) | (np.diff(item) != 0)
        first = np.append(np.ones(len(keys[:1]), dtype=bool), changes)
        return cls(keys[first], at[first], item[first], names, kind)

    def before(self, day: int) -> Baskets:
        """Those that were known as of a day."""
        return self._between(0, int(np.searchsorted(self.days, day, side="left")))

    def next_after(self, day: int, *, within_days: int) -> Baskets:
        """Of each customer the first day with an order in `[day, day + within_days)`, with all its items."""
        start, end = np.searchsorted(self.days, [day, day + within_days], side="left")
        ahead = self._between(int(start), int(end))
        whose, first = np.unique(ahead.customer_keys, return_index=True)  # days rise: the first place is the soonest
        soonest = ahead.days[first][np.searchsorted(whose, ahead.customer_keys)]
        return ahead.where(ahead.days == soonest)

    def where(self, kept: NDArray[np.bool_]) -> Baskets:
        """Some of the rows."""
        return Baskets(self.customer_keys[kept], self.days[kept], self.items[kept], self.names, self.kind)

    def _between(self, start: int, end: int) -> Baskets:
        rows = slice(start, end)
        return Baskets(self.customer_keys[rows], self.days[rows], self.items[rows], self.names, self.kind)


def followed_by(known: Baskets, later: Baskets, *, day: int) -> Baskets:
    """What was known as of a day, and what became of it: baskets of later as they are known by now."""
    names = tuple(sorted({*known.names, *later.names}))
    places = {name: place for place, name in enumerate(names)}
    both = (known.where(known.days < day), later.where(later.days >= day))
    items = [np.array([places[name] for name in of.names], dtype=np.int64)[of.items] for of in both]
    keys, days = ([getattr(of, name) for of in both] for name in ("customer_keys", "days"))
    joined = (np.concatenate(parts) for parts in (keys, days, items))
    return Baskets.of(*joined, names=names, kind=known.kind)


def read_baskets(
    workspace: Workspace,
    *,
    known_until: datetime | None = None,
    part: int = 0,
    n_parts: int = 1,
    kind: str | None = None,
) -> Baskets | None:
    """What was in the orders of the lake; None where they name nothing, or one thing only.

    Args:
        workspace: of the brand.
        known_until: only what had happened and was received before it; None for all that is known now.
        part: which of `n_parts` parts of the customers, dealt by their keys.
        n_parts: into how many; where the lake's buckets divide it, a part reads little more than its own events.
        kind: of items; None to find out.
    """
    import duckdb

    from features.brand import load_brand
    from features.lake import Lake
    from features.owners import persons, persons_table

    brand, joined = load_brand(workspace), persons(workspace)
    until = known_until and known_until.astimezone(UTC).replace(tzinfo=None)
    asked = {"event": brand.events.order, "zone": brand.time_zone, "until": until, "part": part, "parts": n_parts}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone='UTC'; SET threads=2; SET memory_limit='3GB'")
        buckets = _buckets(joined, part=part, n_parts=n_parts)
        Lake(workspace.lake).register(connection, as_of=known_until, buckets=buckets)
        connection.register("joined", persons_table(joined))
        connection.execute(f"CREATE TEMP TABLE lines AS {LINES}", asked)
        kind = kind or _kind_of(connection)
        column = "category" if kind == CATEGORY else "product_id"
        rows = f"SELECT DISTINCT customer_key, day, {column} AS name FROM lines WHERE {column} IS NOT NULL"
        connection.execute(f"CREATE TEMP TABLE named AS SELECT name FROM ({rows}) GROUP BY 1 ORDER BY 1")
        names = tuple(name for (name,) in connection.execute("SELECT name FROM named ORDER BY name").fetchall())
        if len(names) < 2:
            return None
        numbered = "SELECT name, row_number() OVER (ORDER BY name) - 1 AS item FROM named"
        found = connection.execute(
            f"SELECT customer_key, day, item FROM ({rows}) JOIN ({numbered}) USING (name)"
        ).fetchnumpy()
    keys, days, items = (np.asarray(found[name], dtype=np.int64) for name in ("customer_key", "day", "item"))
    return Baskets.of(keys, days, items, names=names, kind=kind)


def _buckets(joined: dict[int, int], *, part: int, n_parts: int) -> set[int] | None:
    """Where in the lake a part's events lie; None where that may be anywhere.

    Args:
        joined: keys, each with the person under whom it goes on: their events are in the bucket of the key.
        part: which.
        n_parts: of how many.
    """
    from features.lake import N_BUCKETS, bucket_of

    if n_parts % N_BUCKETS:
        return None
    return {bucket_of(part)} | {bucket_of(key) for key, person in joined.items() if person % n_parts == part}


def _kind_of(connection: object) -> str:
    execute = connection.execute  # type: ignore[attr-defined]
    share, n = execute(
        "SELECT coalesce(avg((category IS NOT NULL)::INT), 0), count(DISTINCT category) FROM lines"
    ).fetchone()
    return CATEGORY if share >= SHARE_NAMED and n >= 2 else PRODUCT


LINES = """
    WITH orders AS (
        SELECT coalesce(person, customer_key) AS customer_key, occurred_at, products
        FROM events LEFT JOIN joined ON customer_key = from_key
        WHERE event = $event AND products IS NOT NULL AND ($until IS NULL OR occurred_at < $until::TIMESTAMP)
          AND coalesce(person, customer_key) % $parts::BIGINT = $part::BIGINT
    )
    SELECT customer_key, line.category AS category, line.product_id AS product_id,
           date_diff('day', DATE '1970-01-01',
                     CAST(timezone($zone, timezone('UTC', occurred_at)) AS DATE)) AS day
    FROM (SELECT customer_key, occurred_at, unnest(products) AS line FROM orders)
"""
