"""Tuning finds what is better on later windows, goes on where it was left, and never looks at the gate's window."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from training import tuning
from training.calibration import ISOTONIC
from training.choosing import choose
from training.recipes import RECIPES, Recipe
from training.split import TooLittleData, gate_cutoff
from training.tuning import Budget, tune

HORIZON_DAYS = 28


@pytest.fixture(scope="module")
def world(tiny_world: Callable[..., Any]) -> Any:
    return tiny_world(n_customers=160, days=200)


def used_at(world: Any) -> datetime:
    return gate_cutoff(world.known_until, horizon_days=HORIZON_DAYS)


def tuned(world: Any, folder: Path, *, trials: int, seed: int = 0) -> Any:
    return tune(
        world, horizon_days=HORIZON_DAYS, used_at=used_at(world), budget=Budget(trials), studies=folder, seed=seed
    )


def test_the_best_trial_is_no_worse_than_the_defaults_which_are_tried_first(world: Any, tmp_path: Path) -> None:
    found = tuned(world, tmp_path, trials=6)
    assert found.n_trials == 6
    assert found.loss <= found.loss_of_default
    assert found.recipe.rounds < 400  # stopped early on the later windows


def test_a_study_goes_on_where_it_was_left(world: Any, tmp_path: Path) -> None:
    first = tuned(world, tmp_path, trials=3)
    again = tuned(world, tmp_path, trials=3)
    assert again == first  # the budget was spent: nothing more is tried
    longer = tuned(world, tmp_path, trials=5)
    assert longer.n_trials == 5
    assert longer.loss <= first.loss


def test_the_same_seed_and_trials_find_the_same(world: Any, tmp_path: Path) -> None:
    assert tuned(world, tmp_path / "a", trials=4) == tuned(world, tmp_path / "b", trials=4)
    assert tuned(world, tmp_path / "a", trials=2, seed=1).n_trials == 2  # another seed, another study


@pytest.mark.parametrize("killed_in", [1, 4])
def test_a_kill_within_a_trial_changes_nothing_of_what_is_found(
    world: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: int
) -> None:
    whole = tuned(world, tmp_path / "whole", trials=7)
    study_on(monkeypatch, dies_in=killed_in)
    with pytest.raises(Killed):
        tuned(world, tmp_path / "killed", trials=7)
    monkeypatch.undo()
    assert trials_left(tmp_path / "killed") == killed_in + 1  # the last of them for ever running
    assert tuned(world, tmp_path / "killed", trials=7) == whole


class Killed(BaseException):
    """As SIGKILL: nobody gets to say how the trial ended."""


def study_on(monkeypatch: pytest.MonkeyPatch, *, dies_in: int) -> None:
    """Tuning ends within that trial, which stays `RUNNING` in the study."""
    judged = tuning._mean_loss

    def dying(trial: Any, *arguments: Any, **named: Any) -> float:
        found = judged(trial, *arguments, **named)
        if trial.number == dies_in:
            raise Killed
        return found

    monkeypatch.setattr(tuning, "_mean_loss", dying)


def trials_left(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "tuning.db")) as connection:
        return int(connection.execute("select count(*) from trials").fetchone()[0])


def test_nothing_at_or_after_its_instant_is_looked_at(tiny_world: Callable[..., Any], tmp_path: Path) -> None:
    world = tiny_world(n_customers=160, days=200)
    until, asked = used_at(world), []
    happened = world.happened

    def noted(as_of: datetime, horizon_days: int) -> Any:
        asked.append(as_of + timedelta(days=horizon_days))
        return happened(as_of, horizon_days)

    world.happened = noted
    found = tuned(world, tmp_path, trials=2)
    assert max(asked) <= until
    assert found.windows[0] + timedelta(days=HORIZON_DAYS) == until
    assert len(found.windows) == 3


def test_a_budget_of_no_time_says_so_and_too_short_a_history_too(world: Any, tmp_path: Path) -> None:
    with pytest.raises(TooLittleData, match="Give it more time"):
        tune(world, horizon_days=28, used_at=used_at(world), budget=Budget(minutes=0.0), studies=tmp_path)
    early = world.first + timedelta(days=60)
    with pytest.raises(TooLittleData):
        tune(world, horizon_days=28, used_at=early, budget=Budget(1), studies=tmp_path)


def test_a_tuned_recipe_wins_only_where_the_whole_model_is_better_for_it(world: Any) -> None:
    chosen = partial(choose, world, horizon_days=HORIZON_DAYS, used_at=used_at(world), seed=0)
    idle = Recipe("tuned", num_leaves=2, rounds=1, min_data_in_leaf=1_000)
    good = RECIPES[0]
    assert chosen(candidates=(idle, good)).recipe.name == good.name
    assert chosen(candidates=(good, idle)).recipe.name == good.name
    assert chosen(candidates=(replace(good, name="tuned"),)).recipe.name == "tuned"


def test_tuned_trees_must_be_better_than_what_the_window_they_were_tuned_on_flatters_them(world: Any) -> None:
    good = RECIPES[0]
    alike = (replace(good, name="tuned"), good)
    found = choose(world, horizon_days=HORIZON_DAYS, used_at=used_at(world), seed=0, candidates=alike).recipe
    assert found.name == good.name
    assert alike[0].handicap() == pytest.approx(good.handicap() + 0.002)


def test_steps_must_be_worth_it_since_they_tell_a_crowd_of_customers_one_value(world: Any) -> None:
    good = RECIPES[0]
    found = choose(world, horizon_days=HORIZON_DAYS, used_at=used_at(world), seed=0, candidates=(good,)).recipe
    assert found.calibration != ISOTONIC
    assert replace(good, calibration=ISOTONIC).handicap() == pytest.approx(good.handicap() + 0.002)
