"""The members of a next-purchase model, each alone and together, on customers whose truth a human can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from training.calibration import from_log_odds
from training.dataset import Snapshot
from training.fitting import Fitted, Lesson
from training.linear import COLUMNS, Linear, columns_for, design_of, fit_linear
from training.members import LINEAR, REPEAT_BUYING, TREES, Customers, Members, mean_of
from training.next_purchase import RECIPES, choose_recipe, fit_head
from training.recipes import AS_IT_IS, NO_SEASON
from training.repeat_buying import BgNbd, history_of
from training.split import Split, gate_cutoff, split_for

INPUTS = ("n_order_days", "days_since_last_order", "days_since_first_order", "revenue")
PLACES = {name: place for place, name in enumerate(INPUTS)}
BUYER, ONCE, NEVER = (5.0, 10.0, 100.0, 50.0), (1.0, 40.0, 40.0, 9.0), (0.0, np.nan, np.nan, 0.0)


def test_the_columns_are_what_they_say() -> None:
    X = np.array([BUYER, NEVER])
    columns = (("log", "revenue"), ("missing", "days_since_last_order"), ("pace", *INPUTS[1:3], INPUTS[0]))
    made = design_of(X, columns, places=PLACES)
    assert made[0] == pytest.approx([np.log(51.0), 0.0, 10.0 / (100.0 / 5 + 1)])
    assert made[1, 1] == 1.0
    assert np.isnan(made[1, 2])


def test_a_schema_without_some_inputs_gets_the_columns_that_it_can_make() -> None:
    assert columns_for(("revenue",)) == (("log", "revenue"),)
    assert columns_for(()) == ()
    assert set(columns_for(INPUTS)) < set(COLUMNS)


def test_an_unknown_value_counts_as_average() -> None:
    rng = np.random.default_rng(3)
    X = np.exp(rng.normal(3, 1, (500, 1)))
    y = (rng.random(500) < from_log_odds(np.log1p(X[:, 0]) - 3)).astype(np.uint8)
    columns = (("log", "revenue"),)
    fitted = fit_linear(design_of(X, columns, places={"revenue": 0}), y, columns=columns)
    average = np.array([[fitted.mean[0]]])
    assert fitted.scores(np.array([[np.nan]])) == pytest.approx(fitted.scores(average))
    assert fitted.scores(average + 1)[0] > fitted.scores(average)[0]


def test_repeat_buying_is_silent_about_those_who_never_bought() -> None:
    customers = Customers(np.array([BUYER, ONCE, NEVER]), INPUTS)
    fitted = BgNbd(r=0.8, alpha=6.0, a=0.8, b=2.5)
    said = customers.repeat_buying(fitted, horizon_days=28)
    history = history_of(np.array([5.0]), np.array([10.0]), np.array([100.0]))
    assert from_log_odds(said)[0] == pytest.approx(fitted.p_any(history, weeks=4.0)[0])
    assert np.isfinite(said[:2]).all()
    assert np.isnan(said[2])


def test_the_mean_leaves_out_who_is_silent() -> None:
    one, other = np.array([1.0, np.nan, np.nan]), np.array([3.0, 5.0, np.nan])
    assert mean_of([one, other], silent=-2.0).tolist() == [(1.0 + 3.0) / 2, 5.0, -2.0]


@pytest.mark.parametrize("weights", [None, (0.5, 2.0, 0.25)])
def test_the_mean_of_a_row_alone_is_bit_by_bit_its_mean_among_others(weights: tuple[float, ...] | None) -> None:
    scores = list(np.random.default_rng(4).normal(0, 3, (3, 200)))
    together = mean_of(scores, weights=weights)
    assert together.tolist() == [mean_of([one[i : i + 1] for one in scores], weights=weights)[0] for i in range(200)]
    silent = [np.array([np.nan]), np.array([2.0]), np.array([4.0])]
    assert mean_of(silent).tolist() == [3.0]
    assert mean_of([np.array([np.nan])], silent=-1.5).tolist() == [-1.5]


def test_written_and_read_again_a_head_says_the_same() -> None:
    linear = Linear(
        (("log", "revenue"), ("missing", "days_since_last_order")), (2.0, 0.5), (1.0, 0.5), (0.7, -1.0), 0.1
    )
    offsets = {TREES: 0.5, LINEAR: -0.25, REPEAT_BUYING: 0.125}
    members = Members(28, offsets, -2.0, linear, BgNbd(r=0.8, alpha=6.0, a=0.8, b=2.5))
    again = Members.from_dict(members.as_dict(), horizon_days=28)
    X, trees = np.array([BUYER, ONCE, NEVER]), np.array([0.3, -0.2, -1.5])
    assert again.scores(Customers(X, INPUTS), trees).tolist() == members.scores(Customers(X, INPUTS), trees).tolist()


def test_no_customer_is_scored_by_a_fit_that_saw_them(tiny_world: Callable[..., Any]) -> None:
    """Turning one customer's own labels round changes other customers' scores, and not their own."""
    world = tiny_world()
    someone = int(np.flatnonzero(world.keen)[0]) + 1

    class Turned(type(world)):  # type: ignore[misc]
        def happened(self, as_of: datetime, horizon_days: int) -> NDArray[np.int64]:
            return np.setxor1d(super().happened(as_of, horizon_days), [someone])

    split = split_for(world.known_until, horizon_days=7, first=world.first, n_cutoffs=2)
    lessons = [Lesson(of, split) for of in (world, Turned())]
    place = int(np.flatnonzero(lessons[0].calibrating.customer_keys == someone)[0])
    one, other = (lesson.fit(RECIPES[0], seed=0).out_of_fold for lesson in lessons)
    for member in (TREES, LINEAR):
        assert one[member][place] == other[member][place], member
        assert (one[member] != other[member]).any(), member


def test_fewer_members_are_shipped_where_they_do_better(tiny_world: Callable[..., Any]) -> None:
    """An input that gives the label away, until the window that chooses, misleads trees and nobody else."""
    world = tiny_world()
    turns_at = gate_cutoff(world.known_until, horizon_days=7)
    honest = world.snapshot

    class Shifty(type(world)):  # type: ignore[misc]
        inputs = (*world.inputs, "shifty")

        def snapshot(self, as_of: datetime) -> Snapshot:
            plain = honest(as_of)
            told = np.zeros(len(plain.X), dtype=np.float32)
            if as_of <= turns_at:
                ordered = np.isin(plain.customer_keys, self.happened(as_of, 7))
                told[ordered == (as_of < turns_at)] = 1.0
                unsure = plain.customer_keys % 9 < 2  # else it would be taken for a leak
                told[unsure] = (plain.customer_keys % 9)[unsure]
            return Snapshot(as_of, plain.customer_keys, np.column_stack([plain.X, told]))

    shifty = Shifty()
    chosen = choose_recipe(shifty, horizon_days=7, used_at=world.known_until, seed=0)
    assert TREES not in chosen.members
    head = fit_head(shifty, horizon_days=7, used_at=world.known_until, recipe=chosen)
    assert head.booster is None
    assert set(head.members.offsets) == set(chosen.members)
    assert TREES in choose_recipe(world, horizon_days=7, used_at=world.known_until, seed=0).members


def test_a_member_that_speaks_of_no_judged_customer_takes_no_part() -> None:
    y = np.array([0, 1, 1, 0], dtype=np.uint8)
    silence = np.full(4, np.nan)
    split = Split(28, (datetime(2024, 1, 1, tzinfo=UTC),), datetime(2024, 1, 29, tzinfo=UTC))
    said = {TREES: np.array([-1.0, 1.0, 0.5, -0.5])}
    fitted = Fitted(split, y, said, lightgbm.Booster, None, lambda _: (BgNbd(1.0, 1.0, 1.0, 1.0), silence))
    members, scores = fitted.members((TREES, REPEAT_BUYING))
    assert tuple(members.offsets) == (TREES,)
    assert members.repeat_buying is None
    assert np.isfinite(scores).all()


def test_repeat_buying_alone_may_be_shipped_as_it_is(tiny_world: Callable[..., Any]) -> None:
    """Its level is that of the whole history; calibrated, it is that of the newest closed window."""
    world = tiny_world()
    kinds = {(recipe.members, recipe.calibration) for recipe in RECIPES[0].variants()}
    assert {members for members, kind in kinds if kind == AS_IT_IS} == {(REPEAT_BUYING,)}

    alone = replace(RECIPES[0], members=(REPEAT_BUYING,), calibration=AS_IT_IS, season=NO_SEASON)
    head = fit_head(world, horizon_days=7, used_at=world.known_until, recipe=alone)
    X = world.snapshot(world.known_until).X
    customers = Customers(X, world.inputs)
    assert head.members.repeat_buying is not None
    said = head.members.repeat_buying.p_any(customers.history(), weeks=1.0)
    bought = customers.bought()
    assert bought.any()
    assert head.predict(X)[bought] == pytest.approx(said[bought], abs=1e-6)

    levelled = fit_head(world, horizon_days=7, used_at=world.known_until, recipe=replace(alone, calibration="shift"))
    assert levelled.members.offsets[REPEAT_BUYING] != head.members.offsets[REPEAT_BUYING] == 0.0
