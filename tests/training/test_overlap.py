"""A campaign by lot passes, however uneven; a targeted one is refused, with the experiment that would settle it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from experiments.sizing import customers_needed
from training.overlap import Overlap, check_overlap, fewest_for
from training.response.rows import NOTHING, ActionFeatures, ResponseRows

INPUTS = ("history", "recency", "noise")
MAIL = ActionFeatures("mail")
POST = ActionFeatures("post")


def a_campaign(
    p: Callable[[np.ndarray], np.ndarray] | float,
    *,
    n: int = 6000,
    declared: np.ndarray | float | None = None,
    seed: int = 0,
) -> ResponseRows:
    """Customers treated with probability p (of x), of which `declared` is what the campaign says."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    of_each = np.broadcast_to(np.asarray(p(X) if callable(p) else p, dtype=float), n)
    treated = rng.random(n) < of_each
    said = of_each if declared is None else np.broadcast_to(np.asarray(declared, dtype=float), n)
    reward = (rng.random(n) < 0.1 + 0.05 * treated).astype(float)
    return ResponseRows(
        X.astype(np.float32),
        treated.astype(np.intp),
        reward,
        np.where(treated, said, 1 - said),
        np.arange(n),
        np.full(n, np.datetime64("2024-03-20", "us")),
        (NOTHING, MAIL),
    )


def checked(rows: ResponseRows) -> Overlap:
    return check_overlap(rows, inputs=INPUTS)[1]


def by_history(low: float, high: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda X: np.where(X[:, 0] > 0, high, low)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
def test_a_campaign_by_lot_passes_however_uneven(share: float) -> None:
    overlap = checked(a_campaign(share))
    assert overlap.refusal is None
    assert abs(overlap.auc - 0.5) < 0.06
    assert overlap.outside == 0.0


@pytest.mark.parametrize("seed", range(12))
def test_luck_is_not_taken_for_targeting(seed: int) -> None:
    assert checked(a_campaign(0.5, n=800, seed=seed)).refusal is None


@pytest.mark.parametrize("declared", [0.5, 1 / 3])
def test_a_targeted_campaign_is_refused_whatever_it_declares(declared: float) -> None:
    overlap = checked(a_campaign(by_history(0.02, 0.98), declared=declared))
    assert overlap.refusal is not None
    assert overlap.refusal.code == "targeted"
    assert overlap.telling[0] == "history"
    assert overlap.auc > 0.9
    assert overlap.outside > 0.9
    told = overlap.refusal.as_dict()
    assert "'history'" in told["why"]
    assert "by lot" in told["what_would_settle_it"]["design"]


def test_milder_targeting_is_refused_where_its_probabilities_are_not_declared() -> None:
    overlap = checked(a_campaign(by_history(0.3, 0.7), declared=0.5))
    assert overlap.refusal is not None
    assert overlap.refusal.code == "targeted"


def test_the_same_draw_passes_where_each_row_declares_its_probability() -> None:
    rows, overlap = check_overlap(a_campaign(by_history(0.3, 0.7)), inputs=INPUTS)
    assert overlap.refusal is None
    assert not rows.is_inferred
    assert overlap.effective_n["mail"] == pytest.approx(3000 / (1 + 0.19), rel=0.05)


def test_declared_probabilities_without_overlap_are_refused() -> None:
    overlap = checked(a_campaign(by_history(0.01, 0.99)))
    assert overlap.refusal is not None
    assert overlap.refusal.code == "no_overlap"


def test_a_lot_whose_declared_shares_are_wrong_is_used_with_its_real_ones_and_says_so() -> None:
    rows, overlap = check_overlap(a_campaign(0.7, declared=0.5), inputs=INPUTS)
    assert overlap.refusal is None
    assert rows.is_inferred
    assert "mail 0.500" in overlap.note
    assert rows.propensity[rows.action == 1][0] == pytest.approx(0.7, abs=0.02)


def test_too_few_in_an_arm_are_refused() -> None:
    overlap = checked(a_campaign(0.99, n=2000))
    assert overlap.refusal is not None
    assert overlap.refusal.code == "too_few_customers"


def test_several_arms_are_checked_at_once() -> None:
    rng = np.random.default_rng(1)
    n = 6000
    X = rng.normal(size=(n, 3)).astype(np.float32)
    lot = rng.integers(0, 3, n)
    targeted = np.where((X[:, 1] > 0.5) & (lot == 0), 2, lot)

    def rows(action: np.ndarray) -> ResponseRows:
        at = np.full(n, np.datetime64("2024-03-20", "us"))
        actions = (NOTHING, MAIL, POST)
        return ResponseRows(X, action.astype(np.intp), rng.random(n), np.full(n, 1 / 3), np.arange(n), at, actions)

    assert checked(rows(lot)).refusal is None
    overlap = checked(rows(targeted))
    assert overlap.refusal is not None
    assert overlap.telling[0] == "recency"


def test_an_experiment_is_as_large_as_the_textbook_says() -> None:
    """A rate of 10%, 80% power for 2 points more: (1.96 + 0.8416)² x 0.09 / 0.02² in each half's terms, x 4."""
    z = 1.959964 + 0.841621
    assert customers_needed(sd=0.3, difference=0.02) == math.ceil(4 * (z * 0.3 / 0.02) ** 2)
    assert customers_needed(sd=0.3, difference=0.02, treated_share=0.9) > 2.7 * customers_needed(
        sd=0.3, difference=0.02
    )
    with pytest.raises(ValueError, match="difference"):
        customers_needed(sd=0.3, difference=0.0)


def test_customers_count_not_their_rows() -> None:
    rows = a_campaign(0.5, n=2_000)
    few = replace(rows, cluster=np.arange(2_000) % 60)
    refusal = checked(few).refusal
    assert refusal is not None
    assert refusal.code == "too_few_customers"
    assert "60 customers" in refusal.why


def test_the_larger_a_share_judges_the_more_customers_it_takes() -> None:
    assert fewest_for(0.3) == 100
    assert fewest_for(0.95) * 0.05 > 50
    assert fewest_for(0.05) * 0.05 > 1
    rows = a_campaign(0.5, n=1_000)
    refusal = check_overlap(rows, inputs=INPUTS, fewest=fewest_for(0.95))[1].refusal
    assert refusal is not None
    assert refusal.code == "too_few_customers"
