"""Whether orders have stopped coming in: then the feed is to be looked at before a model that expected some."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from features.lake import instant_us
from training.artifact import RESPONSE
from training.drift.report import UNKNOWN, Looked, Reason

NO_ORDERS = "no_orders"
DOES_NOT_FIT = "does_not_fit"
FEWEST = 20  # orders in as long a time before: where fewer come, none may come
BEYOND_USUAL = 2.0  # times the longest time without any: shops close for weekends and feasts
LOOKED_BACK = timedelta(days=365)
_US = timedelta(microseconds=1)


def no_order_since(at_us: NDArray[np.int64], *, known_until: datetime) -> datetime | None:
    """The last order where none has come for far longer than ever in the year before it, and 20 should have; else None.

    Args:
        at_us: of every order that is known, µs since the epoch, rising, shape `(n,)`.
        known_until: nothing later is known.
    """
    if not len(at_us):
        return None
    last = int(at_us[-1])
    silent = instant_us(known_until) - last
    expected = len(at_us) - int(np.searchsorted(at_us, last - silent, side="right"))
    year = at_us[np.searchsorted(at_us, last - LOOKED_BACK // _US) :]
    usual = int(np.diff(year).max(initial=0))
    if expected < FEWEST or silent <= BEYOND_USUAL * usual:
        return None
    return known_until - timedelta(microseconds=silent)


def told_of(found: Looked, since: datetime | None) -> Looked:
    """What was found of a model; where orders have stopped, that first, and no training is suggested for what follows.

    Args:
        found: of one champion.
        since: the last order, where orders have stopped.
    """
    if found.model == RESPONSE:  # it learns from outcomes, which come in by another way than orders
        return found
    is_looked_at = found.n_now > 0 or found.status != UNKNOWN
    if since is None or not is_looked_at or any(one.code == DOES_NOT_FIT for one in found.reasons):
        return found
    told = f"no order has come since {since:%Y-%m-%d}: see first whether orders still come in"
    return replace(found, status=NO_ORDERS, reasons=(Reason(NO_ORDERS, "", None, None, told), *found.reasons))
