"""How the coming year goes, within a horizon and behind it: as a year ago, less what the shop grows anyway."""

from __future__ import annotations

import itertools
from datetime import timedelta

import numpy as np

from training.labels import Window
from training.season import DAY, FEWEST_ORDERS, FOUR_WEEKS, WEEK, YEAR, Ahead, Count, LastYear, bounded, counts_of


def year_beyond(n_orders: Count, ahead: Ahead) -> tuple[float, ...]:
    """How much busier customers will be than within the coming window in each four weeks behind it, as a year ago.

    Args:
        n_orders: in a window that is closed by `ahead.used_at`.
        ahead: of what.

    Returns:
        One multiplier for every 28 days from the end of the coming window to a year from now, less what the shop grows
        anyway; the same for all of them where one holds under 100 orders. None where the season goes on as it is: what
        was a year before the calibrating window is not known, or too few orders are.
    """
    found, reach = counts_of(n_orders, ahead), timedelta(days=ahead.horizon_days)
    if found is None or found.fewest < FEWEST_ORDERS or ahead.calibrate - YEAR < ahead.first:
        return ()
    past = LastYear(n_orders, ahead.first, ahead.used_at, ahead.occasions).of_those_felt()
    starts = [reach + place * FOUR_WEEKS for place in range(-(-(YEAR - reach) // FOUR_WEEKS))]
    blocks = [(start, min(start + FOUR_WEEKS, YEAR)) for start in starts]
    orders = [past.of(Window(ahead.used_at + start, ahead.used_at + end)) for start, end in blocks]
    if not orders or sum(orders) < FEWEST_ORDERS:
        return ()
    growth, a_day = found.now / found.then, found.year_next / ahead.horizon_days
    grown = [growth ** (((start + end) - reach) / 2 / YEAR) for start, end in blocks]
    days = [(end - start) / DAY for start, end in blocks]
    if min(orders) < FEWEST_ORDERS:
        usual = sum(days[place] * grown[place] for place in range(len(days)))
        return (bounded(sum(orders) / (a_day * usual)),) * len(blocks)
    return tuple(bounded(n / (a_day * length * times)) for n, length, times in zip(orders, days, grown, strict=True))


def year_within(n_orders: Count, ahead: Ahead) -> tuple[tuple[int, float], ...]:
    """Which share of the coming window's orders has come by when, as a year ago, less what the shop grows anyway.

    Args:
        n_orders: in a window that is closed by `ahead.used_at`.
        ahead: of what.

    Returns:
        Days from the start of the window, and the share by the end of the last of them: by weeks, or by four weeks
        where one holds under 100 orders. None where four weeks do, or a year ago is not known.
    """
    found, reach = counts_of(n_orders, ahead), ahead.horizon_days
    if found is None or found.fewest < FEWEST_ORDERS:
        return ()
    growth = found.now / found.then
    past = LastYear(n_orders, ahead.first, ahead.used_at, ahead.occasions).of_those_felt()
    for block in (WEEK, FOUR_WEEKS):
        ends = [*range(0, reach, block.days), reach]
        if len(ends) > 2 and reach - ends[-2] < block.days:
            del ends[-2]  # what is left over goes with the last one
        spans = [(ahead.used_at + start * DAY, ahead.used_at + end * DAY) for start, end in itertools.pairwise(ends)]
        orders = [past.of(Window(*span)) for span in spans]
        if len(ends) > 2 and min(orders) >= FEWEST_ORDERS:
            steady = [
                n / growth ** ((a + b) / 2 * DAY / YEAR)
                for n, (a, b) in zip(orders, itertools.pairwise(ends), strict=True)
            ]
            shares = np.cumsum(steady) / sum(steady)
            return tuple((end, round(float(share), 6)) for end, share in zip(ends[1:], shares, strict=True))
    return ()
