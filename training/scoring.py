"""Everybody's scores as a file: what reports read of models, and the way back to a warehouse.

The schema of `lake/scores/day=YYYY-MM-DD/scores.parquet` is documented in docs/scores.md. One row a customer; a file is
replaced whole. A score that there is no model for is missing, never zero.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from features.faults import CallersMistake
from training.artifact import NEXT_PURCHASE, SEGMENTS, NextPurchaseModel, SegmentsModel, load_champion
from training.calibration import FloatArray
from training.dataset import WorkspaceSource
from training.score_columns import column_of_products, columns_of_coming
from training.segment_membership import columns_beside, texts_of_lists

if TYPE_CHECKING:
    import pandas as pd

    from features.workspace import Workspace

EXPORTS = (".csv", ".parquet")


@dataclass(frozen=True, slots=True)
class Scored:
    """Where the scores went, and how many there are."""

    path: Path
    as_of: datetime
    n_customers: int
    segments_version: str | None
    next_purchase_version: str | None


def score_everybody(workspace: Workspace, *, as_of: datetime | None = None) -> Scored:
    """Writes the scores of every customer known as of an instant.

    Args:
        workspace: with a champion of at least one model.
        as_of: what is known then is used; None for the midnight after the last event, at latest today's start.

    Raises:
        CallersMistake: there is no champion, or one does not fit the features.
    """
    source = WorkspaceSource(workspace, as_of=as_of)
    segments = load_champion(workspace.artifacts, SEGMENTS, source.schema)
    purchase = load_champion(workspace.artifacts, NEXT_PURCHASE, source.schema)
    if segments is None and purchase is None:
        raise CallersMistake(
            "Asked for scores, but there is no champion of any model. Train with 'rapport train', or promote a version "
            "of 'rapport models list'."
        )
    as_of = source.known_until
    assigned = segments.assign(source.snapshot(as_of).X) if isinstance(segments, SegmentsModel) else None
    table = _table(
        source,
        segments if isinstance(segments, SegmentsModel) else None,
        assigned,
        purchase if isinstance(purchase, NextPurchaseModel) else None,
    )
    versions = (segments.version if segments else None, purchase.version if purchase else None)
    for name, version in zip(("segments_version", "next_purchase_version"), versions, strict=True):
        table = table.append_column(name, pa.array([version] * len(table), pa.string()))
    folder = workspace.lake / "scores" / f"day={as_of:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    _replace_parquet(table, folder / "scores.parquet")
    described = _describe(segments, assigned) if isinstance(segments, SegmentsModel) and assigned is not None else []
    _replace_text(json.dumps(described, ensure_ascii=False, indent=1), folder / "segments.json")
    return Scored(folder / "scores.parquet", as_of, len(table), *versions)


def export_scores(workspace: Workspace, scored: Scored, target: Path) -> int:
    """Writes scores with the shop's own customer ids in place of our keys; how many rows.

    A customer known by a user id appears once for each such id; one known only by an anonymous id by that.

    Raises:
        CallersMistake: the target is neither .csv nor .parquet.
    """
    require_export(target)
    from features.database import connect
    from features.identity import IdentityTable

    identity = IdentityTable(connect(workspace.database)).as_arrow().to_pandas()
    identity = identity[["customer_id", "kind", "customer_key"]]
    known = set(identity.loc[identity["kind"] == "user", "customer_key"])
    identity = identity[(identity["kind"] == "user") | ~identity["customer_key"].isin(known)]
    scores = pyarrow.parquet.read_table(scored.path).to_pandas()
    merged = identity.merge(scores, on="customer_key").drop(columns="customer_key")
    table = pa.Table.from_pandas(merged.sort_values(["customer_id", "kind"]), preserve_index=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".csv":
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        pyarrow.csv.write_csv(texts_of_lists(table), draft)
        draft.replace(target)
    else:
        _replace_parquet(table, target)
    return len(table)


def require_export(target: Path) -> None:
    """Refuses a file of a kind that we do not write."""
    if target.suffix not in EXPORTS:
        raise CallersMistake(
            f"Asked to export scores to '{target}', but '{target.suffix}' is not a kind we write. "
            "Name it .csv or .parquet."
        )


def _table(
    source: WorkspaceSource,
    segments: SegmentsModel | None,
    assigned: list[str] | None,
    purchase: NextPurchaseModel | None,
) -> pa.Table:
    frame, snapshot = source.frame(source.known_until), source.snapshot(source.known_until)
    n = len(frame)
    columns: dict[str, pa.Array] = {
        "customer_key": pa.array(snapshot.customer_keys, pa.int64()),
        "as_of": pa.array([source.known_until.replace(tzinfo=None)] * n, pa.timestamp("us")),
        "segment": pa.array(assigned if assigned is not None else pa.nulls(n), pa.string()),
        "stage": pa.array(frame["stage"].astype(object).to_list(), pa.string()),
    }
    said = purchase.predict(snapshot.X) if purchase is not None else np.empty((n, 0))
    trained = purchase.horizons_days if purchase is not None else ()
    for horizon in sorted(source.brand.horizons_days):
        values = said[:, trained.index(horizon)] if horizon in trained else [None] * n
        columns[f"purchase_propensity_{horizon}d"] = pa.array(values, pa.float64())
    coming = purchase.coming(snapshot.X, said=said) if purchase is not None else None
    columns |= columns_of_coming(coming, source, horizons_days=source.brand.horizons_days)
    columns["next_products"] = column_of_products(purchase, source)
    columns["revenue_365d"] = pa.array(_known(frame["revenue_365d"]), pa.float64(), from_pandas=True)
    columns["n_orders"] = pa.array(np.nan_to_num(_known(frame["n_orders"])).astype(np.int64), pa.int64())
    columns |= columns_beside(source, frame, snapshot, segments=segments, assigned=assigned, purchase=purchase)
    return pa.table(columns)


def _known(values: pd.Series[float]) -> FloatArray:
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _describe(model: SegmentsModel, assigned: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "id": identity,
            "names": model.names[identity],
            "descriptions": model.descriptions[identity],
            "n_customers": assigned.count(identity),
        }
        for identity in model.segment_ids
    ]


def _replace_parquet(table: pa.Table, path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    pyarrow.parquet.write_table(table, draft)
    draft.replace(path)


def _replace_text(text: str, path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
