"""What repeat buying missed is learned from many rows, hardly at all from few, and comes along to any horizon."""

from __future__ import annotations

import numpy as np
import pytest

from training.calibration import from_log_odds
from training.correcting import fit_correction
from training.linear import Linear
from training.members import Customers
from training.pareto_nbd import ParetoNbd
from training.repeat_buying import BgNbd, history_of, started_days
from training.voices import Asked, Curves

COLUMNS = (("log", "revenue"),)
INPUTS = ("n_order_days", "days_since_last_order", "days_since_first_order", "revenue")
MODELS = (BgNbd(r=0.8, alpha=6.0, a=0.8, b=2.5), ParetoNbd(r=0.8, alpha=6.0, s=0.7, beta=12.0))
BUYERS = np.array([(5.0, 10.0, 100.0, 90.0), (1.0, 40.0, 40.0, 5.0), (0.0, np.nan, np.nan, np.nan)], dtype=np.float32)


def some_rows(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A column that moves the log-odds by 1.5 a standard deviation, and what was said without it."""
    rng = np.random.default_rng(3)
    design, said = rng.normal(2.0, 0.5, (n, 1)), rng.normal(-1.0, 1.0, n)
    truth = from_log_odds(said + 1.5 * (design[:, 0] - 2.0) / 0.5)
    return design, said, (rng.random(n) < truth).astype(np.uint8)


def test_what_was_missed_is_learned_on_top_of_what_was_said() -> None:
    design, said, y = some_rows(5_000)
    missed = fit_correction(design, y, said=said, columns=COLUMNS)
    assert missed.coefficients == pytest.approx([1.5], abs=0.15)
    assert missed.intercept == pytest.approx(0.0, abs=0.15)


def test_a_few_rows_correct_hardly_anything() -> None:
    design, said, y = some_rows(30)
    missed = fit_correction(design, y, said=said, columns=COLUMNS)
    assert abs(missed.coefficients[0]) < 0.3
    everybody = fit_correction(design, np.ones(30, dtype=np.uint8), said=said, columns=COLUMNS)
    assert abs(everybody.intercept) < 0.5


def test_a_correction_is_added_for_buyers_only_and_by_as_much_as_it_is_believed() -> None:
    missed = Linear(COLUMNS, (3.0,), (1.0,), (0.5,), 0.2)
    asked = Asked(BUYERS, INPUTS)
    plain, half, whole = (
        Curves(MODELS, 91, silent=-2.0, missed=added, believed=believed).log_odds_of(asked)
        for added, believed in ((None, 1.0), (missed, 0.5), (missed, 1.0))
    )
    revenue = np.log1p(BUYERS[:2, 3].astype(np.float64))
    assert whole[:2] - plain[:2] == pytest.approx(0.2 + 0.5 * (revenue - 3.0))
    assert half - plain == pytest.approx((whole - plain) / 2)
    assert (plain[2], whole[2]) == (-2.0, -2.0)


def test_several_models_speak_in_the_mean_of_their_log_odds() -> None:
    customers, asked = Customers(BUYERS, INPUTS), Asked(BUYERS, INPUTS)
    each = [customers.repeat_buying(model, horizon_days=91)[:2] for model in MODELS]
    said = Curves(MODELS, 91, silent=-2.0).log_odds_of(asked)
    assert said[:2] == pytest.approx((each[0] + each[1]) / 2)


def test_a_log_of_one_row_a_day_counts_days_as_the_literature_does() -> None:
    """Orders at midnight 30 and 3 days ago, asked at midnight: first seen 30 days ago, 27 days to the last."""
    history = history_of(*(np.array([value]) for value in (2.0, 3.0, 30.0)))
    assert (history.t_x[0] * 7, history.T[0] * 7) == (30 - 3, 30)
    assert started_days(np.array([0.0, 0.2, 1.0, 1.2])) == pytest.approx([1, 1, 1, 2])
