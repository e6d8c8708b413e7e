"""The assigner judged on the segment of 90 days later, beside what anybody would say without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.calibration import FloatArray
from training.segment_onward import moves, shares
from training.segment_space import is_declared_value

DID = (
    "n_orders",
    "n_refunds",
    "n_product_views",
    "n_add_to_carts",
    "n_messages_clicked",
    "n_page_views_365d",
    "n_ad_clicks_365d",
)
FEWEST = 30
BINS = 10

Labels = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Model:
    """What one of those beside each other said.

    Attributes:
        probabilities: shape `(n, k)`; None where it only names a segment.
        named: shape `(n,)`.
    """

    name: str
    named: Labels
    probabilities: FloatArray | None

    @classmethod
    def saying(cls, name: str, probabilities: FloatArray) -> Model:
        """One that gives probabilities, and names the largest."""
        return cls(name, probabilities.argmax(axis=1), probabilities)

    def judged(self, y: Labels, rows: NDArray[np.bool_]) -> dict[str, float | None]:
        """Accuracy, log-loss, Brier score and calibration error on those rows.

        A label of -1 is nobody's to name: it counts against the accuracy, and the others leave it out.
        """
        accuracy = float((self.named[rows] == y[rows]).mean())
        known = rows & (y >= 0)
        if self.probabilities is None or not known.any():
            return {"accuracy": accuracy, "log_loss": None, "brier": None, "calibration_error": None}
        p, truth = self.probabilities[known], y[known]
        one_hot = np.eye(p.shape[1])[truth]
        return {
            "accuracy": accuracy,
            "log_loss": float(-np.log(np.clip(p[np.arange(len(truth)), truth], 1e-6, 1.0)).mean()),
            "brier": float(((p - one_hot) ** 2).sum(axis=1).mean()),
            "calibration_error": calibration_error(p, truth),
        }


def calibration_error(probabilities: FloatArray, y: Labels) -> float:
    """How far the probability of the named segment is from how often it is right, over ten equally full bins."""
    sure = probabilities.max(axis=1)
    right = (probabilities.argmax(axis=1) == y).astype(np.float64)
    bins = np.array_split(np.argsort(sure, kind="stable"), BINS)
    return float(sum(abs(sure[b].mean() - right[b].mean()) * len(b) for b in bins if len(b)) / len(y))


def audiences(X: NDArray[np.float32], *, inputs: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Who is known how: by behaviour and declared traits (full), by one of them only, and everybody; shapes `(n,)`."""
    columns = {name: X[:, i] for i, name in enumerate(inputs)}
    nobody = np.zeros(len(X), dtype=bool)
    did, said = nobody.copy(), nobody.copy()
    for name in DID:
        did |= np.nan_to_num(columns[name]) > 0 if name in columns else nobody
    for name, values in columns.items():
        if is_declared_value(name):
            said |= ~np.isnan(values)
    return {
        "everybody": ~nobody,
        "full": did & said,
        "behaviour_only": did & ~said,
        "declared_only": ~did & said,
    }


def prior(
    who: Mapping[str, NDArray[np.bool_]], y: Labels, *, of: Mapping[str, NDArray[np.bool_]], k: int
) -> FloatArray:
    """Each customer's prior: the shares among those who were known in the same way when it was learned; `(n, k)`.

    Args:
        who: the audiences when it was learned.
        y: the segments of those customers 90 days later.
        of: the audiences of those it is said of.
        k: how many segments.
    """
    said = np.tile(shares(y, k=k), (len(of["everybody"]), 1))
    for name in ("full", "behaviour_only", "declared_only"):
        if (who[name] & (y >= 0)).sum() >= FEWEST:
            said[of[name]] = shares(y[who[name]], k=k)
    return said


def as_others_moved(now: Labels, then: Labels, y: Labels, *, k: int) -> FloatArray:
    """Where customers of each segment went in the 90 days before, said of those who are in it now; `(n, k)`."""
    return np.asarray(moves(then, y, k=k)[now])


def table(
    models: Mapping[str, Sequence[Model]], y: Labels, who: Mapping[str, NDArray[np.bool_]], *, truth: str
) -> list[dict[str, Any]]:
    """Every audience's figures of every model; one of fewer than 30 customers is said to be too small.

    Args:
        models: those beside each other, by audience.
        y: what was true, -1 where no segment that they know of was.
        who: the audiences.
        truth: which kind of truth that is.
    """
    rows: list[dict[str, Any]] = []
    for name, inside in who.items():
        row: dict[str, Any] = {"truth": truth, "audience": name, "n": int(inside.sum())}
        row["n_in_known_segments"] = int((inside & (y >= 0)).sum())
        if inside.sum() < FEWEST:
            rows.append(row | {"models": [], "reason": f"{inside.sum()} customers; {FEWEST} are needed"})
            continue
        figures = [
            {"name": one.name, "metrics": {m: _rounded(v) for m, v in one.judged(y, inside).items()}}
            for one in models[name]
        ]
        rows.append(row | {"models": figures})
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
