"""Actions that not everybody could get: an audience is not an effect."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.response.fitted import FittedResponse
from training.response.fitting import fit_response
from training.response.policy_value import Judge
from training.response.rows import NOTHING, ActionFeatures, ResponseRows
from training.response.support import worth_learning

Floats = NDArray[np.float64]

MAIL, VIP_OFFER = ActionFeatures("mail"), ActionFeatures("vip_offer")


def some_rows(
    X: Floats,
    action: NDArray[np.int64],
    reward: Floats,
    propensity: Floats,
    *,
    actions: tuple[ActionFeatures, ...],
    available: NDArray[np.bool_] | None = None,
    cluster: NDArray[np.int64] | None = None,
) -> ResponseRows:
    return ResponseRows(
        X=X.astype(np.float32),
        action=action.astype(np.intp),
        reward=reward,
        propensity=propensity,
        cluster=np.arange(len(X)) if cluster is None else cluster,
        at=np.full(len(X), np.datetime64("2024-03-01", "us")),
        actions=actions,
        available=available,
    )


def fitted(rows: ResponseRows, *candidates: str) -> FittedResponse:
    names = tuple(f"x{place}" for place in range(rows.X.shape[1]))
    return fit_response(rows, inputs=names, categories={}, candidates=candidates or None)


def test_decisions_at_which_nothing_else_could_be_done_are_in_no_group_and_persuade_nobody() -> None:
    rng = np.random.default_rng(0)
    n = 1_000
    X = rng.normal(size=(n, 3))
    alone = rng.random(n) < 0.4
    mailed = (rng.random(n) < 0.5) & ~alone
    available = np.column_stack([np.ones(n, dtype=np.bool_), ~alone])
    reward = X[:, 0] + 2.0 * mailed * (X[:, 1] > 0) + rng.normal(size=n)
    propensity = np.where(alone, 1.0, 0.5)
    rows = some_rows(X, mailed.astype(int), reward, propensity, actions=(NOTHING, MAIL), available=available)
    told = fitted(rows, "same_for_all", "linear_t").describe()
    json.dumps(told, allow_nan=False)
    assert sum(group["n"] for group in told["groups"]) == int((~alone).sum())
    assert sum(quadrant["n"] for quadrant in told["quadrants"]) == int((~alone).sum())


def test_targeting_is_worth_nothing_where_there_was_no_choice() -> None:
    available = np.array([[True, True], [True, False], [True, True]])
    none = np.zeros(3)
    judge = Judge(
        m=none,
        d=np.array([[0.0, 4.0]] * 3),
        left=none,
        action=np.zeros(3, dtype=np.intp),
        propensity=np.ones(3),
        customers=np.arange(3, dtype=np.intp),
        available=available,
    )
    assert judge.targeting(np.array([[3.0], [9.0], [1.0]])).tolist() == [1.0, 0.0, -1.0]


def an_offer_for_vips(n: int = 3_000) -> tuple[ResponseRows, NDArray[np.bool_]]:
    """VIPs spend fifty, others five. `mail`, of others only, brings 1; `vip_offer`, of VIPs only, costs 2."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    vip = rng.random(n) < 0.2
    X[:, 0] = vip
    action = np.where(rng.random(n) < 0.5, np.where(vip, 2, 1), 0)
    reward = np.where(vip, 50.0, 5.0) + rng.normal(size=n) * 3.0 + np.array([0.0, 1.0, -2.0])[action]
    available = np.column_stack([np.ones(n, dtype=np.bool_), ~vip, vip])
    half = np.full(n, 0.5)
    return some_rows(X, action, reward, half, actions=(NOTHING, MAIL, VIP_OFFER), available=available), vip


