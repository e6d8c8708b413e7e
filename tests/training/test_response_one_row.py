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


TIP_IS_USUAL = {"action": 1, "share": 0.4, "knee": -0.2, "slope": 0.1, "held": [2], "margin": 0.01}
COUPON_IS_USUAL = {"action": 2, "share": 0.4, "knee": None, "slope": 1.0, "held": [1], "margin": 0.01}
USUAL = (None, TIP_IS_USUAL, COUPON_IS_USUAL)


def a_model(usual: dict[str, Any] | None = None) -> ResponseModel:
    """A base of trees and a constant; an effect of lines and sigmoids; one of trees that read the action, too."""
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
        "usual": usual,
        "design": {
            "columns": [["value", "recency"], ["log", "orders"], ["missing", "orders"], ["is", "topic", "2"]],
            "mean": [0.1, 0.2, 0.3, 0.4],
            "scale": [1.1, 1.2, 0.5, 0.6],
        },
        "action_columns": [list(column) for column in COLUMNS],
    }
    schema = SimpleNamespace(model_inputs=INPUTS, categories={}, version="s")
    return ResponseModel(description, boosters_of(rows(300)), schema=schema)


def boosters_of(X: np.ndarray[Any, Any]) -> list[str]:
    """One that reads the customer alone, one that reads an action too."""
    drawn = np.random.default_rng(3).integers(0, 3, len(X))
    beside = np.hstack([X, np.array([action_vector(ACTIONS[n], COLUMNS) for n in drawn])])
    return [a_booster(X, 1), a_booster(beside, 2)]


def rows(n: int) -> np.ndarray[Any, Any]:
    X = np.random.default_rng(n).normal(size=(n, len(INPUTS)))
    X[:, 2] = np.arange(n) % 4
    X[np.random.default_rng(n + 1).random(X.shape) < 0.2] = np.nan
    return X


@pytest.mark.parametrize("usual", USUAL)
@pytest.mark.parametrize("asked", [ACTIONS, ACTIONS[1:], (ActionFeatures("unheard_of"), *ACTIONS[::-1]), ACTIONS[2:]])
def test_a_row_alone_gets_bit_by_bit_what_it_gets_among_others(
    asked: tuple[ActionFeatures, ...], usual: dict[str, Any] | None
) -> None:
    model, X = a_model(usual), rows(40)
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


@pytest.mark.parametrize("usual", USUAL)
def test_what_inputs_add_sums_to_the_reward_also_where_an_effect_is_bent_or_held(usual: dict[str, Any] | None) -> None:
    model, X = a_model(usual), rows(40)
    for place, action in enumerate(ACTIONS):
        told = [model.contributions(X[n : n + 1], action).score for n in range(len(X))]
        assert told == pytest.approx(model.rewards(X, ACTIONS)[:, place].tolist(), abs=1e-9)


def test_the_usual_action_keeps_its_order_and_another_that_is_held_is_never_worth_more() -> None:
    X = rows(200)
    before, after = a_model().uplifts(X, ACTIONS), a_model(TIP_IS_USUAL).uplifts(X, ACTIONS)
    low = before[:, 1] < -0.2
    assert 20 < low.sum() < 180
    assert np.array_equal(after[~low, 1], before[~low, 1])
    assert after[low, 1] == pytest.approx(-0.2 + 0.1 * (before[low, 1] + 0.2))
    above = before[:, 2] > after[:, 1] - 0.01
    assert 20 < above.sum() < 180
    assert np.array_equal(after[~above, 2], before[~above, 2])
    assert after[above, 2] == pytest.approx(after[above, 1] - 0.01)


def test_what_a_customer_brings_on_average_over_what_was_done_is_the_same_with_a_bent_effect() -> None:
    """The base is the mean of what was done less each action's share of its effect: 0.4 got the tip."""
    X = rows(200)
    before, after = a_model(), a_model(TIP_IS_USUAL)
    means = [model.rewards(X, ACTIONS)[:, 0] + 0.4 * model.uplifts(X, ACTIONS)[:, 1] for model in (before, after)]
    assert means[0] == pytest.approx(means[1])


def test_a_version_that_was_written_before_there_was_a_usual_action_is_served_as_it_was() -> None:
    model, X = a_model(), rows(3)
    older = {name: told for name, told in model.description.items() if name != "usual"}
    schema = SimpleNamespace(model_inputs=INPUTS, categories={}, version="s")
    boosters = boosters_of(rows(300))
    assert np.array_equal(ResponseModel(older, boosters, schema=schema).rewards(X, ACTIONS), model.rewards(X, ACTIONS))
