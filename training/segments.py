"""Segments: discovered, named, and assigned by a calibrated LightGBM model that also works on declared traits alone.

Groups are discovered on the snapshot of last week. The assigner learns from the week before, is calibrated on last
week and judged on today's snapshot, and that very booster is served: a temperature fits the scores of no other. A
second booster says in which segment a customer will be 90 days on (`segment_onward`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from features.brand import Brand
from training.artifact import SEGMENTS
from training.calibration import FloatArray
from training.dataset import Source
from training.segment_alignment import Continuity, continuity
from training.segment_assigner import (
    MASKED_SHARE,
    ROUNDS,
    Assigner,
    Lesson,
    boost,
    columns_of,
    lesson_of,
    log_loss,
    temperature_of,
)
from training.segment_discovery import Found, Grouping, discover, separation
from training.segment_onward import FEWEST_CUSTOMERS, ONWARD_DAYS, ROUNDS_ONWARD, learn_onward
from training.segment_profiles import describe_segments, last_id
from training.segment_rfm import learn_rfm
from training.segment_space import learn_space
from training.some_customers import who_taught
from training.split import WEEK, TooLittleData

if TYPE_CHECKING:
    from training.dataset import Snapshot


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
    """A model ready to be written, and what it was judged by.

    Attributes:
        onward: of where customers will be; None where there is no history of 90 days.
        continuity: with the version before; None without one.
    """

    description: dict[str, Any]
    booster: lightgbm.Booster
    judged: SegmentsJudged
    onward: lightgbm.Booster | None = None
    continuity: Continuity | None = None
    found: Found | None = field(default=None, repr=False)

    @property
    def boosters(self) -> list[str]:
        """LightGBM's text: of the assigner, then of where customers will be."""
        return [booster.model_to_string() for booster in (self.booster, self.onward) if booster is not None]


def train_segments(
    source: Source,
    *,
    brand: Brand,
    previous: Mapping[str, Any] | None = None,
    seed: int = 0,
    onward_days: int = ONWARD_DAYS,
) -> TrainedSegments:
    """Discovers segments, aligns them to the previous version, and learns to assign them.

    Args:
        source: of snapshots.
        brand: for the languages and labels of names.
        previous: the champion's model.json, whose ids and names persist where a segment is still the same.
        seed: of everything random.
        onward_days: how far ahead the second booster says where customers will be.

    Raises:
        TooLittleData: too few customers, or too few of them two weeks ago.
    """
    before, last, today = (_snapshot(source, weeks_ago) for weeks_ago in (2, 1, 0))
    space = learn_space(last.X, inputs=source.inputs, categories=source.categories)
    if not space.axes:
        raise TooLittleData("Asked for segments, but customers differ in nothing that is known of them yet.")
    found = discover(space, last.X, inputs=source.inputs, seed=seed)
    grouping, k = found.grouping, found.grouping.n_labels
    labels = [grouping.labels(one.X, inputs=source.inputs) for one in (before, last, today)]

    lessons = [
        lesson_of(s, y, source, seed=seed + i)
        for i, (s, y) in enumerate(zip((before, last, today), labels, strict=True))
    ]
    columns = columns_of(space, source)
    untempered = boost(lessons[0], k=k, source=source, columns=columns, seed=seed)
    temperature = temperature_of(untempered.raw(lessons[1].X), lessons[1].y)
    assigner = Assigner(untempered.booster, columns, temperature)
    judged = _judge(assigner, lessons, today, grouping=grouping, source=source, previous=previous, seed=seed)
    onward = learn_onward(source, today, grouping, columns=columns, days=onward_days, seed=seed)

    segments = describe_segments(grouping, labels[1], last, source=source, brand=brand, previous=previous)
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
        "last_id": last_id(segments, previous=previous),
        "rfm": learn_rfm(last.X, inputs=source.inputs),
        "discovery": found.as_dict(),
        "windows": {
            "train": before.as_of.isoformat(),
            "calibrate": last.as_of.isoformat(),
            "judge": today.as_of.isoformat(),
        },
        "recipe": {"rounds": ROUNDS, "rounds_onward": ROUNDS_ONWARD, "masked_share": MASKED_SHARE},
        "judged": {name: value for name, value in judged.as_dict().items() if name != "separation_of_previous"},
        "onward": {"days": onward_days} | ({} if onward is None else onward.as_dict()),
    } | who_taught(source)
    stayed = _continuity(segments, labels[2], today, source=source, previous=previous)
    return TrainedSegments(
        description, assigner.booster, judged, None if onward is None else onward.assigner.booster, stayed, found
    )


def _continuity(
    segments: Sequence[Mapping[str, Any]],
    labels: NDArray[np.intp],
    today: Snapshot,
    *,
    source: Source,
    previous: Mapping[str, Any] | None,
) -> Continuity | None:
    """How many of today's customers have the segment that the version before would give them."""
    if previous is None:
        return None
    before, old_ids = Grouping.of_description(previous, inputs=source.inputs, categories=source.categories)
    if not before.space.axes:
        return None
    ids = [segment["id"] for segment in segments]
    return continuity(
        np.array(ids, dtype=object)[labels],
        np.array(old_ids, dtype=object)[before.labels(today.X, inputs=source.inputs)],
        ids=ids,
        old_ids=old_ids,
        previous=str(previous.get("version", "")),
    )


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


def _judge(
    assigner: Assigner,
    lessons: Sequence[Lesson],
    today: Snapshot,
    *,
    grouping: Grouping,
    source: Source,
    previous: Mapping[str, Any] | None,
    seed: int,
) -> SegmentsJudged:
    lesson = lessons[2]
    probabilities = assigner.predict(lesson.X)
    shares = np.bincount(lessons[1].y, minlength=probabilities.shape[1]) / len(lessons[1].y)
    right = probabilities.argmax(axis=1) == lesson.y
    placed = grouping.space.place(today.X, inputs=source.inputs)
    return SegmentsJudged(
        n=len(today.customer_keys),
        log_loss=log_loss(probabilities, lesson.y),
        log_loss_of_constant=log_loss(np.tile(shares, (len(lesson.y), 1)), lesson.y),
        accuracy=float(right[~lesson.masked].mean()),
        accuracy_masked=float(right[lesson.masked].mean()),
        separation=separation(placed, assigner.predict(today.X).argmax(axis=1), seed=seed),
        separation_of_previous=_separation_of_previous(placed, previous, today=today, source=source, seed=seed),
    )


def _separation_of_previous(
    placed: FloatArray, previous: Mapping[str, Any] | None, *, today: Snapshot, source: Source, seed: int
) -> float | None:
    """How well the previous version's groups separate today's customers, in today's space; None without one."""
    if previous is None or not {axis["input"] for axis in previous["space"]} <= set(source.inputs):
        return None
    before, _ = Grouping.of_description(previous, inputs=source.inputs, categories=source.categories)
    return separation(placed, before.labels(today.X, inputs=source.inputs), seed=seed) if before.space.axes else None
