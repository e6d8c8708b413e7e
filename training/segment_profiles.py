"""What each segment is: its id and name, kept from the version before where it is still the same, and its profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.brand import Brand
from training.calibration import FloatArray
from training.dataset import Snapshot, Source
from training.segment_discovery import align
from training.segment_names import Distinction, keep_names, name_segments
from training.segment_space import Space


def describe_segments(
    space: Space,
    centres: FloatArray,
    labels: NDArray[np.intp],
    snapshot: Snapshot,
    *,
    source: Source,
    brand: Brand,
    previous: Mapping[str, Any] | None,
) -> list[dict[str, Any]]:
    """Each segment with its id, names, descriptions, centre, profile; in the order of the model's classes.

    Args:
        space: in which the centres lie.
        centres: shape `(k, n_axes)`.
        labels: the nearest centre of each customer of the snapshot.
        snapshot: which the groups were discovered on.
        source: for the names and categories of inputs.
        brand: for the languages and labels of names.
        previous: the champion's model.json; a segment that is still the same keeps its id and names.
    """
    profiles = _profiles(space, labels, snapshot, source=source, k=len(centres))
    old = {segment["id"]: segment for segment in (previous or {}).get("segments", [])}
    mapped = _previous_centres(previous, space=space)
    ids, continued = align(centres, previous=mapped, previous_ids=list(old))
    named = name_segments(profiles, brand=brand, categories=source.categories)
    kept = [old[before]["names"] if before is not None else {} for before in continued]
    names = keep_names([new for new, _ in named], kept=kept, locales=list(brand.locales))
    segments = []
    for i, (identity, (_, descriptions)) in enumerate(zip(ids, named, strict=True)):
        segments.append(
            {
                "id": identity,
                "names": names[i],
                "descriptions": descriptions,
                "centre": centres[i].tolist(),
                "share": round(float(np.mean(labels == i)), 6),
                "profile": {
                    _axis_name(d): [round(d.value, 6), round(d.overall, 6)] for d in profiles[i] if np.isfinite(d.value)
                },
            }
        )
    return segments


def _previous_centres(previous: Mapping[str, Any] | None, *, space: Space) -> FloatArray | None:
    """The previous version's centres, in today's space; an axis that it lacked stands at everybody's mean."""
    if previous is None:
        return None
    old = Space.from_list(previous["space"])
    levels = []
    for segment in previous["segments"]:
        by_name = {
            axis.name: (value / axis.weight) * axis.scale + axis.mean
            for axis, value in zip(old.axes, segment["centre"], strict=True)
        }
        levels.append(
            [(by_name.get(axis.name, axis.mean) - axis.mean) / axis.scale * axis.weight for axis in space.axes]
        )
    return np.array(levels)


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
