"""Uplift metrics on worlds that a human can see, and against scikit-uplift."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.uplift_metrics import Ranked, qini_auc, qini_curve, ranked, uplift_at, uplift_auc, uplift_curve

TREATED = [1, 0, 1, 0, 1, 0, 1, 0]
BOUGHT = [1, 0, 1, 0, 0, 0, 0, 1]  # the first four are moved, the last two are better left alone
GOOD_ORDER = [8, 7, 6, 5, 4, 3, 2, 1]


def test_uplift_among_the_best_half_is_that_of_the_first_four() -> None:
    rows = ranked(BOUGHT, GOOD_ORDER, TREATED)
    assert uplift_at(rows, 0.5) == 2 / 2 - 0 / 2
    assert uplift_at(rows, 0.5, strategy="by_group") == 2 / 2 - 0 / 2
    assert uplift_at(rows, 0.99) == pytest.approx(2 / 4 - 0 / 3)  # the last one, who bought alone, is left out


def test_the_qini_curve_counts_what_the_treated_brought_beyond_as_many_controls() -> None:
    curve = qini_curve(ranked(BOUGHT, GOOD_ORDER, TREATED))
    assert curve.n.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert curve.gain.tolist() == [0, 1, 1, 2, 2, 2, 2, 2, 2 - 1 * 4 / 4]


def test_equal_predictions_make_one_point_of_a_curve() -> None:
    curve = uplift_curve(ranked(BOUGHT, [1, 1, 1, 1, 0, 0, 0, 0], TREATED))
    assert curve.n.tolist() == [0, 4, 8]
    assert curve.gain.tolist() == [0, (2 / 2 - 0 / 2) * 4, (2 / 4 - 1 / 4) * 8]


def test_the_perfect_order_scores_one() -> None:
    y, treated = np.array(BOUGHT), np.array(TREATED)
    assert qini_auc(ranked(y, np.where(treated, y, -y), treated)) == pytest.approx(1.0)


def test_an_arm_that_is_missing_among_the_best_gives_no_number_rather_than_a_wrong_one() -> None:
    assert np.isnan(uplift_at(ranked([1, 0, 0, 1], [4, 3, 2, 1], [1, 1, 0, 0]), 0.5))


@pytest.mark.parametrize(
    ("y", "uplift", "treated", "word"),
    [
        ([1, 0], [1.0], [1, 0], "1 predictions"),
        ([1, 0], [1, np.nan], [1, 0], "no number"),
        ([1, 0], [1, 2], [1, 1], "one arm"),
    ],
)
def test_what_cannot_be_ranked_is_refused(y: list[int], uplift: list[float], treated: list[int], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        ranked(y, uplift, treated)


def test_weights_mend_a_draw_that_favoured_some() -> None:
    """Keen customers were treated three times as often as the others: weighted, the uplift is the true 0.2 again."""
    rng = np.random.default_rng(3)
    keen = rng.random(200_000) < 0.5
    p = np.where(keen, 0.75, 0.25)
    treated = rng.random(len(p)) < p
    y = (rng.random(len(p)) < np.where(keen, 0.5, 0.1) + 0.2 * treated).astype(float)
    weights = np.where(treated, 0.5 / p, 0.5 / (1 - p))
    anyhow = rng.random(len(p))
    assert uplift_at(ranked(y, anyhow, treated), 0.5) > 0.35
    assert uplift_at(ranked(y, anyhow, treated, weights=weights), 0.5) == pytest.approx(0.2, abs=0.01)


@st.composite
def campaigns(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, predictions with many ties, and arms, such that scikit-uplift takes them."""
    n = draw(st.integers(12, 80))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    y, treated = rng.integers(0, 2, n), rng.integers(0, 2, n)
    y[:4], treated[:4] = [0, 1, 0, 1], [0, 0, 1, 1]
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    return y, np.round(rng.normal(size=n) * levels) / 7.0, treated


@settings(max_examples=150, deadline=None)
@given(campaigns())
def test_every_number_is_scikit_uplifts(campaign: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    metrics = pytest.importorskip("sklift.metrics")
    y, uplift, treated = campaign
    rows: Ranked = ranked(y, uplift, treated)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # means of nobody, and what scikit-learn will take away
        for share in (0.1, 0.3, 0.5):
            theirs = metrics.uplift_at_k(y, uplift, treated, strategy="overall", k=share)
            assert uplift_at(rows, share) == pytest.approx(theirs, abs=1e-9, nan_ok=True)
            theirs = metrics.uplift_at_k(y, uplift, treated, strategy="by_group", k=share)
            assert uplift_at(rows, share, strategy="by_group") == pytest.approx(theirs, abs=1e-9, nan_ok=True)
        assert qini_auc(rows) == pytest.approx(metrics.qini_auc_score(y, uplift, treated), abs=1e-9, nan_ok=True)
        assert uplift_auc(rows) == pytest.approx(metrics.uplift_auc_score(y, uplift, treated), abs=1e-9, nan_ok=True)
        for ours, theirs in (
            (qini_curve(rows), metrics.qini_curve(y, uplift, treated)),
            (uplift_curve(rows), metrics.uplift_curve(y, uplift, treated)),
        ):
            np.testing.assert_allclose(np.array(ours), np.array(theirs), atol=1e-9)
