"""The gate's question of expected order-days and spend: no worse than the champion's, where neither knew the window."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from training.artifact import NextPurchaseModel
from training.dataset import Source
from training.expectations.shop import aligned
from training.gating import Check, harmless
from training.next_purchase import JudgedAmounts, Trained
from training.resampling import FEW_DRAWS, paired_difference

Floats = NDArray[np.float64]

ORDERS, SPEND = "orders", "spend"


def expected_checks(trained: Trained, source: Source, champion: object) -> tuple[Check, ...]:
    """One question each of order-days and of spend; none where no champion says how many.

    Args:
        trained: with what it was judged by.
        source: of snapshots.
        champion: what serves now; None, or a refusal, where nothing that fits the features of today does.
    """
    if not isinstance(champion, NextPurchaseModel) or "expected" not in champion.description:
        return ()
    if not trained.amounts:
        question = "expected orders, as the champion says them"
        return (Check(question, False, "it says none: no closed window of the longest horizon could judge them"),)
    checks = [_no_worse(of, judged, source, champion) for of, judged in trained.amounts.items()]
    if SPEND in champion.description["expected"] and SPEND not in trained.amounts:
        checks.append(Check("expected spend, as the champion says it", False, "it says none: orders without amounts?"))
    return tuple(check for check in checks if check is not None)


def _no_worse(of: str, judged: JudgedAmounts, source: Source, champion: NextPurchaseModel) -> Check | None:
    """None where the champion knew the window, or does not say it."""
    question = f"expected {of} within {judged.horizon_days} days: no worse than the champion"
    if judged.as_of < datetime.fromisoformat(champion.description["as_of"]):
        return None
    theirs = _said_by(champion, of, judged, source)
    if theirs is None or not (told := np.isfinite(theirs)).any():
        return None
    happened = judged.happened[told]  # a person's key that came to be known later has no row to ask the champion of
    scale = float(happened.mean()) or 1.0  # of money too, what few units of it are is no harm
    mine, other = ((said[told] - happened) / scale for said in (judged.said, theirs))
    return harmless(
        question,
        [
            (name, paired_difference(measure(other) - measure(mine), draws=FEW_DRAWS), float(measure(other).mean()))
            for name, measure in (("absolute error", np.abs), ("squared error", np.square))
        ],
    )


def _said_by(champion: NextPurchaseModel, of: str, judged: JudgedAmounts, source: Source) -> Floats | None:
    snapshot = source.snapshot(judged.as_of)
    rows = np.isin(snapshot.customer_keys, judged.customer_keys)
    coming = champion.coming(snapshot.X[rows])
    if coming is None:
        return None
    said = coming.orders(judged.horizon_days) if of == ORDERS else coming.spend(judged.horizon_days)
    return None if said is None else aligned(judged.customer_keys, snapshot.customer_keys[rows], said)
