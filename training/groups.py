"""Which group each customer was in at an instant: segment, stage, locale, channel, and what they said of themselves.

Groups are for judging only: no model sees them by this way.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.derive import MISSING_INSTANT, derive, stages_by
from features.lake import instant_us
from features.packing import matrices
from training.artifact import SEGMENTS, ArtifactRefused, SegmentsModel, load_champion
from training.dataset import Snapshot, WorkspaceSource

LARGE_SHARE = 0.05
LARGE = 200  # customers: of fewer, a mean loss says nothing beyond noise
UNKNOWN = "unknown"

Names = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Group:
    """Customers who have something in common.

    Attributes:
        kind: `segment`, `stage`, `locale`, `channel` or a trait.
        rows: which of the snapshot's, shape `(n,)` of booleans.
    """

    kind: str
    name: str
    rows: NDArray[np.bool_]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def groups_of(source: WorkspaceSource, as_of: datetime) -> dict[str, Names]:
    """Each kind of group, with every customer's own, in the order of the snapshot's rows; a kind of one is left out.

    Args:
        source: of the snapshot; the champion of segments, where there is one, assigns them.
        as_of: what was known then.
    """
    place = source.snapshot(as_of)
    table = source.table(as_of, columns=["customer_key", "locale", "last_channel", "declared"])
    rows = np.searchsorted(table["customer_key"].to_numpy(), place.customer_keys)
    found = {
        "stage": stages_of(source, as_of),
        "locale": _texts(table, "locale")[rows],
        "channel": _texts(table, "last_channel")[rows],
    } | {name: values[rows] for name, values in _sensitive(table, source).items()}
    segments = _segments(source)
    if segments is not None:
        found["segment"] = np.array(segments.assign(place.X), dtype=object)
    return {kind: names for kind, names in found.items() if len(set(names.tolist())) > 1}


def stages_of(source: WorkspaceSource, as_of: datetime) -> Names:
    """Each customer's stage of the funnel, in the order of the snapshot's rows."""
    table = source.table(as_of, columns=["customer_key", "n_orders", "last_consideration_at"])
    last = pc.fill_null(table["last_consideration_at"].cast(pa.int64()), MISSING_INSTANT).to_numpy()
    stages = stages_by(table["n_orders"].to_numpy(), last, instant_us(as_of), funnel=source.brand.funnel)
    rows = np.searchsorted(table["customer_key"].to_numpy(), source.snapshot(as_of).customer_keys)
    return np.asarray(stages[rows], dtype=object)


def large(groups: Mapping[str, Names]) -> Iterator[Group]:
    """Those that hold at least 5% of the customers, and 200 of them."""
    for kind, names in groups.items():
        for name in sorted(set(names.tolist())):
            rows = names == name
            if rows.sum() >= max(LARGE, LARGE_SHARE * len(rows)):
                yield Group(kind, str(name), np.asarray(rows))


def as_old_as(source: WorkspaceSource, as_of: datetime, *, days: float) -> tuple[Snapshot, NDArray[np.intp]]:
    """What a decision at an instant would see of rows that were computed some days before.

    Args:
        source: of the snapshots.
        as_of: when the decision is.
        days: how old the rows are. Ages go on, counts stand still, and customers who came since are not there.

    Returns:
        The rows, and where their customers stand in `source.snapshot(as_of)`.
    """
    table = source.table(as_of - timedelta(days=days), columns=_numbers(source))
    inputs = derive(*matrices(table, source.schema), instant_us(as_of), source.schema)
    today, keys = source.snapshot(as_of), table["customer_key"].to_numpy().astype(np.int64)
    _, then, now = np.intersect1d(keys, today.customer_keys, return_indices=True)
    return Snapshot(as_of, keys[then], inputs[then]), now


def _numbers(source: WorkspaceSource) -> list[str]:
    """The columns that inputs and stages are made of."""
    return ["customer_key", *source.schema.numeric, *source.schema.instants]


def _texts(table: pa.Table, name: str) -> Names:
    values: list[Any] = table[name].to_pylist()
    return np.array([UNKNOWN if value is None else str(value) for value in values], dtype=object)


def _sensitive(table: pa.Table, source: WorkspaceSource) -> dict[str, Names]:
    """What was answered to each question that the brand calls sensitive; several answers are one group together."""
    names = [name for name, trait in source.brand.traits.items() if trait.sensitive and trait.type in CHOSEN]
    if not names:
        return {}
    said = [json.loads(text) if text else {} for text in table["declared"].to_pylist()]
    return {name: np.array([_shown(row.get(name)) for row in said], dtype=object) for name in names}


CHOSEN = ("choice", "choices", "boolean")  # of others, hardly two customers say the same


def _shown(value: Any) -> str:
    if value is None:
        return UNKNOWN
    return ", ".join(sorted(map(str, value))) if isinstance(value, list) else str(value).lower()


def _segments(source: WorkspaceSource) -> SegmentsModel | None:
    try:
        found = load_champion(source.workspace.artifacts, SEGMENTS, source.schema)
    except ArtifactRefused:
        return None
    return found if isinstance(found, SegmentsModel) else None
