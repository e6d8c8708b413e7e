"""RFM segments: recency, frequency and money in fifths, and the names that marketers know them by.

They stand beside the discovered segments, for whoever thinks in them: eleven named cells of a five by five grid, after
recency, and frequency with money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FIFTHS = (0.2, 0.4, 0.6, 0.8)
INPUTS = {"recency": "days_since_last_order", "frequency": "n_orders", "money": "revenue"}
NEVER = "never_ordered"

# Rows: recency from 5 (just now) to 1 (long ago); columns: the mean of frequency and money from 1 to 5.
_GRID = {
    5: ("new", "promising", "potential_loyalist", "loyal", "champion"),
    4: ("promising", "promising", "potential_loyalist", "loyal", "champion"),
    3: ("about_to_sleep", "about_to_sleep", "needs_attention", "loyal", "loyal"),
    2: ("hibernating", "hibernating", "at_risk", "at_risk", "cannot_lose"),
    1: ("lost", "hibernating", "at_risk", "at_risk", "cannot_lose"),
}


def learn_rfm(X: NDArray[np.float32], *, inputs: Sequence[str]) -> dict[str, list[float]] | None:
    """Where the fifths of buyers lie, for model.json; None where nobody ordered, or one of the three is unknown.

    Args:
        X: a snapshot, shape `(n, n_inputs)`.
        inputs: names of its columns.
    """
    if not set(INPUTS.values()) <= set(inputs):
        return None
    of = {part: X[:, list(inputs).index(name)].astype(np.float64) for part, name in INPUTS.items()}
    buyers = np.nan_to_num(of["frequency"]) > 0
    if not all(np.isfinite(known[buyers]).any() for known in of.values()):
        return None
    return {part: [round(float(v), 6) for v in np.nanquantile(of[part][buyers], FIFTHS)] for part in INPUTS}


def rfm_of(X: NDArray[np.float32], *, inputs: Sequence[str], fifths: Mapping[str, Any]) -> NDArray[np.object_]:
    """Each customer's RFM segment, shape `(n,)`.

    Args:
        X: a snapshot, shape `(n, n_inputs)`.
        inputs: names of its columns.
        fifths: as `learn_rfm` gave them.
    """
    of = {part: X[:, list(inputs).index(name)].astype(np.float64) for part, name in INPUTS.items()}
    recency = 5 - np.searchsorted(fifths["recency"], of["recency"], side="left")
    frequency = 1 + np.searchsorted(fifths["frequency"], of["frequency"], side="left")
    money = 1 + np.searchsorted(fifths["money"], np.nan_to_num(of["money"]), side="left")
    worth = np.floor((frequency + money) / 2 + 0.5).astype(np.intp)
    names = np.array([_GRID[int(r)][int(w) - 1] for r, w in zip(recency, worth, strict=True)], dtype=object)
    return np.where(np.nan_to_num(of["frequency"]) > 0, names, NEVER)
