"""Segments: discovered, named, and assigned by a calibrated LightGBM model that also works on declared traits alone.

Groups are discovered on the snapshot of last week. The assigner learns from the week before, is calibrated on last
week and judged on today's snapshot, and that very booster is served: a temperature fits the scores of no other. A share
of its rows has all behaviour hidden, as it is of a customer who has only answered a question, so that it never leans on
behaviour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from features.brand import Brand
from training.artifact import SEGMENTS, tempered_softmax
from training.calibration import FloatArray
from training.dataset import Source
from training.segment_discovery import discover, nearest, separation
from training.segment_profiles import describe_segments
from training.segment_space import DECLARED_PREFIX, Space, learn_space
from training.split import WEEK, TooLittleData

if TYPE_CHECKING:
    from training.dataset import Snapshot

FEWEST_CUSTOMERS = 100
MASKED_SHARE = 0.35
ROUNDS = 60
LARGEST_LESSON = 50_000  # rows a snapshot: more does not make a nearest centre any clearer
TEMPERATURES = np.exp(np.linspace(np.log(0.25), np.log(4.0), 81))


@dataclass(frozen=True, slots=True)
class SegmentsJudged:
    """What today's snapshot says of an assigner that knew nothing of it.

    Attributes:
        log_loss: of the assigner, on whole and masked rows; `log_loss_of_constant` of known shares.
        accuracy: on whole rows; `accuracy_masked` on rows with declared traits alone.
        separation: the silhouette of the segments assigned today; `separation_of_previous` of the previous version's.
    """

    n: int
    log_loss: float
    log_loss_of_constant: float
    accuracy: float
    accuracy_masked: float
    separation: float
    separation_of_previous: float | None

    def as_dict(self) -> dict[str, float]:
        """Rounded, without what could not be had."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: round(value, 6) for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class TrainedSegments:
    """A model ready to be written, and what it was judged by."""

    description: dict[str, Any]
    booster: lightgbm.Booster
    judged: SegmentsJudged

    @property
    def boosters(self) -> list[str]:
        """LightGBM's text."""
        return [self.booster.model_to_string()]


def train_segments(
    source: Source, *, brand: Brand, previous: Mapping[str, Any] | None = None, seed: int = 0
) -> TrainedSegments:
    """Discovers segments, aligns them to the previous version, and learns to assign them.

    Args:
        source: of snapshots.
        brand: for the languages and labels of names.
        previous: the champion's model.json, whose ids and names persist where a segment is still the same.
        seed: of everything random.

    Raises:
        TooLittleData: too few customers, or too few of them two weeks ago.
    """
    before, last, today = (_snapshot(source, weeks_ago) for weeks_ago in (2, 1, 0))
    space = learn_space(last.X, inputs=source.inputs, categories=source.categories)
    if not space.axes:
        raise TooLittleData("Asked for segments, but customers differ in nothing that is known of them yet.")
    found = discover(space.place(last.X, inputs=source.inputs), seed=seed)
    placed = [space.place(snapshot.X, inputs=source.inputs) for snapshot in (before, last, today)]
    labels = [nearest(p, found.centres) for p in placed]
    k = len(found.centres)

    lessons = [
        _lesson(s, y, source, seed=seed + i) for i, (s, y) in enumerate(zip((before, last, today), labels, strict=True))
    ]
    columns = _columns_of(space, source)
    assigner = _boost(lessons[0], k=k, source=source, columns=columns, seed=seed)
    temperature = _temperature(assigner.raw(lessons[1][0]), lessons[1][1])
    judged = _judge(assigner, temperature, lessons, placed[2], space=space, source=source, previous=previous, seed=seed)

    segments = describe_segments(space, found.centres, labels[1], last, source=source, brand=brand, previous=previous)
    description = {
        "name": SEGMENTS,
        "as_of": source.known_until.isoformat(),
        "inputs": [source.inputs[i] for i in columns],
        "categories": {name: list(values) for name, values in source.categories.items()},
        "schema_version": source.schema_version,
        "fingerprint": source.fingerprint(),
        "seed": seed,
        "temperature": temperature,
        "space": space.as_list(),
        "segments": segments,
        "discovery": {
            "silhouette": round(found.silhouette, 6),
            "stability": round(found.stability, 6),
            "candidates": list(found.candidates),
        },
        "windows": {
            "train": before.as_of.isoformat(),
            "calibrate": last.as_of.isoformat(),
            "judge": today.as_of.isoformat(),
        },
        "recipe": {"rounds": ROUNDS, "masked_share": MASKED_SHARE},
        "judged": {name: value for name, value in judged.as_dict().items() if name != "separation_of_previous"},
    }
    return TrainedSegments(description, assigner.booster, judged)


