"""Departures from the best single action that other customers did not bear out, in worlds whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.response.departing import departures_of, usual_for, with_usual
from training.response.fitted import FittedResponse
from training.response.fitting import fit_response
from training.response.policy_value import Judge
from training.response.rows import NOTHING, ActionFeatures, ResponseRows

Floats = NDArray[np.float64]
INPUTS = ("taste", "orders")


def a_campaign(effects: Floats, X: Floats, *, noise: float = 0.7) -> ResponseRows:
    """Every action drawn alike; of each customer what it truly brings beyond nothing is known, `(n, n_actions - 1)`."""
    random = np.random.default_rng(7)
    n, n_actions = len(X), effects.shape[1] + 1
    action = random.integers(0, n_actions, n)
    truth = 2.0 + 0.3 * X[:, 1] + np.column_stack([np.zeros(n), effects])[np.arange(n), action]
    return ResponseRows(
        X=X.astype(np.float32),
        action=action.astype(np.intp),
        reward=truth + random.normal(0, noise, n),
        propensity=np.full(n, 1 / n_actions),
        cluster=np.arange(n, dtype=np.int64),
        at=np.full(n, np.datetime64("2024-03-01", "us")),
        actions=(NOTHING, *(ActionFeatures(f"mail_{place}") for place in range(1, n_actions))),
    )


def customers(n: int = 4_000) -> Floats:
    return np.random.default_rng(3).normal(size=(n, 2))


def moves_few(X: Floats) -> Floats:
    """Everybody gains 0.3 at least, the fond by far more: a straight line says of a fifth that they would lose."""
    return 0.3 + 1.5 * np.maximum(X[:, 0], 0.0) ** 2


def fitted(rows: ResponseRows) -> FittedResponse:
    return fit_response(rows, inputs=INPUTS, categories={}, seed=1, candidates=("linear_dr",))


def without_usual(fit: FittedResponse) -> FittedResponse:
    return replace(fit, served=replace(fit.served, usual=None))


def test_nobody_is_left_alone_where_those_who_would_be_were_measured_to_gain() -> None:
    X = customers()
    fit = fitted(a_campaign(moves_few(X)[:, np.newaxis], X))
    as_said = without_usual(fit).uplift(X)[:, 1]
    assert 0.1 < float((as_said <= 0.0).mean()) < 0.3
    (left_alone,) = fit.departures
    assert not left_alone.is_borne_out
    assert left_alone.gain.value == pytest.approx(-0.3 * left_alone.n / len(X), abs=3 * left_alone.gain.error)
    assert (fit.uplift(X)[:, 1] > 0.0).all()
    assert fit.values["model"] == fit.values["mail_1"]


def test_what_lies_above_the_knee_stays_what_it_was_and_below_it_the_order_does() -> None:
    X = customers()
    fit = fitted(a_campaign(moves_few(X)[:, np.newaxis], X))
    said, as_said = fit.uplift(X)[:, 1], without_usual(fit).uplift(X)[:, 1]
    above = as_said > 0.05 * fit.uplifts["mail_1"].value
    assert np.array_equal(said[above], as_said[above])
    assert np.array_equal(np.argsort(said, kind="stable"), np.argsort(as_said, kind="stable"))


def test_whom_a_message_harms_is_left_alone_as_before() -> None:
    X = customers()
    fit = fitted(a_campaign((0.4 + 0.8 * X[:, :1]), X))
    (left_alone,) = fit.departures
    assert left_alone.is_borne_out
    assert fit.served.usual is None
    treated = fit.uplift(X)[:, 1] > 0.0
    assert float((treated == (X[:, 0] > -0.5)).mean()) > 0.95


def test_another_action_that_lost_by_it_displaces_the_best_single_one_for_nobody() -> None:
    """The second brings 0.7 of most and less of some; a line through it says more than 1 of the fond."""
    X = customers(8_000)
    second = 0.7 - 1.5 * np.maximum(-X[:, 0], 0.0) ** 2
    fit = fitted(a_campaign(np.column_stack([np.ones(len(X)), second]), X))
    said, as_said = fit.uplift(X), without_usual(fit).uplift(X)
    assert float((as_said.argmax(axis=1) == 2).mean()) > 0.1
    assert [one.action for one in fit.departures if not one.is_borne_out] == [2]
    assert (said.argmax(axis=1) == 1).all()
    less = as_said[:, 2] < said[:, 1] - 0.1
    assert np.array_equal(said[less, 2], as_said[less, 2])


def test_whoever_does_not_get_what_lost_gets_no_third_action_that_nobody_judged() -> None:
    """The second is said to be best for half and loses; the third is next for them, and loses too."""
    effects = np.array([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]] * 30)
    action = [1, 2, 1, 3] * 30
    left = np.array([4.0, 0.1, 4.0, 0.2] * 30)
    judge = replace(a_judge(left, action), d=np.zeros((120, 4)), propensity=np.full(120, 0.25))
    third = replace(judge, action=np.array([1, 3, 1, 2] * 30, dtype=np.intp))
    for one in (judge, third):
        usual, departures = usual_for(one, effects, single=1, taught=effects, share=0.5)
        assert usual is not None
        served = with_usual(usual, effects)
        assert all(one.is_borne_out for one in departures_of(judge, served, single=1))
    usual, departures = usual_for(third, effects, single=1, taught=effects, share=0.5)
    assert usual is not None
    assert usual.held == (2, 3)
    assert [one.action for one in departures if not one.is_borne_out] == [2, 3]


def a_judge(left: Floats, action: list[int]) -> Judge:
    n = len(left)
    return Judge(
        m=np.zeros(n),
        d=np.zeros((n, 2)),
        left=left,
        action=np.array(action, dtype=np.intp),
        propensity=np.full(n, 0.5),
        customers=np.arange(n, dtype=np.intp),
    )


def test_a_departures_gain_can_be_written_down() -> None:
    judge = a_judge(np.array([3.0, 1.0, 2.0, 5.0]), [1, 0, 1, 1])
    effects = np.array([[1.0], [-1.0], [-1.0], [2.0]])
    (left_alone,) = departures_of(judge, effects, single=1)
    # The second got nothing and brought 1; the third got the message and brought 2; each had a chance of a half.
    assert (left_alone.action, left_alone.n) == (0, 2)
    assert left_alone.gain.value == pytest.approx((1.0 / 0.5 - 2.0 / 0.5) / 4)
    usual, _ = usual_for(judge, effects, single=1, taught=effects, share=0.75)
    assert usual is not None
    level = (3.0 - 1.0 + 2.0 + 5.0) / 0.5 / 4
    assert usual.knee == pytest.approx(0.05 * level)
    bent = usual.bent(effects[:, 0])
    assert bent[[0, 3]].tolist() == [1.0, 2.0]
    assert 0.0 < bent[1] < 0.05 * level


def test_no_action_is_held_below_one_that_many_could_not_get() -> None:
    judge = replace(a_judge(np.array([9.0, 1.0, 2.0, 1.0]), [1, 0, 1, 2]), d=np.zeros((4, 3)))
    effects = np.array([[1.0, 0.0], [-1.0, 0.5], [1.0, 1.5], [1.0, 2.0]])
    everybody, _ = usual_for(judge, effects, single=1, taught=effects, share=0.5)
    assert everybody is not None
    assert everybody.held == (2,)
    available = np.array([[True, True, True]] * 3 + [[True, False, True]])
    some, departures = usual_for(replace(judge, available=available), effects, single=1, taught=effects, share=0.5)
    assert some is not None
    assert some.held == ()
    assert sum(one.n for one in departures) == 2  # the fourth could not get it, and departs from nothing


def test_where_the_same_is_said_of_everybody_there_is_nothing_to_depart_from() -> None:
    X = customers(1_000)
    flat = np.column_stack([np.full(len(X), 0.50), np.full(len(X), 0.48), np.full(len(X), 0.46)])
    rows = a_campaign(flat, X)
    fit = fit_response(rows, inputs=INPUTS, categories={}, seed=1, candidates=("same_for_all",))
    assert fit.served.usual is None
    assert fit.departures == ()


def test_where_nothing_is_best_for_everybody_there_is_no_usual_action() -> None:
    judge = a_judge(np.array([3.0, 1.0]), [1, 0])
    assert usual_for(judge, np.array([[1.0], [-1.0]]), single=0, taught=np.array([[1.0], [-1.0]]), share=0.5) == (
        None,
        (),
    )
