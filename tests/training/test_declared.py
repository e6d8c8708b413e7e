"""What brand.yaml asks of the trees holds for everything that is served, and asks nothing by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.brand import Training
from features.faults import CallersMistake
from training.choosing import choose
from training.declared import binds, parameters_of
from training.members import LINEAR, REPEAT_BUYING
from training.next_purchase import Head, fit_head
from training.recipes import RECIPES

HORIZON_DAYS = 28


@pytest.fixture(scope="module")
def asking(tiny_world: Callable[..., Any]) -> Callable[..., Any]:
    def world(**asked: Any) -> Any:
        made = tiny_world(n_customers=300, days=200)
        made.brand = SimpleNamespace(training=Training(**asked), occasions={})
        return made

    return world


def fitted(world: Any) -> Head:
    return fit_head(world, horizon_days=HORIZON_DAYS, used_at=world.known_until, recipe=RECIPES[1])


def along(head: Head, world: Any, name: str) -> np.ndarray:
    """What is said of twenty customers as one input goes from low to high, shape `(20, 30)`."""
    X = world.snapshot(world.known_until - timedelta(days=HORIZON_DAYS)).X
    column = world.inputs.index(name)
    rows = np.repeat(X[:20], 30, axis=0)
    rows[:, column] = np.tile(np.linspace(np.nanmin(X[:, column]), np.nanmax(X[:, column]), 30), 20)
    return head.predict(rows).reshape(20, 30)


def test_a_falling_input_never_raises_what_is_served(asking: Callable[..., Any]) -> None:
    free, bound = asking(), asking(monotone={"tenure_days": "falling", "revenue": "rising"})
    head = fitted(bound)
    assert (np.diff(along(head, bound, "tenure_days"), axis=1) <= 1e-12).all()
    assert (np.diff(along(head, bound, "revenue"), axis=1) >= -1e-12).all()
    assert np.ptp(along(head, bound, "revenue")) > 0.05
    assert (np.diff(along(fitted(free), free, "revenue"), axis=1) < 0).any()


def test_a_member_that_knows_no_constraint_is_left_out_where_one_binds_it(asking: Callable[..., Any]) -> None:
    assert {LINEAR, REPEAT_BUYING} <= set(fitted(asking()).members.offsets)
    bound = set(fitted(asking(monotone={"days_since_last_order": "falling"})).members.offsets)
    assert not bound & {LINEAR, REPEAT_BUYING}


def test_what_was_chosen_is_told_by_what_it_is_made_of(asking: Callable[..., Any]) -> None:
    bound = asking(monotone={"days_since_last_order": "falling"})
    choice = choose(bound, horizon_days=HORIZON_DAYS, used_at=bound.known_until, seed=0, candidates=RECIPES[:1])
    assert choice.because.startswith("trees: log-loss")


def test_a_weight_moves_scores_and_the_level_stays(asking: Callable[..., Any]) -> None:
    plain, weighted = asking(), asking(positive_weight=5.0)
    first, second = fitted(plain), fitted(weighted)
    boosters: list[Any] = [first.booster, second.booster]
    assert "[scale_pos_weight: 5]" in boosters[1].model_to_string()
    X = plain.snapshot(plain.known_until).X
    raw = [np.asarray(one.predict(X.astype(np.float64), raw_score=True)).mean() for one in boosters]
    assert raw[1] > raw[0] + 0.3
    assert second.predict(X).mean() == pytest.approx(first.predict(X).mean(), abs=0.03)


def test_nothing_asked_is_nothing_changed(asking: Callable[..., Any], tiny_world: Callable[..., Any]) -> None:
    assert parameters_of(asking()) == parameters_of(tiny_world()) == {}
    assert not binds(asking(), ("revenue",))


def test_an_input_that_is_not_there_or_has_no_order_is_a_mistake(asking: Callable[..., Any]) -> None:
    with pytest.raises(CallersMistake, match="Closest: 'revenue'"):
        parameters_of(asking(monotone={"revenues": "rising"}))
    with pytest.raises(CallersMistake, match="its codes have no order"):
        parameters_of(asking(monotone={"trait_skin_need": "rising"}))
