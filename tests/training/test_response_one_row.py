"""One customer asked about alone gets, of every action, bit by bit what they get in a batch."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import pytest

from training.artifact import ActionFeatures, ResponseModel
from training.response.terms import action_columns, action_vector

INPUTS = ("recency", "orders", "topic")
ACTIONS = (
    ActionFeatures("nothing", kind="nothing"),
    ActionFeatures("tip", goal_stage="awareness", value=10.0),
    ActionFeatures("coupon", kind="offer", incentive="amount", incentive_cost=5.0, value=30.0),
)
COLUMNS = action_columns(ACTIONS)


def a_booster(X: np.ndarray[Any, Any], seed: int) -> str:
    y = np.nan_to_num(X[:, 0]) + np.random.default_rng(seed).normal(size=len(X))
    parameters = {"objective": "regression", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}
    return str(lightgbm.train(parameters, lightgbm.Dataset(X, y), num_boost_round=9).model_to_string())


def a_model() -> ResponseModel:
    """A base of trees and a constant; an effect of lines and sigmoids; one of trees that read the action, too."""
    rng = np.random.default_rng(3)
    X = rows(300)
    beside = np.hstack([X, np.array([action_vector(ACTIONS[n], COLUMNS) for n in rng.integers(0, 3, 300)])])
    constant = {"kind": "constant", "weight": 0.7, "value": 1.1}
    linear = {"kind": "linear", "weight": 0.3, "intercept": 0.2, "coefficients": [0.1, -0.3, 0.7, 0.9]}
    sigmoid = linear | {"kind": "logistic", "weight": -2.3}
    trees = [
        {"kind": "booster", "weight": weight, "booster": 1, "action": of} for weight, of in ((0.9, "own"), (-0.9, "0"))
    ]
    description = {
        "name": "response",
        "version": "v",
        "schema_version": "s",
        "inputs": list(INPUTS),
        "categories": {},
        "learner": "by hand",
        "actions": [action.as_dict() for action in ACTIONS],
        "base": [{"kind": "booster", "weight": 1.3, "booster": 0, "action": ""}, constant],
        "effects": [[], [linear, constant, sigmoid], [constant, *trees, sigmoid, linear]],
        "new_actions": None,
        "design": {
            "columns": [["value", "recency"], ["log", "orders"], ["missing", "orders"], ["is", "topic", "2"]],
            "mean": [0.1, 0.2, 0.3, 0.4],
            "scale": [1.1, 1.2, 0.5, 0.6],
        },
        "action_columns": [list(column) for column in COLUMNS],
    }
    schema = SimpleNamespace(model_inputs=INPUTS, categories={}, version="s")
    return ResponseModel(description, [a_booster(X, 1), a_booster(beside, 2)], schema=schema)


def rows(n: int) -> np.ndarray[Any, Any]:
    X = np.random.default_rng(n).normal(size=(n, len(INPUTS)))
    X[:, 2] = np.arange(n) % 4
    X[np.random.default_rng(n + 1).random(X.shape) < 0.2] = np.nan
    return X


@pytest.mark.parametrize("asked", [ACTIONS, ACTIONS[1:], (ActionFeatures("unheard_of"), *ACTIONS[::-1])])
def test_a_row_alone_gets_bit_by_bit_what_it_gets_among_others(asked: tuple[ActionFeatures, ...]) -> None:
    model, X = a_model(), rows(40)
    among = model.rewards(X, asked)
    alone = np.vstack([model.rewards(X[n : n + 1], asked) for n in range(len(X))])
    assert np.array_equal(among, alone, equal_nan=True)
    assert np.isnan(among[:, [one.action_id == "unheard_of" for one in asked]]).all()
    assert np.array_equal(model.uplifts(X, asked)[:1], model.uplifts(X[:1], asked), equal_nan=True)


def test_what_was_worked_out_for_one_place_is_not_taken_for_another() -> None:
    model, X = a_model(), rows(1)
    first, second = (ACTIONS[1], ACTIONS[2]), (ACTIONS[2], ACTIONS[1])
    assert np.array_equal(model.rewards(X, first)[0], model.rewards(X, second)[0, ::-1])
    assert np.array_equal(model.rewards(X, first), model.rewards(X, (*first[:1], *first[1:])))
