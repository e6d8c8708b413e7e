"""A ridge logistic regression on logarithms of recency, frequency and money: few numbers that generalise from few rows.

Its columns are written in model.json as they are here, so that serving computes the same from the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.repeat_buying import started_days

Floats = NDArray[np.float64]

RIDGE = 50.0  # in rows: a coefficient's prior is N(0, 1/50), of a standardised column; no search was worth it
_BOUGHT = ("days_since_last_order", "days_since_first_order", "n_order_days")
COLUMNS: tuple[tuple[str, ...], ...] = (
    ("log", "days_since_last_order"),
    ("log", "days_since_first_order"),
    ("log", "n_order_days"),
    ("log", "n_order_days_90d"),
    ("log", "n_order_days_365d"),
    ("log", "revenue"),
    ("pace", *_BOUGHT),
    ("gap", *_BOUGHT),
    ("missing", "days_since_last_order"),
    ("log", "days_since_last_event"),
    ("log", "n_product_views_30d"),
    ("log", "n_add_to_carts_30d"),
)
"""Kind and inputs of each column; one whose inputs a schema does not have is left out.

log: ln(1 + x). missing: 1 where x is unknown. pace: the present silence, in mean gaps between orders. gap: ln(1 + mean
gap), a first-time buyer's being their age.
"""


RFM = COLUMNS[:8]  # recency, frequency and money of whoever has bought


def columns_for(inputs: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Those of COLUMNS that can be made of these inputs."""
    return tuple(column for column in COLUMNS if set(column[1:]) <= set(inputs))


@dataclass(frozen=True, slots=True)
class Linear:
    """A fitted regression over some columns; unknown values count as average."""

    columns: tuple[tuple[str, ...], ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    _mean: Floats = field(init=False, repr=False, compare=False)
    _weights: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_mean", np.array(self.mean))
        object.__setattr__(self, "_weights", np.array(self.coefficients) / np.array(self.scale))

    def scores(self, design: Floats) -> Floats:
        """Log-odds, shape `(n,)`, of the rows of a design `(n, len(columns))`; a row alone gets the same bits.

        That is what a replay rests on, and BLAS does not keep it: `@` adds in another order for one row.
        """
        return np.asarray(np.add.reduce(self._centred(design) * self._weights, axis=1) + self.intercept)

    def terms(self, design: Floats) -> Floats:
        """What each column adds to the intercept, shape `(n, len(columns))`."""
        return np.asarray(self._centred(design) * self._weights)

    def _centred(self, design: Floats) -> Floats:
        centred = design - self._mean
        centred[np.isnan(centred)] = 0.0
        return centred

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        return {
            "columns": [list(column) for column in self.columns],
            "mean": list(self.mean),
            "scale": list(self.scale),
            "coefficients": list(self.coefficients),
            "intercept": self.intercept,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Linear:
        """The inverse of `as_dict`."""
        return cls(
            tuple(tuple(column) for column in value["columns"]),
            tuple(value["mean"]),
            tuple(value["scale"]),
            tuple(value["coefficients"]),
            float(value["intercept"]),
        )


def design_of(
    X: Floats | NDArray[np.float32], columns: Sequence[Sequence[str]], *, places: Mapping[str, int]
) -> Floats:
    """The columns' values, shape `(n, len(columns))`, NaN where an input is unknown."""
    made = np.empty((len(X), len(columns)))
    logs = [(at, places[names[0]]) for at, (kind, *names) in enumerate(columns) if kind == "log"]
    made[:, [at for at, _ in logs]] = np.log1p(np.maximum(X[:, [place for _, place in logs]].astype(np.float64), 0.0))
    for at, (kind, *names) in enumerate(columns):
        if kind != "log":
            made[:, at] = _KINDS[kind](*(X[:, places[name]].astype(np.float64) for name in names))
    return made


def fit_linear(design: Floats, y: NDArray[np.uint8], *, columns: Sequence[tuple[str, ...]]) -> Linear:
    """The regression of `y` (0 or 1, both occur) on a design's rows, shape `(n, len(columns))`."""
    from sklearn.linear_model import LogisticRegression

    mean, scale, unit = standardised(design)
    fitted = LogisticRegression(C=1.0 / RIDGE, max_iter=1_000).fit(unit, y)
    return Linear(
        tuple(columns),
        rounded(mean),
        rounded(scale),
        rounded(fitted.coef_[0]),
        rounded(fitted.intercept_)[0],
    )


def standardised(design: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean and scale of each column, and the columns by them; what is unknown is average, so 0."""
    known = np.isfinite(design)
    # A column that nobody has a value for has mean 0, and says nothing.
    mean = np.where(known, design, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    centred = np.where(known, design - mean, 0.0)
    scale = centred.std(axis=0)
    scale[scale < 1e-9] = 1.0
    return mean, scale, centred / scale


def _gaps(recency: Floats, age: Floats, n: Floats) -> tuple[Floats, Floats, Floats]:
    return started_days(recency), started_days(age), np.maximum(n, 1.0)


def _pace(recency: Floats, age: Floats, n: Floats) -> Floats:
    recency, age, n = _gaps(recency, age, n)
    return np.asarray(recency / (age / n + 1.0))


def _gap(recency: Floats, age: Floats, n: Floats) -> Floats:
    recency, age, n = _gaps(recency, age, n)
    return np.asarray(np.log1p(np.where(n > 1, (age - recency) / np.maximum(n - 1.0, 1.0), age)))


def _missing(x: Floats) -> Floats:
    return np.isnan(x).astype(np.float64)


_KINDS: dict[str, Callable[..., Floats]] = {"pace": _pace, "gap": _gap, "missing": _missing}


def rounded(values: Floats) -> tuple[float, ...]:
    """To nine digits: the last bits of a sum depend on how many threads made it."""
    return tuple(float(f"{value:.9g}") for value in np.atleast_1d(values))
