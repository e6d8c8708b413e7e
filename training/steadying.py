"""The level of a head that has no season: that of the two newest closed windows, not of the newest one alone.

One window is busier than the next by luck, by weather, by a season of which no year is known yet. What a model of
repeat buying, fitted to everything that is known, missed of a window shows how much so: a shop that it always misjudges
by as much keeps the level of its newest window, and one that swings comes back.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from training.calibration import level_shift
from training.dataset import Source
from training.labels import label
from training.members import Customers, Repeat
from training.split import Split, whole_weeks

FEWEST_EITHER = (
    30  # customers who ordered, and who did not, in the older window too: below it the mean is the worse one
)
ENOUGH = 60_000  # customers: their level is known within 0.01 in log-odds where one in ten orders


def steadied(source: Source, split: Split, model: Repeat | None) -> float:
    """What is added to log-odds at the level of the newest closed window; 0 where no older one is known.

    Args:
        source: of snapshots and labels.
        split: whose newest window calibrated.
        model: of repeat buying, fitted to everything that is known; None where it could not be.
    """
    reach = timedelta(days=whole_weeks(split.horizon_days))
    before = split.calibrate - reach
    if model is None or before < source.first + reach:
        return 0.0
    newest, older = (missed(source, at, model, horizon_days=split.horizon_days) for at in (split.calibrate, before))
    return 0.0 if newest is None or older is None else round((older - newest) / 2, 9)


def missed(source: Source, as_of: datetime, model: Repeat, *, horizon_days: int) -> float | None:
    """What moves the model's log-odds of buyers to what happened; None where too few did, or did not."""
    snapshot = source.snapshot(as_of)
    every = max(1, -(-len(snapshot.X) // ENOUGH))
    X, keys = snapshot.X[::every], snapshot.customer_keys[::every]
    said = Customers(X, source.inputs).repeat_buying(model, horizon_days=horizon_days)
    known = np.isfinite(said)
    y = label(keys, happened=source.happened(as_of, horizon_days))[known]
    if min(int(y.sum()), len(y) - int(y.sum())) < FEWEST_EITHER:
        return None
    return level_shift(said[known], float(y.mean()))
