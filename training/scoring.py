"""Everybody's scores as a file: what reports read of models, and the way back to a warehouse.

The schema of `lake/scores/day=YYYY-MM-DD/scores.parquet` is documented in docs/scores.md. One row a customer; a file is
replaced whole. A score that there is no model for is missing, never zero.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
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
from training.dataset import Snapshot, WorkspaceSource
from training.score_columns import column_of_products, columns_of_coming
from training.segment_membership import columns_beside, texts_of_lists

if TYPE_CHECKING:
    import pandas as pd

    from features.workspace import Workspace

EXPORTS = (".csv", ".parquet")
ROWS_AT_ONCE = 50_000  # of an export
CUSTOMERS_AT_ONCE = 100_000  # what is made of so many takes some 500 MB


@dataclass(frozen=True, slots=True)
class Scored:
    """Where the scores went, how many there are, and what people are told of them beside."""

    path: Path
    as_of: datetime
    n_customers: int
    segments_version: str | None
    next_purchase_version: str | None
    notes: tuple[str, ...] = ()


def score_everybody(
    workspace: Workspace, *, as_of: datetime | None = None, customers_at_once: int = CUSTOMERS_AT_ONCE
) -> Scored:
    """Writes the scores of every customer known as of an instant.

    Args:
        workspace: with a champion of at least one model.
        as_of: what is known then is used; None for the midnight after the last event, at latest today's start.
        customers_at_once: how many are held in memory with what is made of them; the scores are the same.

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
    models = _Models(
        segments if isinstance(segments, SegmentsModel) else None,
        purchase if isinstance(purchase, NextPurchaseModel) else None,
    )
    folder = workspace.lake / "scores" / f"day={as_of:%Y-%m-%d}"
    folder.mkdir(parents=True, exist_ok=True)
    in_segment = _write_parts(source, models, folder / "scores.parquet", customers_at_once=customers_at_once)
    described = _describe(models.segments, in_segment) if models.segments is not None else []
    _replace_text(json.dumps(described, ensure_ascii=False, indent=1), folder / "segments.json")
    notes = left_empty(models.purchase)
    return Scored(folder / "scores.parquet", as_of, in_segment.total(), *models.versions, notes)


def left_empty(purchase: NextPurchaseModel | None) -> tuple[str, ...]:
    """Why columns are empty that a newer version would fill."""
    if purchase is None or "expected" in purchase.description:
        return ()
    return (
        f"{NEXT_PURCHASE} {purchase.version} says nothing of expected orders and spend: it was trained before versions "
        "did, or had too little history to judge them. Those columns are empty; 'rapport train next-purchase' tries.",
    )


def export_scores(workspace: Workspace, scored: Scored, target: Path) -> int:
    """Writes scores with the shop's own customer ids in place of our keys; how many rows.

    A customer known by a user id appears once for each such id; one known only by an anonymous id by that.

    Raises:
        CallersMistake: the target is neither .csv nor .parquet.
    """
    require_export(target)
    from features.database import connect
    from features.identity import IdentityTable
    from features.lake_writer import limited_connection

    with contextlib.closing(connect(workspace.database)) as database:
        identity = IdentityTable(database).as_arrow()
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with limited_connection(None, spill=workspace.lake / "spill") as connection:
        connection.register("identity", identity)
        scores = connection.execute(_EXPORTED, {"scores": str(scored.path)})
        n_rows = _write_batches(scores.to_arrow_reader(ROWS_AT_ONCE), draft, is_text=target.suffix == ".csv")
    draft.replace(target)
    return n_rows


_EXPORTED = """
    SELECT customer_id, kind, scores.* EXCLUDE (customer_key)
    FROM identity JOIN read_parquet($scores, hive_partitioning = false) AS scores USING (customer_key)
    WHERE kind = 'user' OR customer_key NOT IN (SELECT customer_key FROM identity WHERE kind = 'user')
    ORDER BY customer_id, kind
"""


def _write_batches(batches: pa.RecordBatchReader, path: Path, *, is_text: bool) -> int:
    """Writes rows as they come, as CSV or Parquet; how many."""
    n_rows, schema = 0, batches.schema
    if is_text:
        schema = texts_of_lists(schema.empty_table()).schema
    writer = pyarrow.csv.CSVWriter if is_text else pyarrow.parquet.ParquetWriter
    with writer(path, schema) as written:
        for batch in batches:
            table = pa.Table.from_batches([batch])
            written.write_table(texts_of_lists(table) if is_text else table)
            n_rows += len(table)
    return n_rows


