"""What Rapport itself says of the buyers of a task: its next-purchase head, expected order-days and spend."""

from __future__ import annotations

import numpy as np

from training.evaluating.task import Floats, Said, Task


def ours(task: Task) -> Said:
    """Fitted as `rapport train` would have on the day of the cutoff."""
    from training.next_purchase import fit_head

    snapshot = task.source.snapshot(task.cutoff)
    head = fit_head(task.source, horizon_days=task.horizon_days, used_at=task.cutoff, seed=task.seed)
    probability = aligned(task, snapshot.customer_keys, head.predict(snapshot.X))
    return Said(probability, name="ours")


def aligned(task: Task, keys: np.ndarray, values: Floats) -> Floats:
    """Values of a snapshot's customers, by rising key, in the order of the task's buyers."""
    place = np.searchsorted(keys, task.buyers.keys)
    found = place < len(keys)
    found[found] = keys[place[found]] == task.buyers.keys[found]
    return np.where(found, values[np.minimum(place, len(keys) - 1)], np.nan)
