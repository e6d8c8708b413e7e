"""What stands beside the discovered segment of everybody: RFM, the brand's own segments, and where they will be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from features.brand_segments import BrandSegments, brand_segments
from features.variable_names import PURCHASE_PROPENSITY, of_a_horizon
from training.artifact import NextPurchaseModel, SegmentsModel
from training.segment_rfm import rfm_of

if TYPE_CHECKING:
    import pandas as pd

    from training.dataset import Snapshot, WorkspaceSource

Values = Mapping[str, Sequence[object]]


def columns_beside(
    source: WorkspaceSource,
    frame: pd.DataFrame,
    snapshot: Snapshot,
    *,
    segments: SegmentsModel | None,
    assigned: Sequence[str] | None,
    purchase: NextPurchaseModel | None,
) -> dict[str, pa.Array]:
    """The columns `rfm_segment`, `brand_segments`, `segment_onward` of the scores; missing where nobody can say.

    Args:
        source: whose brand.
        frame: the snapshot as a frame, in its order.
        snapshot: of everybody.
        segments: the champion, which holds where the fifths of RFM lie, and says where customers will be.
        assigned: the segment of each customer, by that champion.
        purchase: the champion of next purchase.
    """
    n = len(frame)
    fifths = segments.description.get("rfm") if segments is not None else None
    rfm = rfm_of(snapshot.X, inputs=source.inputs, fifths=fifths).tolist() if fifths else [None] * n
    rules = brand_segments(source.brand, source.schema, path=source.workspace.brand_file)
    own = members(rules, _values(rules, source, frame, snapshot, assigned=assigned, purchase=purchase), n=n)
    onward = segments.predict_onward(snapshot.X) if segments is not None else None
    later = [None] * n
    if segments is not None and onward is not None:
        later = [segments.segment_ids[i] for i in onward.argmax(axis=1)]
    return {
        "rfm_segment": pa.array(rfm, pa.string()),
        "brand_segments": pa.array(own, pa.list_(pa.string())),
        "segment_onward": pa.array(later, pa.string()),
    }


def members(rules: BrandSegments, values: Values, *, n: int) -> list[list[str]]:
    """The brand's own segments of each of n customers.

    Args:
        rules: compiled.
        values: each variable's values, in the customers' order; a variable that is not there is known of nobody.
        n: how many customers.
    """
    if not rules:
        return [[] for _ in range(n)]
    return [rules.of({name: of[i] for name, of in values.items()}) for i in range(n)]


def _values(
    rules: BrandSegments,
    source: WorkspaceSource,
    frame: pd.DataFrame,
    snapshot: Snapshot,
    *,
    assigned: Sequence[str] | None,
    purchase: NextPurchaseModel | None,
) -> dict[str, Sequence[object]]:
    """What the conditions ask for, as a decision would know it."""
    said = purchase.predict(snapshot.X) if purchase is not None and rules else None
    horizons = purchase.horizons_days if purchase is not None else ()
    known: dict[str, Sequence[object]] = {}
    beyond = None
    for name in rules.names:
        if name == "segment" and assigned is not None:
            known[name] = assigned
        elif name.startswith(PURCHASE_PROPENSITY) and (days := _horizon(name, source)) in source.brand.horizons_days:
            if said is not None and days in horizons:  # a horizon of the brand has its own model, or nobody knows
                known[name] = said[:, horizons.index(days)].tolist()
        elif name == "still_buying" or of_a_horizon(name):
            if beyond is None and purchase is not None:
                beyond = purchase.coming(snapshot.X, said=said)
            told = None if beyond is None else beyond.named(name)
            if told is not None:
                known[name] = told.tolist()
        elif name in source.brand.traits:
            known[name] = frame[f"declared_{name}"].tolist()
        elif name in frame:
            known[name] = frame[name].tolist()
    return known


def _horizon(name: str, source: WorkspaceSource) -> int:
    """The days that a propensity is of; the bare one is of the middle horizon."""
    horizons = sorted(source.brand.horizons_days)
    days = name.removeprefix("purchase_propensity").strip("_d")
    return int(days) if days else horizons[len(horizons) // 2]


def texts_of_lists(table: pa.Table) -> pa.Table:
    """The table with lists of texts as one text each, joined by `;`: CSV has no lists."""
    for i, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            joined = [None if one is None else ";".join(one) for one in table.column(i).to_pylist()]
            table = table.set_column(i, field.name, pa.array(joined, pa.string()))
    return table