def require_export(target: Path) -> None:
    """Refuses a file of a kind that we do not write."""
    if target.suffix not in EXPORTS:
        raise CallersMistake(
            f"Asked to export scores to '{target}', but '{target.suffix}' is not a kind we write. "
            "Name it .csv or .parquet."
        )


@dataclass(frozen=True, slots=True)
class _Models:
    """The champions."""

    segments: SegmentsModel | None
    purchase: NextPurchaseModel | None

    @property
    def versions(self) -> tuple[str | None, str | None]:
        return (
            self.segments.version if self.segments is not None else None,
            self.purchase.version if self.purchase is not None else None,
        )


def _write_parts(
    source: WorkspaceSource, models: _Models, path: Path, *, customers_at_once: int
) -> Counter[str | None]:
    """Replaces the file of scores, made some customers at a time; gives how many are in each segment."""
    as_of, in_segment = source.known_until, Counter[str | None]()
    keys = source.table(as_of, columns=["customer_key"])["customer_key"].to_numpy()
    products = column_of_products(models.purchase, source.workspace, keys, as_of=as_of)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.ExitStack() as stack:
        written: pyarrow.parquet.ParquetWriter | None = None
        for frame in source.frames(as_of, n_customers=customers_at_once):
            table = _table(source, models, frame, products.take(pa.array(np.searchsorted(keys, frame["customer_key"]))))
            if written is None:
                written = stack.enter_context(pyarrow.parquet.ParquetWriter(draft, table.schema))
            written.write_table(table)
            in_segment.update(table["segment"].to_pylist())
    draft.replace(path)
    return in_segment


def _table(source: WorkspaceSource, models: _Models, frame: pd.DataFrame, products: pa.Array) -> pa.Table:
    n, purchase, as_of = len(frame), models.purchase, source.known_until
    X = np.ascontiguousarray(frame[list(source.inputs)].to_numpy(dtype=np.float32, na_value=np.nan))
    snapshot = Snapshot(as_of, frame["customer_key"].to_numpy(dtype=np.int64), X)
    assigned = models.segments.assign(X) if models.segments is not None else None
    columns: dict[str, pa.Array] = {
        "customer_key": pa.array(snapshot.customer_keys, pa.int64()),
        "as_of": pa.array([as_of.replace(tzinfo=None)] * n, pa.timestamp("us")),
        "segment": pa.array(assigned if assigned is not None else pa.nulls(n), pa.string()),
        "stage": pa.array(frame["stage"].astype(object).to_list(), pa.string()),
    }
    said = purchase.predict(X) if purchase is not None else np.empty((n, 0))
    trained = purchase.horizons_days if purchase is not None else ()
    for horizon in sorted(source.brand.horizons_days):
        values = said[:, trained.index(horizon)] if horizon in trained else [None] * n
        columns[f"purchase_propensity_{horizon}d"] = pa.array(values, pa.float64())
    coming = purchase.coming(X, said=said) if purchase is not None else None
    columns |= columns_of_coming(coming, snapshot, horizons_days=source.brand.horizons_days)
    columns["next_products"] = products
    columns["revenue_365d"] = pa.array(_known(frame["revenue_365d"]), pa.float64(), from_pandas=True)
    columns["n_orders"] = pa.array(np.nan_to_num(_known(frame["n_orders"])).astype(np.int64), pa.int64())
    columns |= columns_beside(source, frame, snapshot, segments=models.segments, assigned=assigned, purchase=purchase)
    for name, version in zip(("segments_version", "next_purchase_version"), models.versions, strict=True):
        columns[name] = pa.array([version] * n, pa.string())
    return pa.table(columns)


def _known(values: pd.Series[float]) -> FloatArray:
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)


def _describe(model: SegmentsModel, in_segment: Counter[str | None]) -> list[dict[str, Any]]:
    return [
        {
            "id": identity,
            "names": model.names[identity],
            "descriptions": model.descriptions[identity],
            "n_customers": in_segment[identity],
        }
        for identity in model.segment_ids
    ]


def _replace_text(text: str, path: Path) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
