"""What can be checked of one feature, or of one view, on a workspace's own data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from features.aggregation import Sources, aggregate
from features.checks import CheckResult
from features.faults import CallersMistake, closest_hint
from features.history import OpenWorkspace
from features.lake import Lake
from features.online_checks import online_as_offline
from features.snapshots import event_log_table

SAMPLE = 25
NEARLY_ALL = 0.99


def check_features(opened: OpenWorkspace, name: str, *, as_of: datetime) -> list[CheckResult]:
    """Checks of a feature, or of every feature of a view, as of an instant.

    Raises:
        CallersMistake: there is no such feature or view.
    """
    columns = [column for column in opened.schema.columns if name in (column.name, column.view)]
    if not columns:
        names = {name for column in opened.schema.columns for name in (column.name, column.view)}
        hint = closest_hint(name, names)
        raise CallersMistake(f"Asked to check '{name}', but no feature or view is called that.{hint}")
    frame = opened.snapshot_frame(as_of)
    known = [column.name for column in columns if column.name in frame.columns]
    results = [result for column in known for result in _values(column, frame[column])]
    stored = [column.name for column in columns if column.view != "derived"]
    if not stored:
        return results
    keys = frame["customer_key"].sample(min(SAMPLE, len(frame)), random_state=0).sort_values().tolist()
    online = online_as_offline(opened, keys, names=stored)
    return [*results, online, _alone_as_together(opened, stored, as_of=as_of)]


def _values(name: str, values: pd.Series) -> Iterator[CheckResult]:
    if not len(values):
        yield CheckResult(f"{name} has values", "WARN", "There is no customer yet: import a history first.")
        return
    missing = float(values.isna().mean())
    detail = f"{missing:.1%} of {len(values):,} customers have none"
    if missing >= NEARLY_ALL:
        yield CheckResult(f"{name} has values", "WARN", "Hardly anyone has this feature: models learn nothing.", detail)
    else:
        yield CheckResult(f"{name} has values", "PASS", "Models and rules can use it.", detail)
    if pd.api.types.is_float_dtype(values):
        yield _spread(name, values.dropna().to_numpy())


def _spread(name: str, values: np.ndarray) -> CheckResult:
    if len(values) and np.isinf(values).any():
        return CheckResult(f"{name} is finite", "FAIL", "Infinite values break models: guard the division in its SQL.")
    if len(np.unique(values)) < 2:
        return CheckResult(f"{name} differs between customers", "WARN", "It is the same for all: it tells nothing.")
    quantiles = np.quantile(values, [0.0, 0.05, 0.5, 0.95, 1.0])
    detail = "min {:.4g}, 5% {:.4g}, median {:.4g}, 95% {:.4g}, max {:.4g}".format(*quantiles)
    return CheckResult(f"{name} differs between customers", "PASS", "It can tell customers apart.", detail)


def _alone_as_together(opened: OpenWorkspace, names: Sequence[str], *, as_of: datetime) -> CheckResult:
    """Rows of few customers, computed alone as after a live event, equal those of everyone beside a later instant.

    What a row would take from events after its instant differs between the two: alone, the later ones are not there.
    """
    earlier = as_of - timedelta(days=28)
    lake, log = Lake(opened.workspace.lake), event_log_table(opened.workspace)

    def rows(as_ofs: Sequence[datetime], customers: tuple[int, ...] | None) -> pd.DataFrame:
        sources = Sources(lake, log=log, customers=customers)
        tables = aggregate(sources, as_ofs, brand=opened.brand, schema=opened.schema)
        frame: pd.DataFrame = next(iter(tables)).to_pandas().set_index("customer_key")
        return frame

    together = rows([earlier, as_of], None)
    keys = sorted(together.sample(min(SAMPLE, len(together)), random_state=0).index.tolist())
    title = "row computed alone = row computed with everyone, no look ahead"
    if not keys:
        return CheckResult(title, "WARN", "There was no customer 28 days before: nothing to compare.")
    alone = rows([earlier], tuple(keys))[list(names)]
    differing = [name for name in names if not alone[name].equals(together.loc[keys, name])]
    if differing:
        return CheckResult(
            title,
            "FAIL",
            "A customer's row depends on other customers or on later events: decisions would see other values than "
            "models were trained on. Let its SQL count each customer's own events only.",
            ", ".join(differing),
        )
    return CheckResult(
        title,
        "PASS",
        "A row recomputed after a live event is the row that training would see.",
        f"{len(keys)} customers, {len(names)} features",
    )
