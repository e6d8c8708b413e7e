"""From a model's score to a probability, as knots that fit in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-6  # a finite sample shows no certainty; log-odds stay finite
MOST_LOG_ODDS = float(np.log(1.0 / SMALLEST_PROBABILITY - 1.0))


def log_odds(probability: FloatArray) -> FloatArray:
    """ln(p / (1 - p)), with p kept inside (0, 1)."""
    p = np.clip(probability, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    return np.log(p / (1.0 - p))


def from_log_odds(score: FloatArray) -> FloatArray:
    """1 / (1 + exp(-score)), as far from 0 and 1 as `log_odds` keeps it: a steep line must not end in certainty."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.minimum(np.maximum(score, -MOST_LOG_ODDS), MOST_LOG_ODDS)))


def busier(probability: FloatArray, multiplier: float | FloatArray) -> FloatArray:
    """P(an order) when customers order `multiplier` times as often; shape as given, a multiplier for all or a column.

    An intensity λ gives P = 1 − exp(−λ); `multiplier` times as much gives 1 − (1 − P)^multiplier.
    """
    certain = 1.0 - SMALLEST_PROBABILITY
    return np.asarray(np.minimum(-np.expm1(multiplier * np.log1p(-np.minimum(probability, certain))), certain))


def busier_if_there(probability: FloatArray, multiplier: float, there: FloatArray) -> FloatArray:
    """The same when only customers who have not left order more often, shape `(n,)`; never more than P(there).

    With a = P(there), P = a · (1 − exp(−λ)) becomes a · (1 − (1 − P ÷ a)^multiplier). Where P is more than a, the two
    contradict each other, and P stays as it is.

    Args:
        probability: shape `(n,)`.
        multiplier: at least 1.
        there: P(the customer has not left), shape `(n,)`; NaN where nothing says it, which counts as certainly there.
    """
    known = np.maximum(np.where(np.isnan(there), 1.0, there), SMALLEST_PROBABILITY)
    share = np.minimum(probability / known, 1.0)
    return np.asarray(np.maximum(known * busier(share, multiplier), probability))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monotone, piecewise linear map from a score in log-odds to the log-odds of the event.

    Platt's line is two knots, an isotonic fit is many. Beyond the outermost knots the end segment's slope goes on for a
    line (`extend`), and the end value holds for an isotonic fit.
    """

    kind: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    extend: bool = False
    _knots: tuple[FloatArray, FloatArray] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not self.x:
            raise ValueError(
                f"A calibration has as many x as y knots, at least one; got {len(self.x)} and {len(self.y)}."
            )
        if any(b <= a for a, b in zip(self.x, self.x[1:], strict=False)):
            raise ValueError(f"A calibration's x knots rise strictly; got {self.x}.")
        if any(b < a for a, b in zip(self.y, self.y[1:], strict=False)):
            raise ValueError(f"A calibration's y knots never fall; got {self.y}.")
        object.__setattr__(self, "_knots", (np.array(self.x, dtype=np.float64), np.array(self.y, dtype=np.float64)))

    def apply(self, score: FloatArray) -> FloatArray:
        """Calibrated probabilities, the same shape as `score` (log-odds)."""
        return from_log_odds(self.calibrated(score))

    def calibrated(self, score: FloatArray) -> FloatArray:
        """Calibrated log-odds, the same shape as `score` (log-odds)."""
        if self.line is not None:
            return np.asarray(on_lines(score, *self.line))
        return np.interp(score, *self._knots)

    @property
    def line(self) -> tuple[float, float, float] | None:
        """Where it starts (x, y) and its slope, where it is one line; else None."""
        if not self.extend or len(self.x) != 2:
            return None
        return self.x[0], self.y[0], (self.y[1] - self.y[0]) / (self.x[1] - self.x[0])

    def shifted(self, offset: float) -> Calibration:
        """The same map with `offset` added to every log-odds it gives."""
        return Calibration(self.kind, self.x, tuple(y + offset for y in self.y), self.extend)

    def as_dict(self) -> dict[str, Any]:
        """What model.json keeps."""
        return {"kind": self.kind, "x": list(self.x), "y": list(self.y), "extend": self.extend}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Calibration:
        """The inverse of `as_dict`."""
        return cls(str(value["kind"]), tuple(value["x"]), tuple(value["y"]), bool(value["extend"]))


def on_lines(score: FloatArray, x: float | FloatArray, y: float | FloatArray, slope: float | FloatArray) -> FloatArray:
    """Y + slope · (score − x); shape as given, a line for all or a column of them, one a row of scores."""
    return np.asarray(y + slope * (score - x))


def lines_of(calibrations: Sequence[Calibration]) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Columns of what `on_lines` takes, one a calibration; None where any of them is no line."""
    lines = [line for one in calibrations if (line := one.line) is not None]
    if len(lines) < len(calibrations):
        return None
    x, y, slope = np.array(lines).T[:, :, np.newaxis]
    return x, y, slope


