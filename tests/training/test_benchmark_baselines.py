"""The benchmark's baselines are the published ones, so what stands beside them is a fair comparison."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.benchmarks.next_purchase import HORIZON_DAYS, has_ordered, import_online_retail, repeat_buying, rfm
from training.dataset import WorkspaceSource
from training.evaluation import auc
from training.labels import label
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
    before = cut - timedelta(days=HORIZON_DAYS)
    source = WorkspaceSource(workspace, eligible=has_ordered)
    here, there = source.frame(cut), source.frame(before)
    y = label(here["customer_key"].to_numpy(), happened=source.happened(cut, HORIZON_DAYS))
    taught = label(there["customer_key"].to_numpy(), happened=source.happened(before, HORIZON_DAYS))
    assert (len(y), round(float(y.mean()), 3)) == (4_969, 0.322)
    history = repeat_buying(here)
    assert auc(y, fit_bgnbd(history).expected(history, weeks=HORIZON_DAYS / 7)) == pytest.approx(0.825, abs=0.003)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(rfm(there), taught)
    assert auc(y, model.predict_proba(rfm(here))[:, 1]) == pytest.approx(0.826, abs=0.003)
