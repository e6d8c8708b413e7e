"""Half of the say to Pareto/NBD as it is: the mean of two voices, written as one head."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.calibration import Calibration, log_odds
from training.choosing import Tried, at_its_own_level
from training.heads import finisher, lesson_of, raw_scores
from training.members import BESIDE, LINEAR, REPEAT_BUYING, TREES, Customers, Members
from training.own_level import halfway, halved
from training.pareto_nbd import ParetoNbd
from training.recipes import AS_IT_IS, AS_MANY_ORDERS, NO_SEASON, RECIPES
from training.repeat_buying import PARETO_NBD

PARETO = ParetoNbd(r=0.8, alpha=6.0, s=0.7, beta=12.0)
RECIPE = replace(RECIPES[0], season=NO_SEASON)
AS_IS = replace(RECIPE, members=(REPEAT_BUYING,), repeat_buying=PARETO_NBD, weighs=False, calibration=AS_IT_IS)
scores = st.lists(st.floats(-6, 6), min_size=3, max_size=3)


@given(
    scores, scores, st.floats(-2, 2), st.floats(-1, 1), st.floats(0.1, 3), st.sampled_from([TREES, BESIDE, "neither"])
)
def test_halved_members_say_the_mean_of_what_was_said_and_of_pareto_nbd(
    trees: list[float], pareto: list[float], offset: float, level: float, slope: float, without: str
) -> None:
    said = {TREES: np.array(trees), BESIDE: np.array(pareto)}
    offsets = {name: offset * sign for name, sign in ((TREES, 1), (BESIDE, -1)) if name != without}
    weights = {} if without != "neither" else {TREES: 0.7, BESIDE: 0.3}
    members = Members(28, offsets, silent=-3.0, weights=weights, beside=PARETO if BESIDE in offsets else None)
    line = Calibration("platt", (0.0, 1.0), (level, level + slope), extend=True)
    both, mean_line = halved(members, line, PARETO)
    assert both.beside == PARETO
    expected = (line.calibrated(members.mean_of({name: said[name] for name in offsets})) + said[BESIDE]) / 2
    assert mean_line.calibrated(both.mean_of(said)) == pytest.approx(expected, abs=1e-6)
    assert sum(both.weights.values()) == pytest.approx(1.0)
    assert mean_line.calibrated(np.array([both.silent])) == pytest.approx(line.calibrated(np.array([-3.0])), abs=1e-6)


def test_steps_cannot_be_halved() -> None:
    steps = Calibration("isotonic", (0.0, 1.0, 2.0), (0.0, 1.0, 1.5))
    with pytest.raises(ValueError, match="no line"):
        halved(Members(28, {LINEAR: 0.0}), steps, PARETO)


def test_a_head_that_is_halved_says_the_mean_of_itself_and_pareto_nbd(a_tiny_world: Any) -> None:
    lesson = lesson_of(a_tiny_world, horizon_days=28, used_at=a_tiny_world.known_until)
    finish = finisher(lesson, RECIPE, seed=0)
    plain, half = finish(RECIPE), finish(replace(RECIPE, halves=True))
    X = a_tiny_world.snapshot(a_tiny_world.known_until).X
    customers = Customers(X, plain.inputs)
    assert half.members.beside is not None
    by_itself = customers.repeat_buying(half.members.beside, horizon_days=28)
    bought = customers.bought()
    expected = halfway(log_odds(plain.predict(X)), by_itself)
    assert log_odds(half.predict(X))[bought] == pytest.approx(expected[bought], abs=1e-5)
    again = Members.from_dict(half.members.as_dict(), horizon_days=28)
    trees = raw_scores(half.booster, X)
    assert np.array_equal(again.scores(customers, trees), half.members.scores(customers, trees))


@pytest.mark.parametrize(
    ("worse", "season", "is_found"),
    [(-0.01, NO_SEASON, True), (0.005, NO_SEASON, True), (0.05, NO_SEASON, False), (0.0, AS_MANY_ORDERS, False)],
)
def test_half_of_the_say_is_given_where_the_window_cannot_tell(worse: float, season: str, is_found: bool) -> None:
    """Of 400 customers, whose paired difference has a standard error of 0.005 nats."""
    noise = np.tile([-0.1, 0.1], 200)
    best = Tried(replace(RECIPE, season=season), "trees + regression", np.full(400, 0.4))
    own = Tried(replace(AS_IS, season=season), PARETO_NBD, 0.4 + worse + noise)
    assert at_its_own_level([best, own], best) is (own if is_found else None)


def test_what_is_repeat_buying_alone_is_not_halved() -> None:
    own = Tried(AS_IS, PARETO_NBD, np.full(400, 0.4))
    assert at_its_own_level([own], own) is None
