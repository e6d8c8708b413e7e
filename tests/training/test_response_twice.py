"""The model that would be served is of the learner that was judged, whatever the newest rows would choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from training.response.fitting import fit_response
from training.response.learners import NAMES, learners_for
from training.response.rows import NOTHING, ActionFeatures, ResponseRows
from training.rounds.response import taught_twice


def test_all_rows_teach_the_learner_that_older_ones_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    n = 600
    is_old = np.arange(n) < n // 2
    x, action = random.normal(size=n), random.integers(0, 2, n)
    rows = ResponseRows(
        X=x[:, np.newaxis].astype(np.float32),
        action=action.astype(np.intp),
        reward=action * x + random.normal(size=n),
        propensity=np.full(n, 0.5),
        cluster=np.arange(n, dtype=np.int64),
        at=np.full(n, np.datetime64("2024-03-01", "us")),
        actions=(NOTHING, ActionFeatures("offer")),
    )

    def choosing_as_tastes_go(of: ResponseRows, *, candidates: Sequence[str] | None = None, **more: Any) -> Any:
        return fit_response(of, candidates=candidates or ["linear_t" if len(of) < n else "linear_dr"], **more)

    monkeypatch.setattr("training.rounds.response.fit_response", choosing_as_tastes_go)
    judged, served = taught_twice(rows, is_old, inputs=("x",), categories={}, seed=1)
    assert judged.learner == served.learner == "linear_t"
    assert (len(judged.rows), len(served.rows)) == (n // 2, n)
    assert served.tried == judged.tried
    assert served.why == judged.why


def test_the_learner_that_was_judged_can_be_taught_however_many_actions_there_are_since() -> None:
    assert "trees_dr" not in learners_for(50)
    assert learners_for(50, ["trees_dr"]) == ("trees_dr",)
    assert learners_for(2) == NAMES
