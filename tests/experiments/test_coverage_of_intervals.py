"""Over 200 seeds of simulated decisions with a known uplift, how often the 95% intervals hold the truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from experiments.analysis import analyse_holdout
from experiments.holdout_customers import HoldoutQuestion
from experiments.metrics import Estimate
from experiments.records import HOLDOUT, PERSONALISED

SEEDS = 200
WEEK = timedelta(days=7)
START = datetime(2026, 1, 1, tzinfo=UTC)
MARGIN_RATE = 0.4
MEAN_ORDER, ORDER_SIGMA = 1500.0, 0.6

CASES = {
    "a common goal and a clear uplift": (2000, 0.10, 0.08, 0.11),
    "a rare goal in a small holdout": (2000, 0.10, 0.06, 0.07),
    "no uplift at all": (2000, 0.20, 0.10, 0.10),
}


def simulated_ledger(
    rng: np.random.Generator, *, n: int, holdout_rate: float, base_rate: float, personalised_rate: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Customers with one to three decisions over two weeks; orders follow the first within a week, and noise after."""
    is_holdout = rng.random(n) < holdout_rate
    first = rng.random(n) * 14
    n_decisions = rng.integers(1, 4, n)
    key = np.repeat(np.arange(n), n_decisions)
    later = (np.arange(key.size) - (np.cumsum(n_decisions) - n_decisions)[key]) * 5.0
    arm = np.where(is_holdout, HOLDOUT, PERSONALISED)
    probability = np.where(is_holdout, holdout_rate, 1 - holdout_rate)
    decisions = pd.DataFrame(
        {
            "customer_key": key,
            "decided_at": START + pd.to_timedelta(first[key] + later, unit="D"),
            "placement": "chat_reply",
            "arm": arm[key],
            "arm_probability": probability[key],
        }
    )
    ordered = rng.random(n) < np.where(is_holdout, base_rate, personalised_rate)
    buyers = np.flatnonzero(ordered)
    strangers = rng.integers(0, n, n // 20)  # orders after the window: they must not count
    value = MEAN_ORDER * np.exp(rng.normal(-(ORDER_SIGMA**2) / 2, ORDER_SIGMA, buyers.size + strangers.size))
    days = np.concatenate(
        [first[buyers] + rng.random(buyers.size) * 6.99, first[strangers] + 7.0 + rng.random(strangers.size)]
    )
    occurred = START + pd.to_timedelta(days, unit="D")
    outcomes = pd.DataFrame(
        {
            "customer_key": np.concatenate([buyers, strangers]),
            "outcome": "converted",
            "goal": "order",
            "value": value,
            "occurred_at": occurred,
            "received_at": occurred,
        }
    )
    return decisions, outcomes


@pytest.mark.parametrize("case", CASES)
def test_95_percent_intervals_hold_the_truth_in_91_to_98_percent_of_seeds(case: str) -> None:
    n, holdout_rate, base_rate, personalised_rate = CASES[case]
    difference = personalised_rate - base_rate
    truth = {
        "conversion absolute": difference,
        "conversion relative": difference / base_rate,
        "revenue absolute": difference * MEAN_ORDER,
        "revenue relative": difference / base_rate,
        "margin absolute": difference * MEAN_ORDER * MARGIN_RATE,
    }
    question = HoldoutQuestion(goal="order", window_days=7, as_of=START + 10 * WEEK, margin_rate=MARGIN_RATE)
    held = dict.fromkeys(truth, 0)
    estimated = dict.fromkeys(truth, 0)
    alarms = 0
    for seed in range(SEEDS):
        decisions, outcomes = simulated_ledger(
            np.random.default_rng(seed),
            n=n,
            holdout_rate=holdout_rate,
            base_rate=base_rate,
            personalised_rate=personalised_rate,
        )
        analysis = analyse_holdout(decisions, outcomes, question=question)
        alarms += analysis.sample_ratio is not None and not analysis.sample_ratio.is_healthy
        for name, true_value in truth.items():
            metric, scale = name.split()
            estimate = getattr(getattr(analysis, metric), scale)
            if isinstance(estimate, Estimate):
                estimated[name] += 1
                held[name] += estimate.low <= true_value <= estimate.high
    coverage = {name: held[name] / estimated[name] for name in truth}
    assert alarms <= 2
    assert min(estimated.values()) >= 0.7 * SEEDS
    assert all(0.91 <= share <= 0.98 for share in coverage.values()), coverage
