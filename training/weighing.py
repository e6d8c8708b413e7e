"""How much say each member of a next-purchase model has, learned from what each says of customers it did not see.

A logistic regression of what happened on the members' log-odds, none of them against itself (weights are never
negative); of a customer of whom some say nothing, the mean of the others speaks as loudly as all would. It is drawn
towards a say that was settled beforehand: a fit to few rows stays there, and one to many follows what they show. Only
the shares are kept; level and slope are calibration's.

References:
    Wolpert (1992), Stacked generalization; Breiman (1996), Stacked regressions (weights that are not negative).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.calibration import from_log_odds
from training.linear import rounded
from training.members import BESIDE, LINEAR, REPEAT_BUYING, TREES

Floats = NDArray[np.float64]

SAY_BEFOREHAND = {TREES: 2.0, LINEAR: 2.0, REPEAT_BUYING: 1.0, BESIDE: 1.0}  # two that know the same share one say
DRAWN = 20.0  # in rows: the prior of a weight; 5 is noise where few order, 100 hardly leaves the say settled beforehand
NEXT_TO_NONE = 1e-6  # of a weight: with none at all, nobody would speak of a customer whom the others do not know
LEAST_SAY = 0.03  # below it a member only costs time


def weighed(said: Mapping[str, Floats], y: NDArray[np.uint8]) -> dict[str, float]:
    """The share of each member that has a say, by its name; they sum to 1, and whoever has next to none is left out.

    Args:
        said: log-odds of customers whom the member did not learn from, at the level of `y`, each of shape `(n,)`; NaN
            where it can say nothing.
        y: what happened, 0 or 1, shape `(n,)`.
    """
    names = list(said)
    while True:
        shares = _shares(said, y, names)
        if len(names) == 1 or shares.min() >= LEAST_SAY:
            return dict(zip(names, rounded(shares), strict=True))
        names.pop(int(np.argmin(shares)))


def _shares(said: Mapping[str, Floats], y: NDArray[np.uint8], names: list[str]) -> Floats:
    from scipy.optimize import minimize

    before = np.array([SAY_BEFOREHAND[name] for name in names])
    before /= before.sum()
    scores = np.column_stack([said[name] for name in names])
    speaks = np.isfinite(scores)
    any_speaks = speaks.any(axis=1)
    if not any_speaks.any():
        return before
    speaks, happened = speaks[any_speaks].astype(np.float64), y[any_speaks].astype(np.float64)
    scores = np.where(speaks > 0, scores[any_speaks], 0.0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        level, weights = parameters[0], parameters[1:]
        heard, loudness = speaks @ weights, weights.sum()
        mean = scores @ weights / heard
        told, away = level + loudness * mean, weights - before
        wrong = from_log_odds(told) - happened
        value = np.logaddexp(0.0, told).sum() - (happened * told).sum() + DRAWN / 2 * (away**2).sum()
        louder = loudness * wrong / heard
        slope = scores.T @ louder - speaks.T @ (louder * mean) + (wrong * mean).sum() + DRAWN * away
        return float(value), np.concatenate([[wrong.sum()], slope])

    bounds = [(None, None), *[(NEXT_TO_NONE, None)] * len(names)]
    found = minimize(loss, np.concatenate([[0.0], before]), jac=True, method="L-BFGS-B", bounds=bounds).x[1:]
    total = float(found.sum())
    return np.asarray(found / total) if total > 0 else before