def _snapshot(source: Source, weeks_ago: int) -> Snapshot:
    as_of = source.known_until - timedelta(days=WEEK * weeks_ago)
    if as_of <= source.first:
        ready = source.first + timedelta(days=WEEK * 2 + 1)
        raise TooLittleData(
            f"Asked for segments as of {source.known_until:%Y-%m-%d}, but events begin on {source.first:%Y-%m-%d}. "
            f"They need two weeks of history, one to learn from and one to calibrate on: wait until {ready:%Y-%m-%d}."
        )
    snapshot = source.snapshot(as_of)
    if len(snapshot.customer_keys) < FEWEST_CUSTOMERS:
        raise TooLittleData(
            f"Asked for segments, but as of {as_of:%Y-%m-%d} only {len(snapshot.customer_keys)} customers were known. "
            f"They need {FEWEST_CUSTOMERS}, two weeks before the day of training: import more, or train later."
        )
    return snapshot


Lesson = tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.bool_]]


def _lesson(snapshot: Snapshot, labels: NDArray[np.intp], source: Source, *, seed: int) -> Lesson:
    """Every row whole, then a share of them again with behaviour hidden; with the labels, and which are masked."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(labels))[:LARGEST_LESSON])
    X, y = snapshot.X[chosen], labels[chosen]
    again = np.sort(rng.permutation(len(y))[: max(1, round(MASKED_SHARE * len(y)))])
    hidden = hide_behaviour(X[again], inputs=source.inputs, like=snapshot.X, as_newcomers=rng.random(len(again)) < 0.5)
    masked = np.repeat([False, True], [len(y), len(again)])
    return np.vstack([X, hidden]), np.concatenate([y, y[again]]), masked


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


@dataclass(frozen=True, slots=True)
class _Assigner:
    booster: lightgbm.Booster
    columns: Sequence[int]  # of the source's inputs

    def raw(self, X: NDArray[np.float32]) -> FloatArray:
        chosen = X[:, self.columns].astype(np.float64)
        return np.asarray(self.booster.predict(chosen, raw_score=True, num_threads=2), dtype=np.float64)


def _columns_of(space: Space, source: Source) -> list[int]:
    """What places a customer in the space, and everything about what they declared: nothing else can help."""
    used = {axis.input for axis in space.axes}
    return [i for i, name in enumerate(source.inputs) if name in used or name.startswith(DECLARED_PREFIX)]


def _boost(lesson: Lesson, *, k: int, source: Source, columns: Sequence[int], seed: int) -> _Assigner:
    names = [source.inputs[i] for i in columns]
    X, y = lesson[0][:, columns].astype(np.float64), lesson[1]
    categorical = [i for i, name in enumerate(names) if name in source.categories]
    data = lightgbm.Dataset(X, y, feature_name=names, categorical_feature=categorical, params={"verbose": -1})
    parameters = {
        "objective": "multiclass",
        "num_class": k,
        "num_leaves": 8,
        "learning_rate": 0.1,
        "min_data_in_leaf": 20,
        "feature_fraction": 0.6,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 2,
        "verbose": -1,
    }
    return _Assigner(lightgbm.train(parameters, data, num_boost_round=ROUNDS), columns)


def _temperature(raw: FloatArray, y: NDArray[np.intp]) -> float:
    """The one on a grid from 1/4 to 4 with the least log-loss."""
    losses = [_log_loss(tempered_softmax(raw, temperature=float(t)), y) for t in TEMPERATURES]
    return round(float(TEMPERATURES[int(np.argmin(losses))]), 6)


def _log_loss(probabilities: FloatArray, y: NDArray[np.intp]) -> float:
    return float(-np.log(np.clip(probabilities[np.arange(len(y)), y], 1e-6, 1.0)).mean())


def _judge(
    assigner: _Assigner,
    temperature: float,
    lessons: Sequence[Lesson],
    placed: FloatArray,
    *,
    space: Space,
    source: Source,
    previous: Mapping[str, Any] | None,
    seed: int,
) -> SegmentsJudged:
    X, y, masked = lessons[2]
    probabilities = tempered_softmax(assigner.raw(X), temperature=temperature)
    shares = np.bincount(lessons[1][1], minlength=probabilities.shape[1]) / len(lessons[1][1])
    right = probabilities.argmax(axis=1) == y
    today = source.snapshot(source.known_until)
    assigned = tempered_softmax(assigner.raw(today.X), temperature=temperature).argmax(axis=1)
    return SegmentsJudged(
        n=len(today.customer_keys),
        log_loss=_log_loss(probabilities, y),
        log_loss_of_constant=_log_loss(np.tile(shares, (len(y), 1)), y),
        accuracy=float(right[~masked].mean()),
        accuracy_masked=float(right[masked].mean()),
        separation=separation(placed, assigned, seed=seed),
        separation_of_previous=_separation_of_previous(placed, previous, space=space, source=source, seed=seed),
    )


def _separation_of_previous(
    placed: FloatArray, previous: Mapping[str, Any] | None, *, space: Space, source: Source, seed: int
) -> float | None:
    """How well the previous version's groups separate today's customers, in today's space; None without one."""
    if previous is None:
        return None
    old = Space.from_list(previous["space"])
    if not {axis.input for axis in old.axes} <= set(source.inputs):
        return None
    today = source.snapshot(source.known_until)
    centres = np.array([segment["centre"] for segment in previous["segments"]])
    return separation(placed, nearest(old.place(today.X, inputs=source.inputs), centres), seed=seed)
