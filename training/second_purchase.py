"""Who comes back a second time, as the window that judged a horizon shows it: those with one order-day before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.dataset import Source
from training.evaluation import quality
from training.next_purchase import Judged

FEWEST_EITHER = 30  # of either kind: below it one customer moves the rate by 3%
N_ORDER_DAYS = "n_order_days"


def judged_once(one: Judged, source: Source) -> dict[str, Any] | None:
    """The figures of those customers; None where fewer than 30 came back, or did not.

    Args:
        one: what the window said of a fit that knew nothing of it.
        source: of the window's snapshot.
    """
    if N_ORDER_DAYS not in source.inputs:
        return None
    asked = source.snapshot(one.as_of).X[:, source.inputs.index(N_ORDER_DAYS)] == 1.0
    y = one.y[asked]
    n_back = int(y.sum())
    if min(n_back, len(y) - n_back) < FEWEST_EITHER:
        return None
    return quality(y, np.asarray(one.probability)[asked]).as_dict()
