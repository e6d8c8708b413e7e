"""Where customers will be is learned from where they went, in as many windows as there are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from tests.training.test_segments import a_brand
from training.artifact import SegmentsModel
from training.segment_assigner import Lesson
from training.segment_onward import AS_OTHERS, _held_back, moves
from training.segments import TrainedSegments, train_segments


@pytest.fixture(scope="module")
def world(tiny_world: Callable[..., Any]) -> Any:
    return tiny_world(n_customers=400, days=150)


@pytest.fixture(scope="module")
def trained(world: Any) -> TrainedSegments:
    return train_segments(world, brand=a_brand(), onward_days=30)


def served(trained: TrainedSegments, world: Any, **changed: Any) -> SegmentsModel:
    class Inputs:
        model_inputs, categories, version = world.inputs, world.categories, "tiny"

    description = trained.description | {"version": "v", "onward": trained.description["onward"] | changed}
    return SegmentsModel(description, trained.boosters, schema=Inputs())


def test_windows_lie_one_behind_the_other_the_newest_first_and_no_more_than_four(
    trained: TrainedSegments, world: Any
) -> None:
    began = [datetime.fromisoformat(one) for one in trained.description["onward"]["learned_as_of"]]
    assert began == [world.known_until - timedelta(days=30 * n) for n in (1, 2, 3, 4)]


def test_a_window_that_would_begin_before_anything_is_known_teaches_nothing(world: Any) -> None:
    onward = train_segments(world, brand=a_brand(), onward_days=70).description["onward"]
    assert len(onward["learned_as_of"]) == 2
    assert train_segments(world, brand=a_brand(), onward_days=200).description["onward"] == {"days": 200}


def test_one_part_in_twenty_is_where_others_of_the_same_segment_went(trained: TrainedSegments, world: Any) -> None:
    X = world.snapshot(world.known_until).X
    model = served(trained, world)
    said, own = model.predict_onward(X), served(trained, world, as_others=0.0).predict_onward(X)
    assert said is not None
    assert own is not None
    others = model.predict(X) @ np.array(trained.description["onward"]["moved"])
    assert said == pytest.approx((1 - AS_OTHERS) * own + AS_OTHERS * others)
    assert said.sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert said.min() >= AS_OTHERS * others.min() > 0


def test_a_row_alone_gets_what_it_gets_among_others(trained: TrainedSegments, world: Any) -> None:
    X = world.snapshot(world.known_until).X[:50]
    model = served(trained, world)
    alone = [model.predict_onward(X[n : n + 1]) for n in range(len(X))]
    together = model.predict_onward(X)
    assert together is not None
    assert all(np.array_equal(one[0], among) for one, among in zip(alone, together, strict=True) if one is not None)


def test_whoever_is_gone_at_the_end_of_a_window_went_nowhere() -> None:
    then, y = np.array([0, 0, 0, 1]), np.array([1, 1, -1, 0])
    assert moves(then, y, k=2) == pytest.approx(np.array([[1 / 4, 3 / 4], [2 / 3, 1 / 3]]))


def test_a_customer_is_held_back_in_every_window_or_in_none() -> None:
    who = np.tile(np.arange(300), 4)
    lesson = Lesson(np.zeros((1200, 1), dtype=np.float32), np.zeros(1200, dtype=int), np.zeros(1200, dtype=bool), who)
    held = _held_back(lesson, seed=0)
    assert 0.2 < held.mean() < 0.45
    assert set(who[held]).isdisjoint(who[~held])