IDENTITY = Calibration("identity", (0.0, 1.0), (0.0, 1.0), extend=True)

ISOTONIC = "isotonic"
KINDS = ("shift", "platt", ISOTONIC)
STEP_PRIOR = 5.0  # rows of Platt's line in each step of an isotonic fit: few rows prove no certainty


def fit_calibration(score: FloatArray, y: NDArray[np.uint8], *, kind: str) -> Calibration:
    """The map that makes scores on a later window say what really happened there.

    Args:
        score: log-odds given by a model that did not learn from these rows, shape `(n,)`.
        y: what happened, 0 or 1; both must occur.
        kind: `shift` moves the level, `platt` moves level and slope, `isotonic` bends to any rising shape.

    References:
        Platt (1999), Probabilistic outputs for support vector machines; Zadrozny, Elkan (2002), isotonic calibration.
    """
    if kind == ISOTONIC:
        return _isotonic(score, y)
    if kind == "platt":
        intercept, slope = logistic_line(score, y)
        if slope > 0:
            return Calibration(kind, (0.0, 1.0), (intercept, intercept + slope), extend=True)
    elif kind != "shift":
        raise ValueError(f"Asked for the calibration '{kind}'; there are {', '.join(KINDS)}.")
    return IDENTITY.shifted(level_shift(score, float(np.mean(y))))


def level_shift(score: FloatArray, rate: float) -> float:
    """The offset that, added to every log-odds, makes the mean probability equal `rate`."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if float(from_log_odds(score + middle).mean()) < rate:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def logistic_line(score: FloatArray, y: NDArray[np.uint8]) -> tuple[float, float]:
    """Intercept and slope of the log-odds of `y` on `score`, by Newton's method.

    A ridge of one thousandth of an observation keeps it finite where the two classes do not overlap.
    """
    design = np.column_stack([np.ones_like(score), score])
    beta = np.array([0.0, 1.0])
    for _ in range(50):
        p = from_log_odds(design @ beta)
        gradient = design.T @ (y - p) - 1e-3 * (beta - np.array([0.0, 1.0]))
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(2)
        step = np.clip(np.linalg.solve(hessian, gradient), -5.0, 5.0)
        beta = beta + step
        if float(np.abs(step).max()) < 1e-10:
            break
    return float(beta[0]), float(beta[1])


def _isotonic(score: FloatArray, y: NDArray[np.uint8]) -> Calibration:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression().fit(score, y).predict(score)
    steps, place = np.unique(fitted, return_inverse=True)
    n, n_positive = np.bincount(place), np.bincount(place, weights=y)
    line = np.bincount(place, weights=fit_calibration(score, y, kind="platt").apply(score)) / n
    smooth = np.maximum.accumulate((n_positive + STEP_PRIOR * line) / (n + STEP_PRIOR))
    ends = [(score[place == i].min(), score[place == i].max()) for i in range(len(steps))]
    knots = [
        (round(float(x), 9), float(level)) for end, level in zip(ends, smooth, strict=True) for x in sorted(set(end))
    ]
    x, first = np.unique([knot[0] for knot in knots], return_index=True)
    levels = np.maximum.accumulate(log_odds(np.array([knots[i][1] for i in first])))
    return Calibration(ISOTONIC, tuple(x.tolist()), tuple(levels.tolist()))
