"""The benchmark's baselines are the published ones, so what stands beside them is a fair comparison."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.models.online_retail import HORIZON_DAYS, import_online_retail
from training.dataset import WorkspaceSource
from training.evaluating.baselines import bg_nbd, logistic_rfm
from training.evaluating.task import Task
from training.evaluation import auc
from training.order_days import EPOCH_ORDINAL, read_order_days
from training.repeat_buying import BgNbd, History, fit_bgnbd


def test_bgnbd_finds_the_parameters_that_made_the_data() -> None:
    rng = np.random.default_rng(11)
    truth, n, T = BgNbd(r=0.8, alpha=6.0, a=0.8, b=2.5), 4_000, 52.0
    rate, drop = rng.gamma(truth.r, 1 / truth.alpha, n), rng.beta(truth.a, truth.b, n)
    x, t_x = np.zeros(n), np.zeros(n)
    for i in range(n):
        at = 0.0
        while True:
            at += rng.exponential(1 / rate[i])
            if at > T:
                break
            x[i], t_x[i] = x[i] + 1, at
            if rng.random() < drop[i]:
                break
    fitted = fit_bgnbd(History(x, t_x, np.full(n, T)))
    assert fitted.r == pytest.approx(truth.r, rel=0.15)
    assert fitted.alpha == pytest.approx(truth.alpha, rel=0.15)
    assert fitted.a / (fitted.a + fitted.b) == pytest.approx(truth.a / (truth.a + truth.b), abs=0.05)


def test_bgnbd_and_logistic_rfm_reproduce_the_published_auc(shared_data: Path, tmp_path: Path) -> None:
    workspace = import_online_retail(tmp_path / "shop")
    cut = datetime(2011, 6, 10, tzinfo=UTC)
    day = cut.toordinal() - EPOCH_ORDINAL
    orders = read_order_days(workspace)
    task = Task(cut, day, HORIZON_DAYS, orders.before(day), WorkspaceSource(workspace, as_of=cut))
    happened = orders.within(task.buyers.keys, day=day, horizon_days=HORIZON_DAYS)[0]
    y = (happened > 0).astype(np.uint8)
    assert (len(y), round(float(y.mean()), 3)) == (4_969, 0.322)
    expected, said = bg_nbd(task).orders, logistic_rfm(task).probability
    assert expected is not None
    assert said is not None
    assert auc(y, expected) == pytest.approx(0.825, abs=0.003)
    assert auc(y, said) == pytest.approx(0.826, abs=0.003)
