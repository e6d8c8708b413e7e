"""One horizon that is no better than the known rate does not keep back the others."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np

from training.dataset import WorkspaceSource
from training.gating import Check
from training.next_purchase import Judged, Trained
from training.rounds.next_purchase import own_checks, without_hopeless

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def judged(horizon_days: int, *, knows: bool) -> Judged:
    """Half of a hundred customers order; the model mostly knows who, or says the rate of everybody."""
    y = np.array([1, 0] * 50, dtype=np.uint8)
    sure = np.where(np.arange(100) < 80, np.where(y == 1, 0.8, 0.2), np.where(y == 1, 0.2, 0.8))
    probability = sure if knows else np.full(100, 0.5)
    return Judged(horizon_days, AS_OF, y, probability, constant=0.5)


def trained(**knows: bool) -> Trained:
    horizons = {int(name.removeprefix("of_")): known for name, known in knows.items()}
    heads: list[Any] = [SimpleNamespace(horizon_days=horizon) for horizon in horizons]
    described = [
        {"horizon_days": horizon, "recipe": {"members": ["trees"]}, "booster": place}
        for place, horizon in enumerate(horizons)
    ]
    description = {"heads": described, "refused": {"90": "too little data"}}
    verdicts = [judged(horizon, knows=known) for horizon, known in horizons.items()]
    return Trained(description, heads, verdicts, {90: "too little data"})


def own(whole: Trained) -> dict[int, tuple[Check, ...]]:
    nowhere: WorkspaceSource = None  # type: ignore[assignment]  # a horizon without a fit asks no snapshot
    return {one.horizon_days: own_checks(one, nowhere) for one in whole.judged}


def test_a_horizon_no_better_than_the_rate_is_left_out_with_its_reason() -> None:
    whole = trained(of_7=False, of_30=True)
    left = without_hopeless(whole, own(whole), served=())
    assert [head.horizon_days for head in left.heads] == [30]
    assert [one.horizon_days for one in left.judged] == [30]
    assert [head["horizon_days"] for head in left.description["heads"]] == [30]
    assert left.description["heads"][0]["booster"] == 0  # the first file now, the second one before
    assert list(left.refused) == [7, 90]
    assert "not better than saying 50.0% of everybody" in left.refused[7]
    assert left.description["refused"] == {str(horizon): why for horizon, why in left.refused.items()}


def test_a_horizon_that_the_champion_serves_is_not_taken_away() -> None:
    whole = trained(of_7=False, of_30=True)
    assert without_hopeless(whole, own(whole), served=(7, 30)) is whole


def test_a_model_of_no_use_at_all_stays_whole_for_the_gate_to_refuse() -> None:
    whole = trained(of_7=False, of_30=False)
    assert without_hopeless(whole, own(whole), served=()) is whole
