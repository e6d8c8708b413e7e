"""Next purchase on a real shop's orders: ours beside what one would pick instead, at four dates, in one run.

    .venv/bin/python -m experiments.benchmarks.models.next_purchase [--cut 2011-09-10] [--workspace DIR]

It goes the product's own way: both Online Retail files are imported with the mappings of docs/mappings into a new
workspace, and each date is what `rapport evaluate next-purchase` prints: customers with an order before it, everything
fitted to what was known before it; what followed within 91 days is read by the judge alone. The last table is the mean
over the dates, with the largest lag of ours behind the best of the others at any of them.

These four dates are not held out for ours: its treatment of season and the members of its models were found with its
scores on them in sight. What was learned there was tried on other data (docs/evaluate.md).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from experiments.benchmarks.models.online_retail import CUTS, HORIZON_DAYS, asked_for, import_online_retail
from features.workspace import Workspace
from training.evaluating.next_purchase import Evaluated, evaluate_next_purchase
from training.evaluating.next_purchase_cli import as_markdown

OURS = "ours"
JUDGED = (
    ("AUC", "auc", True, 4),
    ("log-loss", "log_loss", False, 4),
    ("Brier", "brier", False, 4),
    ("MAE", "mae", False, 4),
    ("RMSE", "rmse", False, 4),
    ("corr", "corr", True, 4),
    ("spend MAE", "spend_mae", False, 1),
    ("spend RMSE", "spend_rmse", False, 1),
    ("spend corr", "spend_corr", True, 4),
)


def tables(workspace: Workspace | None = None, *, cuts: Sequence[date] = CUTS, horizon_days: int = HORIZON_DAYS) -> str:
    """A table a date, then the mean over them, as Markdown; None imports the data first."""
    with tempfile.TemporaryDirectory() as folder:
        place = workspace or import_online_retail(Path(folder) / "shop")
        found = [evaluate_next_purchase(place, cutoff=cut, horizons_days=[horizon_days])[0] for cut in cuts]
    return "\n".join([*(as_markdown(table) for table in found), means(found)])


def means(found: Sequence[Evaluated]) -> str:
    """The mean of each figure over the dates, and how far ours ever was behind the best of the others, as Markdown."""
    names = [OURS, *(model.name for model in found[0].models[1:])]
    lines = [f"\nMean over {len(found)} dates.\n", f"| model | {' | '.join(one[0] for one in JUDGED)} |"]
    lines.append("|---|" + "---|" * len(JUDGED))
    for place, name in enumerate(names):
        cells = [_mean_cell(found, place, figure, digits) for _, figure, _, digits in JUDGED]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lags = [_lag(found, figure, higher_is_better=higher, digits=digits) for _, figure, higher, digits in JUDGED]
    return "\n".join([*lines, f"| *ours behind the best of the others, at worst* | {' | '.join(lags)} |"])


def _mean_cell(found: Sequence[Evaluated], place: int, figure: str, digits: int) -> str:
    values = [table.models[place].metrics.get(figure) for table in found]
    known = [value for value in values if value is not None]
    return f"{np.mean(known):,.{digits}f}" if len(known) == len(values) else ""


def _lag(found: Sequence[Evaluated], figure: str, *, higher_is_better: bool, digits: int) -> str:
    lags = []
    for table in found:
        ours, *others = (model.metrics.get(figure) for model in table.models)
        known = [value for value in others if value is not None]
        if ours is not None and known:
            lags.append(max(known) - ours if higher_is_better else ours - min(known))
    return f"{max(lags):,.{digits}f}" if lags and max(lags) > 0 else "never"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    place, cuts = asked_for(__doc__, arguments)
    print(tables(place, cuts=cuts), flush=True)


if __name__ == "__main__":
    main()
