"""What each segment is: its id and name, kept from the version before where it is still the same, and its profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.brand import Brand
from training.calibration import FloatArray
from training.dataset import Snapshot, Source
from training.segment_alignment import align
from training.segment_discovery import UNUSUAL, Grouping
from training.segment_names import Distinction, describe, keep_names, name_segments, names_of_unusual
from training.segment_space import Space


def describe_segments(
    grouping: Grouping,
    labels: NDArray[np.intp],
    snapshot: Snapshot,
    *,
    source: Source,
    brand: Brand,
    previous: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Each segment with its id, names, descriptions, centre, profile; in the order of the model's classes.

    The unusual come last, where there are any; they have no centre, and always the same id and name.

    Args:
        grouping: that the customers fall into.
        labels: of each customer of the snapshot.
        snapshot: which the groups were discovered on.
        source: for the names and categories of inputs.
        brand: for the languages and labels of names.
        previous: the champion's model.json; a segment that is still the same keeps its id and names.
    """
    k = len(grouping.centres)
    profiles = _profiles(grouping.space, labels, snapshot, source=source, k=grouping.n_labels)
    old = {segment["id"]: segment for segment in (previous or {}).get("segments", [])}
    ids, continued = _aligned(labels, snapshot, source=source, k=k, previous=previous)
    named = name_segments(profiles[:k], brand=brand, categories=source.categories)
    kept = [old[before]["names"] if before is not None else {} for before in continued]
    names = keep_names([new for new, _ in named], kept=kept, locales=list(brand.locales))
    descriptions = [said for _, said in named]
    if grouping.n_labels > k:
        ids.append(UNUSUAL)
        names.append(names_of_unusual(list(brand.locales)))
        descriptions.append(describe(profiles[k], brand=brand, categories=source.categories))
    segments: list[dict[str, Any]] = []
    for i, identity in enumerate(ids):
        segment = {
            "id": identity,
            "names": names[i],
            "descriptions": descriptions[i],
            "share": round(float(np.mean(labels == i)), 6),
            "profile": {
                _axis_name(d): [round(d.value, 6), round(d.overall, 6)] for d in profiles[i] if np.isfinite(d.value)
            },
        }
        segments.append(segment | ({"centre": grouping.centres[i].tolist()} if i < k else {}))
    return segments


def last_id(segments: Sequence[Mapping[str, Any]], *, previous: Mapping[str, Any] | None) -> int:
    """The highest number that an id ever had: one that is gone never comes back as something else."""
    before = (previous or {}).get("segments", [])
    numbers = [int(s["id"].removeprefix("s")) for s in (*segments, *before) if s["id"] != UNUSUAL]
    return max([*numbers, int((previous or {}).get("last_id", 0))])


def _aligned(
    labels: NDArray[np.intp], snapshot: Snapshot, *, source: Source, k: int, previous: Mapping[str, Any] | None
) -> tuple[list[str], list[str | None]]:
    if previous is None:
        return align(labels, k=k, previous=None, previous_ids=[])
    before, old_ids = Grouping.of_description(previous, inputs=source.inputs, categories=source.categories)
    theirs = before.labels(snapshot.X, inputs=source.inputs) if before.space.axes else None
    return align(labels, k=k, previous=theirs, previous_ids=old_ids, last_id=last_id([], previous=previous))


def _axis_name(distinction: Distinction) -> str:
    return distinction.input if distinction.code is None else f"{distinction.input}={distinction.code}"


def _profiles(
    space: Space, labels: NDArray[np.intp], snapshot: Snapshot, *, source: Source, k: int
) -> list[list[Distinction]]:
    """What sets each group apart, the strongest first; means of what was really measured, in its own unit."""
    levels = space.levels(snapshot.X, inputs=source.inputs)
    place = {name: i for i, name in enumerate(source.inputs)}
    profiles: list[list[Distinction]] = []
    for group in range(k):
        inside = labels == group
        distinctions = []
        for j, axis in enumerate(space.axes):
            values = levels[:, j] if axis.code is not None else snapshot.X[:, place[axis.input]].astype(np.float64)
            strength = float(levels[inside, j].mean() - levels[:, j].mean()) / axis.scale
            value, overall = _mean(values[inside]), _mean(values)
            distinctions.append(Distinction(axis.input, axis.code, strength, value, overall))
        profiles.append(sorted(distinctions, key=lambda d: -abs(d.strength)))
    return profiles


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
