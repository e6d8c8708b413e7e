"""What an order leaves behind: its lines, the session before it, sometimes a refund after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from experiments.simulator import behaviour as b
from experiments.simulator import kinds as k
from experiments.simulator.ordering import Orders, sums
from experiments.simulator.population import Population, type_b, type_f, type_i
from experiments.simulator.tables import (
    DAY_US,
    PRODUCT_PRICES,
    PRODUCTS_A_CATEGORY,
    EventRows,
    instants,
)

MINUTE_US = 60_000_000
_TIER_SIZE = PRODUCTS_A_CATEGORY // 3


def choose_products(
    rng: np.random.Generator, population: Population, customer: type_i, *, is_loyal: type_b | None = None
) -> type_i:
    """One product a row, from the customer's interests and price tier; a loyal row is the customer's usual product."""
    n = len(customer)
    liked = (population.interests[customer][:, None] >> np.arange(4)) & 1
    weight = (liked + 0.08).cumsum(axis=1)
    category = (rng.random(n)[:, None] * weight[:, -1:] > weight).sum(axis=1)
    drift = rng.choice(np.array([-1, 0, 1]), size=n, p=[0.15, 0.7, 0.15])
    tier = (population.tier[customer] + drift).clip(0, 2)
    product: type_i = category * PRODUCTS_A_CATEGORY + tier * _TIER_SIZE + rng.integers(0, _TIER_SIZE, n)
    if is_loyal is not None:
        first_liked = liked.argmax(axis=1)
        usual = first_liked * PRODUCTS_A_CATEGORY + population.tier[customer] * _TIER_SIZE + customer % _TIER_SIZE
        product = np.where(is_loyal, usual, product)
    return product


@dataclass(frozen=True, slots=True)
class Refunds:
    """Orders that are sent back, with when: maybe later than what is simulated now."""

    customer: type_i
    time: type_i
    order_id: pa.Array
    total: type_f

    @classmethod
    def none(cls) -> Refunds:
        """Nothing comes back."""
        empty = np.empty(0, dtype=np.int64)
        return cls(empty, empty, pa.array([], pa.string()), np.empty(0))

    def take(self, chosen: type_b) -> Refunds:
        """The chosen ones."""
        return Refunds(
            self.customer[chosen], self.time[chosen], self.order_id.filter(pa.array(chosen)), self.total[chosen]
        )

    def and_also(self, more: Refunds) -> Refunds:
        """Both."""
        return Refunds(
            np.concatenate([self.customer, more.customer]),
            np.concatenate([self.time, more.time]),
            pa.concat_arrays([self.order_id, more.order_id]),
            np.concatenate([self.total, more.total]),
        )


@dataclass(frozen=True, slots=True)
class Baskets:
    """What orders hold: one element a line, and the total of each order."""

    order: type_i  # the line's order, by position
    product: type_i
    paid: type_f  # a piece, after the redeemed offer
    quantity: type_f
    total: type_f  # (n_orders,)


def fill_baskets(rng: np.random.Generator, population: Population, customer: type_i, *, redeemed: type_i) -> Baskets:
    """What these customers put into one order each."""
    n = len(customer)
    kind = population.kind[customer]
    n_lines = 1 + rng.poisson(k.BASKET_LINES[kind] - 1.0)
    order = np.repeat(np.arange(n), n_lines)
    is_first = np.diff(order, prepend=-1) > 0
    is_loyal = is_first & (kind[order] == k.LOYAL_REFILLER) & (rng.random(len(order)) < 0.85)
    product = choose_products(rng, population, customer[order], is_loyal=is_loyal)
    quantity = np.ones(len(order)) + (rng.random(len(order)) < 0.16) + (rng.random(len(order)) < 0.04)
    paid = np.round(PRODUCT_PRICES[product] * b.order_value_factor(redeemed)[order], 2)
    return Baskets(order, product, paid, quantity, sums(order, paid * quantity, n=n).round(2))


def add_purchases(
    rows: EventRows,
    rng: np.random.Generator,
    population: Population,
    orders: Orders,
    *,
    origin_us: int,
    order_prefix: str,
) -> tuple[Baskets, Refunds]:
    """Adds every order with its lines and its session; gives what was bought and what will be sent back."""
    n = len(orders.customer)
    time = instants(origin_us, orders.day, orders.part)
    baskets = fill_baskets(rng, population, orders.customer, redeemed=orders.redeemed)
    line, product = baskets.order, baskets.product
    order_id = pc.binary_join_element_wise(order_prefix, pc.cast(pa.array(np.arange(n)), pa.string()), "-")
    for event, share, earliest, latest in (("Product Viewed", 0.75, 6, 45), ("Product Added", 0.85, 1, 6)):
        seen = rng.random(len(line)) < share
        lead = rng.integers(earliest, latest, len(line)) * MINUTE_US
        before = np.maximum(time[line] - lead, time[line] // DAY_US * DAY_US)
        _add_products(rows, event, orders.customer[line][seen], before[seen], product[seen])
    rows.add(
        "Order Completed",
        customer=orders.customer[line],
        time=time[line],
        order_id=order_id.take(pa.array(line)),
        product_id=product,
        product_name=product,
        category=product // PRODUCTS_A_CATEGORY,
        price=baskets.paid,
        quantity=baskets.quantity,
        total=baskets.total[line],
        currency=0,
        channel=0,
    )
    back = time + (rng.uniform(3.0, 14.0, n) * DAY_US).astype(np.int64)
    returned = rng.random(n) < k.RETURN_RATE[population.kind[orders.customer]]
    return baskets, Refunds(orders.customer, back, order_id, baskets.total).take(returned)


def add_refunds(rows: EventRows, refunds: Refunds, *, end_us: int) -> Refunds:
    """Adds the refunds that happen before `end_us`; gives those that are still to come."""
    due = refunds.time < end_us
    now = refunds.take(due)
    rows.add("Order Refunded", customer=now.customer, time=now.time, order_id=now.order_id, total=now.total, currency=0)
    return refunds.take(~due)


def _add_products(rows: EventRows, event: str, customer: type_i, time: type_i, product: type_i) -> None:
    rows.add(
        event,
        customer=customer,
        time=time,
        product_id=product,
        product_name=product,
        category=product // PRODUCTS_A_CATEGORY,
        price=PRODUCT_PRICES[product],
        quantity=1.0,
        currency=0,
        channel=0,
    )


def add_product_events(
    rows: EventRows, rng: np.random.Generator, population: Population, *, event: str, customer: type_i, time: type_i
) -> None:
    """Adds views or carts of products that these customers would look at."""
    _add_products(rows, event, customer, time, choose_products(rng, population, customer))
