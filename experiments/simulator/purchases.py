"""What an order leaves behind: its lines, the session before it, sometimes a refund after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from experiments.simulator import behaviour as b
from experiments.simulator import kinds as k
from experiments.simulator.ordering import Orders
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
class Bought:
    """Orders with their instant and value, in the order of `Orders`."""

    time: type_i
    total: type_f


def add_purchases(
    rows: EventRows,
    rng: np.random.Generator,
    population: Population,
    orders: Orders,
    *,
    origin_us: int,
    end_us: int,
    order_prefix: str,
) -> Bought:
    """Adds every order with its lines, its session and its refund where it has one."""
    n = len(orders.customer)
    time = instants(origin_us, orders.day, orders.part)
    kind = population.kind[orders.customer]
    n_lines = 1 + rng.poisson(k.BASKET_LINES[kind] - 1.0)
    line_of = np.repeat(np.arange(n), n_lines)
    buyer = orders.customer[line_of]
    first_line = np.concatenate([[0], np.cumsum(n_lines)[:-1]]) if n else np.empty(0, dtype=np.int64)
    is_first = np.zeros(len(line_of), dtype=bool)
    is_first[first_line] = True
    is_loyal = is_first & (kind[line_of] == k.LOYAL_REFILLER) & (rng.random(len(line_of)) < 0.85)
    product = choose_products(rng, population, buyer, is_loyal=is_loyal)
    quantity = 1.0 + (rng.random(len(line_of)) < 0.16) + (rng.random(len(line_of)) < 0.04)
    paid = np.round(PRODUCT_PRICES[product] * b.order_value_factor(orders.redeemed)[line_of], 2)
    total = np.bincount(line_of, paid * quantity, minlength=n).round(2)
    numbers = pc.cast(pa.array(np.arange(n)), pa.string())
    order_id = pc.binary_join_element_wise(order_prefix, numbers, "-")

    seen = rng.random(len(line_of)) < 0.75
    lead = rng.integers(6, 45, len(line_of)) * MINUTE_US
    _add_products(rows, "Product Viewed", buyer[seen], (time[line_of] - lead)[seen], product[seen])
    added = rng.random(len(line_of)) < 0.85
    lead = rng.integers(1, 6, len(line_of)) * MINUTE_US
    _add_products(rows, "Product Added", buyer[added], (time[line_of] - lead)[added], product[added])
    rows.add(
        "Order Completed",
        customer=buyer,
        time=time[line_of],
        order_id=order_id.take(pa.array(line_of)),
        product_id=product,
        product_name=product,
        category=product // PRODUCTS_A_CATEGORY,
        price=paid,
        quantity=quantity,
        total=total[line_of],
        currency=0,
        channel=0,
    )
    back = time + (rng.uniform(3.0, 14.0, n) * DAY_US).astype(np.int64)
    refunded = np.flatnonzero((rng.random(n) < k.RETURN_RATE[kind]) & (back < end_us))
    rows.add(
        "Order Refunded",
        customer=orders.customer[refunded],
        time=back[refunded],
        order_id=order_id.take(pa.array(refunded)),
        total=total[refunded],
        currency=0,
    )
    return Bought(time, total)


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
