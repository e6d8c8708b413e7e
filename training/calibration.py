"""From a model's score to a probability, as knots that fit in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

SMALLEST_PROBABILITY = 1e-6  # a finite sample shows no certainty; log-odds stay finite


def log_odds(probability: FloatArray) -> FloatArray:
    """ln(p / (1 - p)), with p kept inside (0, 1)."""
    p = np.clip(probability, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    return np.log(p / (1.0 - p))


def from_log_odds(score: FloatArray) -> FloatArray:
    """1 / (1 + exp(-score)), without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * score))


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

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not self.x:
            raise ValueError(
                f"A calibration has as many x as y knots, at least one; got {len(self.x)} and {len(self.y)}."
            )
        if any(b <= a for a, b in zip(self.x, self.x[1:], strict=False)):
            raise ValueError(f"A calibration's x knots rise strictly; got {self.x}.")
        if any(b < a for a, b in zip(self.y, self.y[1:], strict=False)):
            raise ValueError(f"A calibration's y knots never fall; got {self.y}.")

    def apply(self, score: FloatArray) -> FloatArray:
        """Calibrated probabilities, the same shape as `score` (log-odds)."""
        if self.extend and len(self.x) == 2:
            slope = (self.y[1] - self.y[0]) / (self.x[1] - self.x[0])
            return from_log_odds(self.y[0] + slope * (score - self.x[0]))
        return from_log_odds(np.interp(score, self.x, self.y))

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


IDENTITY = Calibration("identity", (0.0, 1.0), (0.0, 1.0), extend=True)
