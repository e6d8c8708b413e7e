"""The reference that a round writes beside its version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.artifact import NextPurchaseModel, ResponseModel, SegmentsModel, ServedInputs
from training.dataset import WorkspaceSource
from training.drift.reference import FILE, reference_of
from training.drift.said import saying_of
from training.response.rows import ResponseRows

NOT_WRITTEN_YET = {"version": "not written yet"}


def of_everybody(
    source: WorkspaceSource,
    kind: type[NextPurchaseModel] | type[SegmentsModel],
    description: Mapping[str, Any],
    boosters: Sequence[str],
    *,
    days: Sequence[int],
) -> dict[str, bytes]:
    """Of all customers as of the training day; `days` before it their snapshots show what moves anyway."""
    model = kind({**description, **NOT_WRITTEN_YET}, boosters, schema=source.schema)
    as_of = source.known_until
    before = [(of, as_of - timedelta(days=of)) for of in sorted(set(days))]
    reference = reference_of(
        source.snapshot(as_of).X,
        as_of=as_of,
        inputs=source.inputs,
        categories=source.categories,
        saying=saying_of(model),
        earlier=[(float(of), source.snapshot(at).X) for of, at in before if at > source.first],
        learned=model.inputs,
    )
    return {FILE: reference.as_bytes()}


def of_decisions(
    rows: ResponseRows,
    description: Mapping[str, Any],
    boosters: Sequence[str],
    *,
    as_of: datetime,
    schema: ServedInputs,
) -> dict[str, bytes]:
    """Of the customers who were decided about in the later half of the lesson; the earlier shows what moves anyway."""
    model = ResponseModel({**description, **NOT_WRITTEN_YET}, boosters, schema=schema)
    middle = np.median(_us(rows))
    later, earlier = (newest_of_each(rows, is_in) for is_in in (_us(rows) >= middle, _us(rows) < middle))
    apart = (float(_us(later).mean()) - float(_us(earlier).mean())) / 86_400e6 if len(earlier) else 0.0
    reference = reference_of(
        later.X,
        as_of=as_of,
        inputs=schema.model_inputs,
        categories=schema.categories,
        saying=saying_of(model),
        earlier=[(round(apart, 2), earlier.X)] if apart >= 1.0 else [],
        learned=model.inputs,
    )
    return {FILE: reference.as_bytes()}


def newest_of_each(rows: ResponseRows, is_in: NDArray[np.bool_]) -> ResponseRows:
    """One row a customer, the newest: rows of one customer are no independent sample."""
    places = np.flatnonzero(is_in)[::-1]
    _, first = np.unique(rows.cluster[places], return_index=True)
    return rows.taken(np.sort(places[first]))


def _us(rows: ResponseRows) -> NDArray[np.int64]:
    return rows.at.astype("datetime64[us]").astype(np.int64)
