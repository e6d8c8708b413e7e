"""One horizon that is no better than the known rate does not keep back the others."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np

from training.learning import without_hopeless
from training.next_purchase import Judged, Trained

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)


def judged(horizon_days: int, *, knows: bool) -> Judged:
    """Half of ten customers order; the model knows who, or says the rate of everybody."""
    y = np.array([1, 0] * 5, dtype=np.uint8)
    probability = np.where(y == 1, 0.9, 0.1) if knows else np.full(10, 0.5)
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


def test_a_horizon_no_better_than_the_rate_is_left_out_with_its_reason() -> None:
    left = without_hopeless(trained(of_7=False, of_30=True), served=())
    assert [head.horizon_days for head in left.heads] == [30]
    assert [one.horizon_days for one in left.judged] == [30]
    assert [head["horizon_days"] for head in left.description["heads"]] == [30]
    assert left.description["heads"][0]["booster"] == 0  # the first file now, the second one before
    assert list(left.refused) == [7, 90]
    assert "not better than saying 50.0% of everybody" in left.refused[7]
    assert left.description["refused"] == {str(horizon): why for horizon, why in left.refused.items()}


def test_a_horizon_that_the_champion_serves_is_not_taken_away() -> None:
    whole = trained(of_7=False, of_30=True)
    assert without_hopeless(whole, served=(7, 30)) is whole


def test_a_model_of_no_use_at_all_stays_whole_for_the_gate_to_refuse() -> None:
    whole = trained(of_7=False, of_30=False)
    assert without_hopeless(whole, served=()) is whole
