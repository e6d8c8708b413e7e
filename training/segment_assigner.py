"""Who is in which segment, by what is known of them: a calibrated LightGBM model over several classes.

A share of its rows has all behaviour hidden, as it is of a customer who has only answered a question, so that it never
leans on behaviour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.artifact import tempered_softmax
from training.boosting import reproducible
from training.calibration import FloatArray
from training.dataset import Snapshot, Source, training_threads
from training.segment_space import DECLARED_PREFIX, Space

MASKED_SHARE = 0.35
ROUNDS = 60
LARGEST_LESSON = 50_000  # rows a snapshot: more does not make a nearest centre any clearer
TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(4.0), 81))

Labels = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Rows with their segments.

    Attributes:
        y: shape `(n,)`.
        masked: shape `(n,)`, whose behaviour is hidden.
        who: shape `(n,)`, the customer's key.
    """

    X: NDArray[np.float32]
    y: Labels
    masked: NDArray[np.bool_]
    who: NDArray[np.int64]

    def of(self, rows: NDArray[np.bool_]) -> Lesson:
        """Those rows of it."""
        return Lesson(self.X[rows], self.y[rows], self.masked[rows], self.who[rows])


@dataclass(frozen=True, slots=True)
class Assigner:
    """A booster over some of the source's inputs, with the temperature of its scores."""

    booster: lightgbm.Booster
    columns: Sequence[int]
    temperature: float = 1.0

    def raw(self, X: NDArray[np.float32]) -> FloatArray:
        """Scores before the temperature, shape `(n, n_classes)`."""
        chosen = X[:, self.columns].astype(np.float64)
        return np.asarray(self.booster.predict(chosen, raw_score=True, num_threads=1), dtype=np.float64)

    def predict(self, X: NDArray[np.float32]) -> FloatArray:
        """Calibrated probabilities, shape `(n, n_classes)`."""
        return tempered_softmax(self.raw(X), temperature=self.temperature)


def lesson_of(snapshot: Snapshot, labels: Labels, source: Source, *, seed: int, most: int = LARGEST_LESSON) -> Lesson:
    """Every row whole, then a share of them again with behaviour hidden; rows without a label (-1) are left out."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(labels))
    chosen = np.sort(drawn[labels[drawn] >= 0][:most])
    X, y = snapshot.X[chosen], labels[chosen]
    again = np.sort(rng.permutation(len(y))[: max(1, round(MASKED_SHARE * len(y)))])
    hidden = hide_behaviour(X[again], inputs=source.inputs, like=snapshot.X, as_newcomers=rng.random(len(again)) < 0.5)
    masked = np.repeat([False, True], [len(y), len(again)])
    who = snapshot.customer_keys[chosen]
    return Lesson(np.vstack([X, hidden]), np.concatenate([y, y[again]]), masked, np.concatenate([who, who[again]]))


def hide_behaviour(
    X: NDArray[np.float32], *, inputs: Sequence[str], like: NDArray[np.float32], as_newcomers: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The same customers with nothing known but what they declared.

    Args:
        X: rows to hide, shape `(n, n_inputs)`.
        inputs: names of the columns.
        like: a snapshot, which shows the columns that are never missing: counts, 0 for one who did nothing.
        as_newcomers: shape `(n,)`; for these, such counts are 0, for the others they are missing too.
    """
    hidden = X.copy()
    behaviour = np.array([not name.startswith(DECLARED_PREFIX) for name in inputs])
    hidden[:, behaviour] = np.nan
    counts = behaviour & ~np.isnan(like).any(axis=0)
    hidden[np.ix_(as_newcomers, counts)] = 0.0
    return hidden


def columns_of(space: Space, source: Source) -> list[int]:
    """What places a customer in the space, and everything about what they declared: nothing else can help."""
    used = {axis.input for axis in space.axes}
    return [i for i, name in enumerate(source.inputs) if name in used or name.startswith(DECLARED_PREFIX)]


def boost(
    lesson: Lesson, *, k: int, source: Source, columns: Sequence[int], seed: int, rounds: int = ROUNDS
) -> Assigner:
    """A booster of k classes, its temperature still 1."""
    names = [source.inputs[i] for i in columns]
    X = lesson.X[:, columns].astype(np.float64)
    categorical = [i for i, name in enumerate(names) if name in source.categories]
    data = lightgbm.Dataset(X, lesson.y, feature_name=names, categorical_feature=categorical, params={"verbose": -1})
    parameters = {
        "objective": "multiclass",
        "num_class": k,
        "num_leaves": 8,
        "learning_rate": 0.1,
        "min_data_in_leaf": 20,
        "feature_fraction": 0.6,
        **reproducible(seed=seed, threads=training_threads(X)),
    }
    return Assigner(lightgbm.train(parameters, data, num_boost_round=rounds), columns)


def temperature_of(raw: FloatArray, y: Labels) -> float:
    """The one on a grid from 1/4 to 4 with the least log-loss."""
    losses = [log_loss(tempered_softmax(raw, temperature=float(t)), y) for t in TEMPERATURES]
    return round(float(TEMPERATURES[int(np.argmin(losses))]), 6)


def log_loss(probabilities: FloatArray, y: Labels) -> float:
    """The mean of −log P(the segment that it was)."""
    return float(-np.log(np.clip(probabilities[np.arange(len(y)), y], 1e-6, 1.0)).mean())
