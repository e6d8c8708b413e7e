"""Expected order-days by the models of repeat buying, corrected by what those missed in the newest closed window.

The correction is that of probabilities (training/correcting.py): where customers order again more or less often than
the models say, as far as recency, frequency and money tell, their expectation is scaled by as much. It goes along to a
horizon longer than any window that has closed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.calibration import from_log_odds, log_odds
from training.correcting import fit_correction
from training.expectations.shop import Shop
from training.linear import Linear, columns_for
from training.members import Customers
from training.repeat_buying import DAYS_A_WEEK

Floats = NDArray[np.float64]


def corrected_orders(shop: Shop, day: int, *, start: int, window_days: int, horizon_days: int) -> Floats | None:
    """Order-days of each buyer as of a day, shape `(n,)`; None where no model of repeat buying can be fitted.

    Args:
        shop: known until the cutoff, which is that day or a later one.
        day: where one stands.
        start: of the window that teaches the correction.
        window_days: its length.
        horizon_days: how far ahead.
    """
    expected = shop.expected(day, horizon_days=horizon_days)
    missed = _missed(shop, start, window_days=window_days)
    if missed is None or not expected:
        return None
    said = _said(shop, day, horizon_days=horizon_days)
    design = Customers(shop.X(day), shop.source.inputs).design(missed.columns)
    times = from_log_odds(said + missed.scores(design)) / from_log_odds(said)
    return np.asarray(np.exp(np.mean([np.log(of) for of in expected.values()], axis=0)) * times)


def _missed(shop: Shop, start: int, *, window_days: int) -> Linear | None:
    columns = columns_for(shop.source.inputs)
    if not shop.fits(start) or not columns:
        return None
    buyers = shop.buyers(start)
    orders, _ = shop.orders.within(buyers.keys, day=start, horizon_days=window_days)
    design = Customers(shop.X(start), shop.source.inputs).design(columns)
    said = _said(shop, start, horizon_days=window_days)
    return fit_correction(design, (orders > 0).astype(np.uint8), said=said, columns=columns)


def _said(shop: Shop, day: int, *, horizon_days: int) -> Floats:
    """Log-odds of an order, in the mean of the models; shape `(n,)`."""
    history, weeks = shop.buyers(day).history(), horizon_days / DAYS_A_WEEK
    with np.errstate(all="ignore"):
        return np.asarray(
            np.mean([log_odds(fit.p_any(history, weeks=weeks)) for fit in shop.fits(day).values()], axis=0)
        )
