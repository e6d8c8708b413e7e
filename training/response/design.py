"""The design that linear terms are over, made once from the rows to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from training.response.terms import Design, raw_columns

Floats = NDArray[np.float64]

FEWEST_OF_A_COLUMN = 0.005  # the share of rows that must differ from the others for a column to be of use
SKEWED = 2.0  # a skewness beyond which a column is taken as its logarithm


def design_for(X: Floats, *, inputs: Sequence[str], categories: Mapping[str, Sequence[str]]) -> Design:
    """The design of these inputs: a column a number, one a category, one where enough is unknown.

    Args:
        X: shape `(n, n_inputs)`, NaN where unknown.
        inputs: the names of its columns.
        categories: of the categorical ones, by name.
    """
    columns: list[tuple[str, ...]] = []
    for place, name in enumerate(inputs):
        values = X[:, place]
        unknown = np.isnan(values)
        if name in categories:
            columns += [("is", name, str(code)) for code in range(len(categories[name]))]
        else:
            columns.append(("log" if _skewness(values[~unknown]) > SKEWED else "value", name))
        columns.append(("missing", name))
    places = {name: place for place, name in enumerate(inputs)}
    return _useful(raw_columns(X, columns, places=places), columns)


def _skewness(values: Floats) -> float:
    if len(values) < 3 or float(np.ptp(values)) <= 0.0:
        return 0.0
    centred = values - values.mean()
    return float(abs((centred**3).mean()) / max(float((centred**2).mean()) ** 1.5, 1e-300))


def _useful(made: Floats, columns: Sequence[tuple[str, ...]]) -> Design:
    """Without columns that hardly differ between rows, or repeat one that is there."""
    known = np.isfinite(made)
    mean = np.where(known, made, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, made - mean, 0.0)
    scale = centred.std(axis=0)
    kept: list[int] = []
    seen: set[bytes] = set()
    for place, (kind, *_) in enumerate(columns):
        if scale[place] < 1e-9:
            continue
        share = (
            min(float(made[:, place].mean()), 1.0 - float(made[:, place].mean())) if kind in ("missing", "is") else 1.0
        )
        key = np.round(centred[:, place] / scale[place], 6).tobytes()
        if share < FEWEST_OF_A_COLUMN or key in seen:
            continue
        seen.add(key)
        kept.append(place)
    nine = np.vectorize(lambda value: float(f"{value:.9g}"), otypes=[np.float64])
    if not kept:
        return Design((), np.empty(0), np.empty(0))
    return Design(tuple(columns[place] for place in kept), nine(mean[kept]), nine(scale[kept]))
