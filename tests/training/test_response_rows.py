"""Rows of some of a campaign's actions: what their propensities become among these."""

from __future__ import annotations

import numpy as np
import pytest

from features.faults import CallersMistake
from training.evaluating.response_answer import weighted_mean
from training.response.rows import NOTHING, ActionFeatures, ResponseRows

OTHERS = (ActionFeatures("mens"), ActionFeatures("womens"))


def rows_of(action: list[int], propensity: list[float], *, n_actions: int) -> ResponseRows:
    n = len(action)
    return ResponseRows(
        X=np.arange(n, dtype=np.float32)[:, np.newaxis],
        action=np.array(action, dtype=np.intp),
        reward=np.zeros(n),
        propensity=np.array(propensity),
        cluster=np.arange(n, dtype=np.int64),
        at=np.full(n, np.datetime64("2024-03-01", "us")),
        actions=(NOTHING, *OTHERS)[:n_actions],
    )


def test_where_two_arms_are_all_that_there_are_their_declared_probabilities_stay_as_they_are() -> None:
    rows = rows_of([0, 1, 1, 0], [0.2, 0.8, 0.3, 0.7], n_actions=2).between(["mens", "nothing"])
    assert rows.propensity.tolist() == [0.2, 0.8, 0.3, 0.7]
    assert rows.action.tolist() == [1, 0, 0, 1]
    assert [action.action_id for action in rows.actions] == ["mens", "nothing"]


def test_of_three_arms_with_one_probability_each_two_have_theirs_among_themselves() -> None:
    rows = rows_of([0, 1, 2, 0, 1], [0.2, 0.6, 0.2, 0.2, 0.6], n_actions=3).between(["nothing", "mens"])
    assert rows.propensity.tolist() == pytest.approx([0.25, 0.75, 0.25, 0.75])


def test_of_three_arms_whose_probabilities_differ_by_row_two_are_not_compared() -> None:
    rows = rows_of([0, 1, 2, 0, 1], [0.2, 0.6, 0.2, 0.5, 0.3], n_actions=3)
    with pytest.raises(CallersMistake, match="'nothing' was drawn with probabilities from"):
        rows.between(["nothing", "mens"])


def test_an_arms_mean_counts_its_probabilities_and_its_error_counts_customers() -> None:
    values, probabilities = np.array([0.0, 10.0, 10.0, 0.0]), np.array([0.8, 0.2, 0.2, 0.8])
    mean, error = weighted_mean(values, 1 / probabilities, np.arange(4))
    assert mean == pytest.approx(8.0)
    twice, error_twice = weighted_mean(
        np.repeat(values, 9), np.repeat(1 / probabilities, 9), np.repeat(np.arange(4), 9)
    )
    assert (twice, error_twice) == pytest.approx((mean, error))
    plain = weighted_mean(values, np.ones(4), np.arange(4))
    assert plain == pytest.approx((5.0, values.std(ddof=1) / 2))
