"""Expected order-days and spend as `rapport train` would have served them, at four dates of a real shop, in one run.

    .venv/bin/python -m experiments.benchmarks.models.expectations [--cut 2011-09-10] [--workspace DIR]

At each date the brand's horizons are trained with all that was known then, curve and expectations with them; the
version that a server would load is asked of everybody who had ordered, and what followed is read by the judge alone.
Beside it stand BG/NBD and Pareto/NBD (times gamma-gamma for spend), fitted to the same. `rapport evaluate
next-purchase` asks something else: of one horizon alone, without the window that a version keeps back for the gate.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.models.online_retail import CUTS, asked_for, import_online_retail
from features.brand import load_brand
from features.owners import persons
from features.workspace import Workspace
from training.artifact import NextPurchaseModel
from training.coming import with_coming
from training.dataset import WorkspaceSource
from training.evaluating.figures import amount_figures
from training.expectations.members import Of, repeat_expectations
from training.expectations.shop import Shop, aligned
from training.expected import with_expected
from training.next_purchase import Trained, train_next_purchase
from training.order_days import EPOCH_ORDINAL, Happened, OrderDays, read_order_days

Floats = NDArray[np.float64]


def table(workspace: Workspace | None = None, *, cuts: Sequence[date] = CUTS) -> str:
    """MAE, RMSE, said and came by date, horizon and model, as Markdown; None imports the data first."""
    with tempfile.TemporaryDirectory() as folder:
        place = workspace or import_online_retail(Path(folder) / "shop")
        rows = [row for cut in cuts for row in rows_of(place, cut)]
    head = ["| as of | days | | ours (as served) | BG/NBD | Pareto/NBD | came |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def rows_of(workspace: Workspace, cut: date) -> list[str]:
    """The rows of one date: order-days and spend, by rising horizon; then what the version is made of."""
    instant = datetime.combine(cut, time(), tzinfo=ZoneInfo(load_brand(workspace).time_zone))
    source, day = WorkspaceSource(workspace, as_of=instant), cut.toordinal() - EPOCH_ORDINAL
    known = read_order_days(workspace, known_until=instant)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trained = _trained(source, read_order_days(workspace, known_until=instant, days_end_at=instant))
        shop = Shop(known.before(day), instant, day, source)
        keys = shop.buyers(day).keys
        told = _served(trained, source, keys)
        happened = Happened(read_order_days(workspace), persons(workspace))
        rows = []
        for days in source.brand.horizons_days:
            came = dict(zip(Of, happened.within(keys, day=day, horizon_days=days), strict=True))
            for of in Of:
                said = {"ours": told[of, days]} | repeat_expectations(shop, day, horizon_days=days, of=of)
                rows.append(_row(f"| {cut} | {days} | {of.value} |", said, came[of]))
    expected = trained.description.get("expected", {"judged": {}})
    return rows + [f"| | | {of} | {one['shipped']} ({one['because']}) |" for of, one in expected["judged"].items()]


def _trained(source: WorkspaceSource, orders: OrderDays) -> Trained:
    trained = train_next_purchase(source, horizons_days=source.brand.horizons_days)
    return with_expected(with_coming(trained, source), source, orders)


def _served(trained: Trained, source: WorkspaceSource, keys: NDArray[np.int64]) -> Mapping[tuple[Of, int], Floats]:
    """What the version says of those customers."""
    model = NextPurchaseModel(trained.description | {"version": "not written"}, trained.boosters, schema=source.schema)
    snapshot = source.snapshot(source.known_until)
    coming = model.coming(snapshot.X)
    nobody = np.full(len(snapshot.customer_keys), np.nan)
    told = {}
    for days in source.brand.horizons_days:
        for of in Of:
            said = None if coming is None else coming.orders(days) if of is Of.ORDERS else coming.spend(days)
            told[of, days] = aligned(keys, snapshot.customer_keys, nobody if said is None else said)
    return told


def _row(head: str, said: Mapping[str, Floats], came: Floats) -> str:
    digits = 3 if float(came.mean()) < 50 else 1
    cells = []
    for values in said.values():
        of = amount_figures(came, values if np.isfinite(values).all() else None)
        wrong = [of[name] for name in ("mae", "rmse")]
        shown = " / ".join("" if value is None else f"{value:,.{digits}f}" for value in wrong)
        cells.append(f"{shown} / {of['sum_predicted'] or 0:,.0f}")
    return f"{head} {' | '.join(cells)} | {came.sum():,.0f} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    place, cuts = asked_for(__doc__, arguments)
    print(table(place, cuts=cuts), flush=True)


if __name__ == "__main__":
    main()
