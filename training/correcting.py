"""What models of repeat buying missed in a window that has closed, learned as a few numbers on top of what they say.

A regression on logarithms of recency, frequency and money starts from their log-odds rather than from nothing, and is
drawn towards adding nothing, its level included: with few rows it is hardly there. Since it only adds to log-odds, it
goes along to a longer horizon, which a model of repeat buying speaks of without having seen one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.calibration import from_log_odds
from training.linear import RIDGE, Linear, rounded, standardised

Floats = NDArray[np.float64]

MOST_STEPS, LONGEST_STEP, CLOSE = 100, 3.0, 1e-10


def fit_correction(design: Floats, y: NDArray[np.uint8], *, said: Floats, columns: Sequence[tuple[str, ...]]) -> Linear:
    """What is to be added to log-odds that were said, such that they fit what happened.

    Args:
        design: shape `(n, len(columns))`, NaN where unknown.
        y: what happened, 0 or 1, shape `(n,)`.
        said: log-odds by a model that did not see it, shape `(n,)`.
        columns: of the design.
    """
    mean, scale, unit = standardised(design)
    with_level = np.column_stack([np.ones(len(y)), unit])
    added = np.zeros(with_level.shape[1])
    for _ in range(MOST_STEPS):
        p = from_log_odds(said + with_level @ added)
        slope = with_level.T @ (y - p) - RIDGE * added
        bend = (with_level * (p * (1.0 - p))[:, None]).T @ with_level + RIDGE * np.eye(len(added))
        step = np.clip(np.linalg.solve(bend, slope), -LONGEST_STEP, LONGEST_STEP)
        added = added + step
        if float(np.abs(step).max()) < CLOSE:
            break
    level, *coefficients = rounded(added)
    return Linear(tuple(columns), rounded(mean), rounded(scale), tuple(coefficients), level)
