"""How much busier the coming window will be than the one that calibrated: as it was a year ago.

Season breaks the level of probabilities, not their order: a model calibrated on autumn says autumn's rate of winter.
With V(w) the orders in a window w of the horizon's length, `last` the calibrating window, `next` the coming one,
`year(w)` the same weeks 364 days earlier, and growth = V(last) ÷ V(year(last)), customers order

    multiplier = V(year(next)) ÷ V(year(last)) × growth^(−(days from last to next) ÷ 364)

times as often as in the calibrating window: the change between the two a year ago, less what the shop grows anyway,
since more customers are not busier ones. Where the year-ago calibrating window is only partly known, growth is that of
the days that are.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np

from training.labels import Window

YEAR = timedelta(days=364)  # 52 whole weeks: weekdays stay where they are
FEWEST_DAYS = 7
FEWEST_ORDERS = 100  # in each window: below it the ratio is noise
LOWEST, HIGHEST = 1 / 3, 3.0


def season_multiplier(
    n_orders: Callable[[Window], int], *, calibrate: datetime, used_at: datetime, horizon_days: int, first: datetime
) -> float:
    """How much more often customers will order in the window as of `used_at` than in the one that calibrated.

    Args:
        n_orders: in a window that is closed by `used_at`.
        calibrate: where the window that calibrated begins: whole weeks before, so it may end days before `used_at`.
        used_at: where the model stands.
        horizon_days: of the label.
        first: the first order that is known.

    Returns:
        A multiplier in [1/3, 3]; 1 where a year ago is not known, or holds too little.
    """
    reach = timedelta(days=horizon_days)
    a_year_ago, closed, closed_then = used_at - YEAR, calibrate + reach, calibrate + reach - YEAR
    overlap = min(reach, closed_then - first)
    if overlap < timedelta(days=FEWEST_DAYS) or a_year_ago + reach > used_at:
        return 1.0
    then, now = n_orders(Window(closed_then - overlap, closed_then)), n_orders(Window(closed - overlap, closed))
    year_next, last = n_orders(Window(a_year_ago, a_year_ago + reach)), n_orders(Window(calibrate, closed))
    if min(then, now, year_next, last) < FEWEST_ORDERS:
        return 1.0
    growth = now / then
    multiplier = growth ** (1.0 - (used_at - calibrate) / YEAR) * year_next / last
    return float(np.clip(round(multiplier, 6), LOWEST, HIGHEST))
