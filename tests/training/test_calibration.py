from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.calibration import (
    IDENTITY,
    KINDS,
    Calibration,
    busier,
    fit_calibration,
    from_log_odds,
    level_shift,
    lines_of,
    log_odds,
    on_lines,
)
from training.evaluation import auc, calibration_curve, gain_curve, log_losses, quality


def an_overconfident_model(n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Says twice the log-odds, one too high."""
    rng = np.random.default_rng(3)
    truth = rng.normal(-1.0, 1.0, n)
    y = (rng.random(n) < from_log_odds(truth)).astype(np.uint8)
    return 2.0 * truth + 1.0, y


@pytest.mark.parametrize("kind", KINDS)
def test_after_calibration_the_mean_is_what_happened(kind: str) -> None:
    score, y = an_overconfident_model()
    calibrated = fit_calibration(score, y, kind=kind).apply(score)
    assert calibrated.mean() == pytest.approx(y.mean(), abs=0.005)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_calibration_undoes_overconfidence(kind: str) -> None:
    score, y = an_overconfident_model()
    before = quality(y, from_log_odds(score))
    after = quality(y, fit_calibration(score, y, kind=kind).apply(score))
    assert before.calibration_slope == pytest.approx(0.5, abs=0.05)
    assert after.calibration_slope == pytest.approx(1.0, abs=0.1)
    assert after.log_loss < before.log_loss


@pytest.mark.parametrize("kind", KINDS)
def test_a_calibration_survives_json(kind: str) -> None:
    score, y = an_overconfident_model(500)
    calibration = fit_calibration(score, y, kind=kind)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.as_dict())))
    assert np.array_equal(again.apply(score), calibration.apply(score))


@given(
    lines=st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 3)), min_size=1, max_size=4),
    scores=st.lists(st.floats(-20, 20), min_size=1, max_size=3),
)
def test_lines_together_are_bit_by_bit_each_line(lines: list[tuple[float, float, float]], scores: list[float]) -> None:
    heads = [Calibration("platt", (x, x + 1.0), (y, y + slope), extend=True) for x, y, slope in lines]
    columns = lines_of(heads)
    assert columns is not None
    together = on_lines(np.array([scores] * len(heads)), *columns)
    assert together.tolist() == [head.calibrated(np.array(scores)).tolist() for head in heads]
    assert lines_of([*heads, Calibration("isotonic", (0.0, 1.0), (0.0, 1.0))]) is None


def test_a_line_through_scores_that_tell_everything_promises_no_certainty() -> None:
    line = fit_calibration(np.array([0.0, 1.0, 0.0, 0.0]), np.array([0, 1, 0, 0], dtype=np.uint8), kind="platt")
    probabilities = line.apply(np.linspace(-12, 12, 200))
    assert (probabilities.min(), probabilities.max()) == pytest.approx((1e-6, 1 - 1e-6))
    assert (np.diff(probabilities) >= 0).all()


def test_nobody_in_a_busy_season_is_certain_to_order() -> None:
    assert float(busier(np.array([1.0 - 1e-9]), 4.0)[0]) == 1 - 1e-6


@given(st.lists(st.tuples(st.floats(-8, 8), st.booleans()), min_size=4, max_size=60), st.sampled_from(KINDS))
def test_a_higher_score_never_gets_a_lower_probability(rows: list[tuple[float, bool]], kind: str) -> None:
    score = np.array([row[0] for row in rows])
    y = np.array([row[1] for row in rows], dtype=np.uint8)
    y[:2] = (0, 1)
    probabilities = fit_calibration(score, y, kind=kind).apply(np.linspace(-12, 12, 200))
    assert (np.diff(probabilities) >= -1e-12).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_knots_that_fall_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="never fall"):
        Calibration("isotonic", (0.0, 1.0), (1.0, 0.0))
    with pytest.raises(ValueError, match="rise strictly"):
        Calibration("isotonic", (1.0, 1.0), (0.0, 1.0))


def test_the_identity_changes_nothing_and_a_shift_moves_the_level() -> None:
    score = np.array([-5.0, 0.0, 5.0])
    assert IDENTITY.apply(score) == pytest.approx(from_log_odds(score))
    assert IDENTITY.shifted(1.0).apply(score) == pytest.approx(from_log_odds(score + 1.0))


def test_the_shift_reaches_the_asked_rate() -> None:
    score = np.array([-1.0, 0.0, 2.0])
    assert from_log_odds(score + level_shift(score, 0.25)).mean() == pytest.approx(0.25)


def test_auc_counts_pairs_ranked_right_and_half_the_ties() -> None:
    y = np.array([1, 0, 1, 0], dtype=np.uint8)
    # pairs (1st, 2nd) right, (1st, 4th) right, (3rd, 2nd) tied, (3rd, 4th) right
    assert auc(y, np.array([0.9, 0.5, 0.5, 0.1])) == 3.5 / 4


def test_log_loss_of_a_half_is_ln_two() -> None:
    y = np.array([1, 0], dtype=np.uint8)
    assert log_losses(y, np.array([0.5, 0.5])) == pytest.approx(np.log(2))


def test_log_odds_and_back() -> None:
    p = np.array([0.01, 0.5, 0.99])
    assert from_log_odds(log_odds(p)) == pytest.approx(p)


def test_the_gain_curve_starts_at_nobody_and_ends_at_everybody() -> None:
    y = np.array([1, 0, 0, 1], dtype=np.uint8)
    points = gain_curve(y, np.array([0.9, 0.2, 0.1, 0.8]), n_points=4)
    assert points == [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 1.0), (1.0, 1.0)]


def test_the_calibration_curve_holds_every_row_once() -> None:
    score, y = an_overconfident_model(103)
    assert sum(n for _, _, n in calibration_curve(y, from_log_odds(score))) == 103
