"""Folds go back a horizon each, know nothing of what they are held against, and the newest is the gate's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from training import backtesting
from training.backtesting import Fold, backtest
from training.next_purchase import train_next_purchase
from training.split import gate_cutoff

HORIZON_DAYS = 28


@pytest.fixture(scope="module")
def told(tiny_world: Callable[..., Any]) -> tuple[Any, list[Fold], list[tuple[datetime, datetime]]]:
    """A world, its folds, and for each label looked up: its window's end, and where the newest snapshot stood then."""
    world = tiny_world(n_customers=160, days=170)
    looked: list[tuple[datetime, datetime]] = []
    happened = world.happened

    def noted(as_of: datetime, horizon_days: int) -> Any:
        looked.append((as_of, as_of + timedelta(days=horizon_days)))
        return happened(as_of, horizon_days)

    world.happened = noted
    return world, backtest(world, horizons_days=[HORIZON_DAYS], n_folds=2), looked


def test_folds_stand_a_horizon_apart_and_end_where_history_does(told: Any) -> None:
    world, folds, _ = told
    newest = gate_cutoff(world.known_until, horizon_days=HORIZON_DAYS)
    assert [fold.as_of for fold in folds] == [newest - timedelta(days=28 * back) for back in range(len(folds))]
    assert len(folds) == 2


def test_until_a_fold_is_judged_no_label_past_its_instant_was_looked_up(told: Any) -> None:
    _, folds, looked = told
    begun = 0
    for fold in folds:
        judged = looked.index((fold.as_of, fold.as_of + timedelta(days=HORIZON_DAYS)), begun)
        assert all(end <= fold.as_of for _, end in looked[begun:judged])
        begun = judged + 2  # the window itself, and the known rate's


def test_the_newest_fold_is_what_the_gate_sees(told: Any) -> None:
    world, folds, _ = told
    (judged,) = train_next_purchase(world, horizons_days=[HORIZON_DAYS]).judged
    assert folds[0].quality == judged.quality()
    assert folds[0].constant == judged.loss_of_constant()


def test_figures_are_means_over_folds_with_their_spread(told: Any) -> None:
    _, folds, _ = told
    losses = [fold.quality.log_loss for fold in folds]
    found = backtesting.metrics(folds)
    assert found["folds_log_loss_mean_28d"] == pytest.approx(sum(losses) / len(losses))
    assert found["folds_log_loss_sd_28d"] > 0.0
    assert f"28 days over {len(folds)} windows" in backtesting.lines(folds)[0]
    assert "folds_log_loss_sd_28d" not in backtesting.metrics(folds[:1])
    assert len(backtesting.as_dicts(folds)) == len(folds)
