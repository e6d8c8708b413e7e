"""Actions that not everybody could get: an audience is not an effect."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from training.response.fitted import FittedResponse
from training.response.fitting import fit_response
from training.response.policy_value import Judge
from training.response.rows import NOTHING, ActionFeatures, ResponseRows

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
