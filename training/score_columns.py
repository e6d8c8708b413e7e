"""What is to come of everybody, and what of, as columns of the scores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.workspace import Workspace
from training.dataset import Snapshot
from training.products.telling import next_products
from training.served.coming import Coming
from training.served.next_purchase import NextPurchaseModel

Floats = NDArray[np.float64]

DATES = ("next_order_on", "next_order_from", "next_order_until")


def columns_of_coming(
    coming: Coming | None, snapshot: Snapshot, *, horizons_days: Sequence[int]
) -> dict[str, pa.Array]:
    """The columns of the next order's day, of P(still buying), of expected orders and spend; missing where unknown.

    Args:
        coming: of the customers of the snapshot, in its order; None where there is no such model.
        snapshot: of some customers, or of everybody.
        horizons_days: within which orders and spend are expected.
    """
    n = len(snapshot.X)
    if coming is None:
        columns = {name: pa.nulls(n, pa.date32()) for name in DATES}
    else:
        order = coming.next_order()
        told = zip(DATES, (order.middle, order.low, order.high), strict=True)
        columns = {name: _dates(days, snapshot.as_of) for name, days in told}
    columns["still_buying"] = _numbers(None if coming is None else coming.still_buying(), n)
    for days in sorted(horizons_days):
        columns[f"expected_orders_{days}d"] = _numbers(None if coming is None else coming.orders(days), n)
        columns[f"expected_spend_{days}d"] = _numbers(None if coming is None else coming.spend(days), n)
    return columns


def column_of_products(
    purchase: NextPurchaseModel | None, workspace: Workspace, customer_keys: NDArray[np.int64], *, as_of: datetime
) -> pa.Array:
    """The column of what the next order is of, the most probable first; missing where nobody can say.

    Args:
        purchase: the champion of next purchase.
        workspace: whose orders.
        customer_keys: of everybody asked, shape `(n,)`.
        as_of: nothing later is known.
    """
    kind = pa.list_(pa.string())
    if purchase is None or purchase.products is None:
        return pa.nulls(len(customer_keys), kind)
    told = next_products(
        workspace, customer_keys, as_of=as_of, kind=purchase.products["kind"], booster=purchase.products_booster
    )
    return pa.array(told, kind)


def _numbers(values: Floats | None, n: int) -> pa.Array:
    return pa.nulls(n, pa.float64()) if values is None else pa.array(values, pa.float64(), from_pandas=True)


def _dates(days: Floats, as_of: datetime) -> pa.Array:
    """The UTC dates of whole days of asking, 1 for the 24 hours from `as_of`; missing where infinite."""
    first = np.datetime64((as_of - timedelta(days=1)).replace(tzinfo=None), "D")
    known = np.isfinite(days)
    dates = first + np.where(known, days, 0.0).astype("timedelta64[D]")
    return pa.array(dates, pa.date32(), mask=~known)