def test_an_offer_that_only_vips_could_get_is_not_credited_with_what_vips_spend_anyway() -> None:
    rows, vip = an_offer_for_vips()
    for learner in ("same_for_all", "follows_response", "linear_dr", "linear_t", "trees_s", "trees_x", "together"):
        fit = fitted(rows, learner)
        uplift = fit.uplifts["vip_offer"]
        assert uplift.low < -2.0 < uplift.high < 0.0, learner
        assert fit.uplifts["mail"].low < 1.0 < fit.uplifts["mail"].high
        assert fit.best_single == "mail"
        served = fit.uplift(rows.X)
        assert abs(float(served[vip, 2].mean()) + 2.0) < 1.0, learner
        assert abs(float(served[~vip, 1].mean()) - 1.0) < 0.5, learner
        said = fit.rewards(rows.X)[:, 0]
        assert abs(float(said[vip].mean()) - 50.0) < 1.5, learner
        assert abs(float(said[~vip].mean()) - 5.0) < 1.5, learner


def test_what_never_stood_beside_silence_is_not_counted_from_it() -> None:
    """Customers ask (base 20): an answer or mail. The brand speaks (base 2): mail, worth 0.5, or nothing."""
    rng = np.random.default_rng(0)
    n = 3_000
    asks, mailed = rng.random(n) < 0.5, rng.random(n) < 0.5
    action = np.where(mailed, 2, np.where(asks, 1, 0))
    available = np.column_stack([~asks, asks, np.ones(n, dtype=np.bool_)])
    reward = np.where(asks, 20.0, 2.0) + np.where(mailed & ~asks, 0.5, 0.0) + rng.normal(size=n)
    answer = ActionFeatures("answer")
    rows = some_rows(
        rng.normal(size=(n, 3)), action, reward, np.full(n, 0.5), actions=(NOTHING, answer, MAIL), available=available
    )
    fit = fitted(rows, "same_for_all", "linear_t")
    assert [one.action_id for one in fit.actions] == ["nothing", "mail"]
    assert fit.uplifts["mail"].low < 0.5 < fit.uplifts["mail"].high < 1.0
    assert fit.left_out == {
        "'nothing', from which effects are counted, could not be done": int(asks.sum()),
        "of 'answer', too few where 'nothing' was done too": int((action == 1).sum()),
    }


def test_silence_of_a_few_customers_who_are_asked_often_is_no_reference() -> None:
    rng = np.random.default_rng(0)
    n = 600
    cluster, action = np.arange(n) % 200, 1 + (np.arange(n) // 200) % 2
    action[:60], cluster[:60] = 0, np.arange(60) % 10
    rows = some_rows(
        rng.normal(size=(n, 2)),
        action,
        rng.normal(size=n),
        np.full(n, 0.5),
        actions=(NOTHING, MAIL, VIP_OFFER),
        cluster=cluster,
    )
    fit = fitted(rows, "same_for_all")
    assert {one.action_id for one in fit.actions} == {"mail", "vip_offer"}
    assert fit.left_out == {"of 'nothing', too few": 10}


def test_without_a_rare_action_a_rows_probabilities_are_those_among_what_is_left_of_that_row() -> None:
    """The rare one is drawn with 0.3 of ten customers and with 0 of the others."""
    n = 400
    rare = np.arange(n) < 10
    of_row = np.where(rare[:, np.newaxis], [0.2, 0.5, 0.3], [0.4, 0.6, 0.0])
    action = np.where(np.arange(n) % 2 == 0, 0, 1)
    action[:2] = 2
    propensity = of_row[np.arange(n), action]
    rows = some_rows(np.zeros((n, 1)), action, np.zeros(n), propensity, actions=(NOTHING, MAIL, VIP_OFFER))
    kept, places = worth_learning(replace(rows, available=of_row > 0.0, probabilities=of_row))
    assert places.tolist() == list(range(2, n))
    assert kept.propensity[:8].tolist() == pytest.approx([0.2 / 0.7, 0.5 / 0.7] * 4)
    assert kept.propensity[8:].tolist() == pytest.approx([0.4, 0.6] * ((n - 10) // 2))
