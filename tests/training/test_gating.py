"""Each question of the gate, asked of what must pass and of what must not."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from training.gating import HARM, better_beyond_noise, calibrated, fast_enough, harmless
from training.resampling import paired_difference


def gain_of(mean: float, *, n: int, spread: float = 0.5) -> NDArray[np.float64]:
    """Differences of exactly that mean and spread."""
    drawn = np.random.default_rng(n).normal(size=n)
    return np.asarray(mean + spread * (drawn - drawn.mean()) / drawn.std())


def test_a_gain_that_luck_explains_does_not_pass_and_the_same_gain_of_many_does() -> None:
    few, many = (
        better_beyond_noise("?", paired_difference(gain_of(0.02, n=n)), loss=0.48, other=0.5) for n in (400, 9_000)
    )
    assert not few.passed
    assert "needed are 95%" in few.answer
    assert many.passed


def test_a_gain_beyond_doubt_that_is_worth_nothing_does_not_pass() -> None:
    sure = paired_difference(gain_of(0.0015, n=20_000, spread=0.05))
    assert sure.share_above_zero == 1.0
    assert not better_beyond_noise("?", sure, loss=0.4985, other=0.5).passed


def said_and_happened(
    n: int, *, slope: float = 1.0, shift: float = 0.0
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What happens has log-odds `slope` × those said + `shift`."""
    rng = np.random.default_rng(7)
    score = rng.normal(-1.0, 1.0, n)
    happened = rng.random(n) < 1 / (1 + np.exp(-(slope * score + shift)))
    return happened.astype(np.uint8), 1 / (1 + np.exp(-score))


def test_honest_probabilities_are_calibrated() -> None:
    assert calibrated("?", *said_and_happened(5_000)).passed


def test_boasting_and_timid_slopes_are_not_calibrated() -> None:
    assert not calibrated("?", *said_and_happened(5_000, slope=0.4)).passed
    assert not calibrated("?", *said_and_happened(5_000, slope=2.5)).passed


def test_a_level_of_double_or_half_is_not_calibrated() -> None:
    assert not calibrated("?", *said_and_happened(5_000, shift=-1.0)).passed
    assert not calibrated("?", *said_and_happened(5_000, shift=1.8)).passed


def test_what_few_customers_cannot_show_is_not_held_against_a_model() -> None:
    y, said = said_and_happened(60, slope=0.75)
    assert calibrated("?", y, said).passed


def test_where_nobody_ordered_nothing_is_calibrated() -> None:
    assert not calibrated("?", np.zeros(50, dtype=np.uint8), np.full(50, 0.1)).passed


def test_one_large_group_that_is_worse_stops_a_model_that_is_better_on_the_whole() -> None:
    better, worse = gain_of(0.05, n=5_000), gain_of(-3 * HARM, n=5_000)
    groups = [("stage loyalty", paired_difference(better), 0.2), ("locale th", paired_difference(worse), 0.2)]
    check = harmless("?", groups)
    assert not check.passed
    assert "locale th: worse by 0.0300" in check.answer
    assert harmless("?", groups[:1]).passed


def test_a_group_that_is_worse_by_luck_or_by_little_stops_nothing() -> None:
    by_luck, by_little = gain_of(-3 * HARM, n=200), gain_of(-HARM / 2, n=20_000, spread=0.05)
    groups = [("a", paired_difference(by_luck), 0.2), ("b", paired_difference(by_little), 0.2)]
    assert harmless("?", groups).passed


def test_a_slow_model_is_not_served_and_a_quick_one_is() -> None:
    from time import sleep

    X = np.zeros((5, 2), dtype=np.float32)
    slow = fast_enough("?", lambda row: sleep(0.02), X)
    assert not slow.passed
    assert slow.answer == "too slow: at most 5000 µs a row are allowed"
    assert fast_enough("?", lambda row: row, X).passed


def test_the_answer_about_speed_is_the_same_however_busy_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.zeros((3, 2), dtype=np.float32)
    answers = set()
    for seconds in (0.0001, 0.004):
        clock = itertools.count(0.0, seconds)
        monkeypatch.setattr("training.gating.perf_counter", lambda clock=clock: next(clock))
        answers.add(fast_enough("?", lambda row: row, X))
    assert [check.answer for check in answers] == ["fast enough: at most 5000 µs a row are allowed"]


def test_one_row_is_asked_at_a_time() -> None:
    shapes = set()
    fast_enough("?", lambda row: shapes.add(row.shape), np.zeros((5, 2), dtype=np.float32))
    assert shapes == {(1, 2)}
