"""The segments, as they are served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.segment_names import renamed
from training.calibration import FloatArray
from training.fast_booster import Boosters
from training.served.model import Matrix, ServedInputs, ServedModel


class SegmentsModel(ServedModel):
    """P(segment | what is known of the customer); works with declared traits alone.

    Attributes:
        segment_ids: in the order of the probabilities' columns, such as `("s1", "s2", "s3")`.
        names: what a segment is called, `{segment_id: {locale: name}}`.
        descriptions: what sets it apart, in plain words, `{segment_id: {locale: sentence}}`.
        onward_days: how far ahead `predict_onward` looks; None where there was no history to learn that from.
    """

    name = "segments"

    def __init__(self, description: Mapping[str, Any], boosters: Sequence[str], *, schema: ServedInputs) -> None:
        super().__init__(description, schema=schema)
        self.segment_ids = tuple(segment["id"] for segment in description["segments"])
        self.names = {segment["id"]: dict(segment["names"]) for segment in description["segments"]}
        self.descriptions = {segment["id"]: dict(segment["descriptions"]) for segment in description["segments"]}
        self._temperature = float(description["temperature"])
        self._boosters = Boosters(boosters[:1])
        onward = description.get("onward", {})
        self.onward_days = int(onward["days"]) if "temperature" in onward else None
        self._onward_temperature = float(onward.get("temperature", 1.0))
        self._onward = Boosters(boosters[1:2]) if self.onward_days is not None else None
        self._moved = np.array(onward.get("moved", np.eye(len(self.segment_ids))))
        self._as_others = float(onward.get("as_others", 0.0))

    def call(self, names: Mapping[str, Mapping[str, str]]) -> None:
        """Takes the brand's own names, by id and locale, in place of those that were found; before it is served."""
        self.names = renamed(self.names, names)

    def predict(self, X: Matrix) -> FloatArray:
        """Calibrated probabilities, shape `(n, n_segments)`, rows sum to one.

        Args:
            X: shape `(n, len(schema.model_inputs))`, NaN where unknown.
        """
        return tempered_softmax(self._boosters.raw_scores(self._columns(X)), temperature=self._temperature)

    def predict_onward(self, X: Matrix) -> FloatArray | None:
        """Calibrated P(segment in `onward_days` days), shape `(n, n_segments)`; None where there was no history.

        Args:
            X: shape `(n, len(schema.model_inputs))`, NaN where unknown.
        """
        if self._onward is None:
            return None
        own = tempered_softmax(self._onward.raw_scores(self._columns(X)), temperature=self._onward_temperature)
        others = np.einsum("ni,ij->nj", self.predict(X), self._moved)
        return np.asarray((1.0 - self._as_others) * own + self._as_others * others)

    def assign(self, X: Matrix) -> list[str]:
        """The most probable segment's id for each row."""
        return [self.segment_ids[i] for i in self.predict(X).argmax(axis=1)]


def tempered_softmax(raw: FloatArray, *, temperature: float) -> FloatArray:
    """Probabilities from multiclass scores, flattened or sharpened by one temperature; shape as `raw`."""
    scaled = raw / temperature
    scaled -= np.maximum.reduce(scaled, axis=1, keepdims=True)
    weights = np.exp(scaled)
    return np.asarray(weights / np.add.reduce(weights, axis=1, keepdims=True))
