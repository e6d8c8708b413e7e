"""Counts, sums and averages over windows, as running sums over bands of time.

`aggregates/bands.sql` says what each customer did within 7 days, 7 to 30 days ago, and so on; a window is the sum of
the bands inside it. All amounts are whole numbers (money in ten-thousandths), so the sums are exact in any order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.columns import MEASURES, WINDOWS_DAYS

_UNITS = 10_000.0
_MONEY = ("revenue", "refunded")
_MEAN = "mean_order_value"
_ADDED = (*(measure.name for measure in MEASURES if measure.name != _MEAN), "n_amounts")


def window_columns(bands: pa.Table, customers: npt.NDArray[np.int64]) -> dict[str, pa.Array]:
    """Every measure over every window.

    Args:
        bands: as `aggregates/bands.sql` gives them.
        customers: the keys whose rows are wanted, ascending; every key of `bands` is among them.

    Returns:
        float32 columns `<measure>_<days>d`, one value a customer in that order; null where a mean has no order.
    """
    # The types are named, since a table without rows has forgotten them.
    rows = np.searchsorted(customers, np.asarray(bands["customer_key"].to_numpy(), dtype=np.int64))
    slots = rows * len(WINDOWS_DAYS) + np.asarray(bands["band"].to_numpy(), dtype=np.int64)
    amounts = {name: _over_windows(bands[name], slots, n_customers=len(customers)) for name in _ADDED}
    columns: dict[str, pa.Array] = {}
    for measure in MEASURES:
        if measure.name == _MEAN:
            values = _mean(amounts["revenue"], amounts["n_amounts"])
        else:
            values = amounts[measure.name] / (_UNITS if measure.name in _MONEY else 1.0)
        for index, days in enumerate(WINDOWS_DAYS):
            of_window = np.ascontiguousarray(values[:, index], dtype=np.float32)
            columns[f"{measure.name}_{days}d"] = pa.array(of_window, mask=np.isnan(of_window))
    return columns


def _over_windows(
    values: pa.ChunkedArray, slots: npt.NDArray[np.int64], *, n_customers: int
) -> npt.NDArray[np.float64]:
    """(n_customers, n_windows): running sums from the newest band on."""
    n_bands = len(WINDOWS_DAYS)
    weights = np.asarray(pc.fill_null(values, 0.0).to_numpy(), dtype=np.float64)
    by_band = np.bincount(slots, weights=weights, minlength=n_customers * n_bands).reshape(n_customers, n_bands)
    running: npt.NDArray[np.float64] = np.cumsum(by_band, axis=1, dtype=np.float64)
    return running


def _mean(revenue: npt.NDArray[np.float64], n_amounts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.divide(revenue / _UNITS, n_amounts, out=np.full_like(revenue, np.nan), where=n_amounts > 0)
