"""What was known of a customer before something was decided: rows of snapshots, never of a later one."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from training.dataset import Source
from training.labels import EPOCH

DAY_US = 86_400_000_000
MOST_SNAPSHOTS = 60
_WEEK_FROM = 4 * DAY_US  # the epoch was a Thursday: weeks begin on Mondays


def starts_of(at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each decision the start of its day, shape `(n,)`; of its week, or of four, where that is too many days.

    A snapshot is as of midnight UTC: what happened on the decision's own day before it is not in it.
    """
    for days in (1, 7):
        starts = _floor(at_us, days)
        if len(np.unique(starts)) <= MOST_SNAPSHOTS:
            return starts
    return _floor(at_us, 28)


def known_before(
    source: Source, customer_keys: NDArray[np.int64], as_of_us: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The snapshot row of each customer as of an instant, `(n, n_inputs)`, and whether there was one, `(n,)`."""
    instants = {int(us): EPOCH + timedelta(microseconds=int(us)) for us in np.unique(as_of_us)}
    source.prepare(list(instants.values()))
    X = np.full((len(customer_keys), len(source.inputs)), np.nan, dtype=np.float32)
    is_known = np.zeros(len(customer_keys), dtype=np.bool_)
    for us, as_of in instants.items():
        asked = np.flatnonzero(as_of_us == us)
        snapshot = source.snapshot(as_of)
        if not len(snapshot.customer_keys):
            continue
        keys = customer_keys[asked]
        place = np.searchsorted(snapshot.customer_keys, keys).clip(max=len(snapshot.customer_keys) - 1)
        found = snapshot.customer_keys[place] == keys
        X[asked[found]] = snapshot.X[place[found]]
        is_known[asked[found]] = True
    return X, is_known


def _floor(at_us: NDArray[np.int64], days: int) -> NDArray[np.int64]:
    reach = days * DAY_US
    shift = 0 if days == 1 else _WEEK_FROM
    return np.asarray((at_us - shift) // reach * reach + shift)
