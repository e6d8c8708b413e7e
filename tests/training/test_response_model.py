"""The response model as it is served: the same numbers as when it was fitted, whichever learner won."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from training.artifact import load_model, write_artifact
from training.response.actions import NOTHING, ActionFeatures
from training.response.fitted import FittedResponse
from training.response.fitting import fit_response
from training.response.learners import NAMES
from training.response.rows import ResponseRows
from training.served.response import ResponseModel

INPUTS = ("age", "need", "visits")
CATEGORIES = {"need": ("dry", "oily")}
OFFERS = (
    NOTHING,
    *(ActionFeatures(f"offer_{i}", kind="offer", incentive_cost=float(i), value=5.0) for i in (1, 2, 3, 4)),
)


def some_rows(n_actions: int, *, n: int = 1_500) -> ResponseRows:
    random = np.random.default_rng(1)
    X = np.column_stack([random.normal(size=n), random.integers(0, 2, n), random.exponential(2.0, n)])
    X[::7, 0] = np.nan
    action = random.integers(0, n_actions, n)
    effect = np.where(X[:, 1] == 1, 1.0, -0.5) * action + np.nan_to_num(X[:, 0])
    return ResponseRows(
        X=X.astype(np.float32),
        action=action.astype(np.intp),
        reward=effect + random.normal(0, 0.5, n),
        propensity=np.full(n, 1 / n_actions),
        cluster=np.arange(n, dtype=np.int64),
        at=np.full(n, np.datetime64("2024-03-01", "us")),
        actions=OFFERS[:n_actions],
    )


def some_outcomes(n_actions: int) -> ResponseRows:
    """Of the same customers, an outcome that is worth 3.5 to whom it happens."""
    rows = some_rows(n_actions)
    return replace(rows, reward=np.where(rows.reward > 0.2, 3.5, 0.0))


def fitted(learner: str, *, n_actions: int = 2) -> FittedResponse:
    rows = some_outcomes(n_actions) if learner.startswith("logistic") else some_rows(n_actions)
    return fit_response(rows, inputs=INPUTS, categories=CATEGORIES, seed=0, candidates=[learner])


def served(fit: FittedResponse) -> ResponseModel:
    """By a schema whose columns stand elsewhere, from what JSON keeps."""
    told = json.loads(json.dumps(fit.describe() | {"version": "v", "schema_version": "s"}))
    schema = SimpleNamespace(model_inputs=("more", "visits", "need", "age"), categories=CATEGORIES, version="s")
    return ResponseModel(told, fit.boosters, schema=schema)


def as_served(X: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.column_stack([np.zeros(len(X), dtype=np.float32), X[:, 2], X[:, 1], X[:, 0]])


@pytest.mark.parametrize("learner", NAMES)
def test_every_learner_is_served_as_it_was_fitted_alone_or_among_others(learner: str) -> None:
    fit = fitted(learner)
    X = some_rows(2).X[:40]
    model, asked = served(fit), as_served(X)
    together = model.rewards(asked, OFFERS[:2])
    assert np.array_equal(together, fit.rewards(X))
    assert np.array_equal(together, np.vstack([model.rewards(asked[i : i + 1], OFFERS[:2]) for i in range(40)]))
    if learner != "same_for_all":
        assert np.ptp(together[:, 1] - together[:, 0]) > 0.1


@pytest.mark.parametrize("learner", NAMES)
def test_contributions_sum_to_the_expected_reward(learner: str) -> None:
    fit = fitted(learner)
    model, asked = served(fit), as_served(some_rows(2).X[:3])
    for row in range(3):
        for place, action in enumerate(OFFERS[:2]):
            told = model.contributions(asked[row : row + 1], action)
            assert told.score == pytest.approx(model.rewards(asked[row : row + 1], OFFERS[:2])[0, place])
            assert set(told.parts) <= {*INPUTS, "action"}


def test_the_sigmoid_of_a_line_is_shared_out_in_proportion_to_what_the_inputs_add_to_the_line() -> None:
    term = {"kind": "logistic", "weight": 20.0, "intercept": -1.0, "coefficients": [2.0, -0.5]}
    told = {
        **fitted("same_for_all").describe(),
        "base": [],
        "effects": [[], [term]],
        "design": {"columns": [["value", "age"], ["log", "visits"]], "mean": [1.0, 0.0], "scale": [2.0, 1.0]},
    }
    schema = SimpleNamespace(model_inputs=INPUTS, categories=CATEGORIES, version="s")
    model = ResponseModel(told | {"version": "v", "schema_version": "s"}, [], schema=schema)
    row = np.array([[3.0, 0.0, np.e - 1.0]], dtype=np.float32)  # z = −1 + 2·1 − 0.5·1
    at, mean = (1.0 / (1.0 + np.exp(-z)) for z in (0.5, -1.0))
    parts = model.contributions(row, OFFERS[1])
    assert parts.base == pytest.approx(20.0 * mean)
    assert parts.parts["age"] == pytest.approx(20.0 * (at - mean) * 2.0 / 1.5, rel=1e-6)
    assert parts.parts["visits"] == pytest.approx(20.0 * (at - mean) * -0.5 / 1.5, rel=1e-6)
    assert parts.score == pytest.approx(float(model.rewards(row, OFFERS[:2])[0, 1]))
    unknown = np.full((1, 3), np.nan, dtype=np.float32)
    assert model.contributions(unknown, OFFERS[1]).parts == {}
    assert model.rewards(unknown, OFFERS[:2])[0, 1] == pytest.approx(20.0 * mean)


@pytest.mark.parametrize("learner", ["linear_dr", "trees_t"])
def test_an_action_that_was_never_tried_is_unknown_where_only_its_name_was_learned(learner: str) -> None:
    model = served(fitted(learner, n_actions=3))
    said = model.rewards(as_served(some_rows(2).X[:5]), (NOTHING, ActionFeatures("new", kind="offer", value=5.0)))
    assert np.isfinite(said[:, 0]).all()
    assert np.isnan(said[:, 1]).all()


def test_a_new_action_is_judged_by_its_features_where_the_learner_reads_them_and_has_seen_the_like() -> None:
    fit = fitted("trees_s", n_actions=5)
    model, X = served(fit), as_served(some_rows(5).X[:50])
    like, unlike = (ActionFeatures("new", kind="offer", incentive_cost=cost, value=5.0) for cost in (3.0, 40.0))
    assert model.speaks_of(like)
    assert not model.speaks_of(unlike)
    said = model.rewards(X, (OFFERS[3], like, unlike))
    assert np.corrcoef(said[:, 0], said[:, 1])[0, 1] > 0.9
    assert np.isnan(said[:, 2]).all()


@pytest.mark.parametrize("change", [{"incentive_cost": 9.0}, {"value": 1.0}, {"kind": "message"}])
def test_an_action_that_was_changed_since_is_another_one_of_which_nothing_is_known(change: dict[str, object]) -> None:
    model, asked = served(fitted("linear_dr")), as_served(some_rows(2).X[:5])
    same, changed = replace(OFFERS[1], tags=("spring",)), replace(OFFERS[1], **change)  # type: ignore[arg-type]
    for rows in (asked, asked[:1]):
        said = model.rewards(rows, (NOTHING, same, changed))
        assert np.isfinite(said[:, :2]).all()
        assert np.isnan(said[:, 2]).all()
    assert not model.speaks_of(changed)


def test_a_model_that_was_written_is_loaded_and_says_the_same(tmp_path: Path) -> None:
    fit = fitted("trees_x")
    schema = SimpleNamespace(model_inputs=INPUTS, categories=CATEGORIES, version="s")
    body = fit.describe() | {"as_of": "2024-03-01T00:00:00+00:00", "schema_version": "s"}
    version = write_artifact(tmp_path, body, fit.boosters)
    model = load_model(tmp_path, "response", version, schema=schema)
    assert isinstance(model, ResponseModel)
    X = some_rows(2).X[:20]
    assert np.array_equal(model.rewards(X, OFFERS[:2]), fit.rewards(X))
