"""In which segment a customer will be some days on: learned from where customers went, window by window.

One window teaches what its season did, and of few customers a booster learns that by heart; so up to four windows, one
behind the other, teach together. And nobody is surer of a customer than of everybody who is where they are: one part
in twenty of what is said is where others of their segment went.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from training.calibration import FloatArray
from training.dataset import Snapshot, Source
from training.segment_assigner import (
    LARGEST_LESSON,
    Assigner,
    Labels,
    Lesson,
    boost,
    lesson_of,
    temperature_of,
)
from training.segment_discovery import Grouping

ONWARD_DAYS = 90
WINDOWS = 4
ROUNDS_ONWARD = 80
AS_OTHERS = 0.05
FEWEST_CUSTOMERS = 100
FOLDS = 3
SMOOTHING = 1.0  # customers added to each segment's count, so that no probability is 0


@dataclass(frozen=True, slots=True)
class Onward:
    """What says where customers will be.

    Attributes:
        assigner: its temperature fits customers who did not teach its trial.
        moved: shape `(k, k)`, where customers of each segment went; rows sum to one.
        learned_as_of: when each window began.
    """

    assigner: Assigner
    moved: FloatArray
    learned_as_of: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For model.json."""
        return {
            "temperature": self.assigner.temperature,
            "moved": self.moved.round(6).tolist(),
            "as_others": AS_OTHERS,
            "learned_as_of": list(self.learned_as_of),
        }


@dataclass(frozen=True, slots=True)
class _Window:
    """Who was known when it began, with their segments then and at its end (-1: gone)."""

    earlier: Snapshot
    then: Labels
    y: Labels


def learn_onward(
    source: Source, later: Snapshot, grouping: Grouping, *, columns: Sequence[int], days: int, seed: int
) -> Onward | None:
    """Learns where customers will be; None where nothing, or of too few, was known so many days before.

    Args:
        source: of the snapshots before.
        later: the newest, whose segments end the newest window.
        grouping: says who is in which segment.
        columns: inputs that are looked at.
        days: the length of a window.
        seed: of everything random.
    """
    windows = _windows(source, later, grouping, days=days)
    if not windows:
        return None
    most = LARGEST_LESSON // len(windows)
    taught = [lesson_of(one.earlier, one.y, source, seed=seed + n, most=most) for n, one in enumerate(windows)]
    lesson, k = _joined(taught), grouping.n_labels
    held = _held_back(lesson, seed=seed)
    trial = boost(lesson.of(~held), k=k, source=source, columns=columns, seed=seed, rounds=ROUNDS_ONWARD)
    temperature = temperature_of(trial.raw(lesson.X[held]), lesson.y[held])
    whole = boost(lesson, k=k, source=source, columns=columns, seed=seed, rounds=ROUNDS_ONWARD)
    then, y = np.concatenate([one.then for one in windows]), np.concatenate([one.y for one in windows])
    return Onward(
        Assigner(whole.booster, columns, temperature),
        moves(then, y, k=k),
        tuple(one.earlier.as_of.isoformat() for one in windows),
    )


def shares(y: Labels, *, k: int) -> FloatArray:
    """How often each segment was, shape `(k,)`, smoothed so that none is impossible."""
    counts = np.bincount(y[y >= 0], minlength=k) + SMOOTHING
    return np.asarray(counts / counts.sum())


def moves(then: Labels, y: Labels, *, k: int) -> FloatArray:
    """Where customers of each segment went, shape `(k, k)`; rows sum to one."""
    return np.array([shares(y[then == one], k=k) for one in range(k)])


def labels_of_later(earlier: Snapshot, later: Snapshot, labels: Labels) -> Labels:
    """The later label of each customer of an earlier snapshot, shape `(n_earlier,)`; -1 for one who is gone."""
    place = np.searchsorted(later.customer_keys, earlier.customer_keys)
    place = np.minimum(place, len(later.customer_keys) - 1)
    return np.where(later.customer_keys[place] == earlier.customer_keys, labels[place], -1)


def _windows(source: Source, later: Snapshot, grouping: Grouping, *, days: int) -> list[_Window]:
    """The newest first."""
    windows: list[_Window] = []
    labels = grouping.labels(later.X, inputs=source.inputs)
    while len(windows) < WINDOWS and (as_of := later.as_of - timedelta(days=days)) > source.first:
        earlier = source.snapshot(as_of)
        y = labels_of_later(earlier, later, labels)
        if (y >= 0).sum() < FEWEST_CUSTOMERS:
            break
        labels = grouping.labels(earlier.X, inputs=source.inputs)
        windows.append(_Window(earlier, labels, y))
        later = earlier
    return windows


def _joined(lessons: Sequence[Lesson]) -> Lesson:
    return Lesson(
        np.vstack([one.X for one in lessons]),
        np.concatenate([one.y for one in lessons]),
        np.concatenate([one.masked for one in lessons]),
        np.concatenate([one.who for one in lessons]),
    )


def _held_back(lesson: Lesson, *, seed: int) -> np.ndarray:
    """A third of the customers, each with all of their rows: the same one comes in every window."""
    people, whose = np.unique(lesson.who, return_inverse=True)
    return np.asarray((np.random.default_rng(seed).integers(0, FOLDS, len(people)) == 0)[whose])
