from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from training.artifact import NEXT_PURCHASE, NextPurchaseModel, load_model, write_artifact
from training.next_purchase import Trained, fit_head, train_next_purchase
from training.split import TooLittleData


@pytest.fixture(scope="module")
def world(tiny_world: Callable[..., Any]) -> Any:
    return tiny_world()


@pytest.fixture(scope="module")
def trained(world: Any) -> Trained:
    return train_next_purchase(world, horizons_days=(7, 30))


def test_the_judging_window_chose_and_calibrated_nothing(trained: Trained) -> None:
    for head in trained.description["heads"]:
        judge_start = datetime.fromisoformat(head["windows"]["judge"][0][0])
        judge_end = datetime.fromisoformat(head["windows"]["judge"][0][1])
        assert (judge_end - judge_start).days == head["horizon_days"]
        assert judge_end <= datetime.fromisoformat(trained.description["as_of"])


def test_it_beats_saying_the_base_rate_of_everybody(trained: Trained) -> None:
    for verdict in trained.judged:
        assert verdict.quality().log_loss < verdict.loss_of_constant() - 0.05
        assert verdict.quality().auc > 0.75


def test_the_written_model_says_what_the_fit_said_never_less_for_longer(
    trained: Trained, world: Any, tmp_path: Path
) -> None:
    version = write_artifact(tmp_path, trained.description, trained.boosters)
    schema = SimpleNamespace(model_inputs=world.inputs, categories=world.categories, version="tiny")
    model = load_model(tmp_path, NEXT_PURCHASE, version, schema=schema)
    assert isinstance(model, NextPurchaseModel)
    X = world.snapshot(world.known_until).X
    said = model.predict(X)
    assert model.horizons_days == (7, 30)
    assert (np.diff(said, axis=1) >= 0).all()
    assert said[:, 0] == pytest.approx(trained.heads[0].predict(X))
    keen, rare = said[world.keen].mean(axis=0), said[~world.keen].mean(axis=0)
    assert (keen > rare + 0.2).all()
    assert keen[0] == pytest.approx(1 - np.exp(-7 / 8), abs=0.08)  # a Poisson of 1/8 a day
    assert rare[1] == pytest.approx(1 - np.exp(-30 / 90), abs=0.08)


def test_the_same_seed_and_data_give_the_same_bytes(trained: Trained, world: Any, tmp_path: Path) -> None:
    again = train_next_purchase(world, horizons_days=(7, 30))
    assert again.boosters == trained.boosters
    assert write_artifact(tmp_path / "a", trained.description, trained.boosters) == write_artifact(
        tmp_path / "b", again.description, again.boosters
    )


def test_too_little_history_is_refused_with_the_day_on_which_there_is_enough(tiny_world: Callable[..., Any]) -> None:
    with pytest.raises(TooLittleData, match=r"needs 14 days of history.*2023-01-\d\d"):
        train_next_purchase(tiny_world(days=20), horizons_days=(7,))


def test_too_few_buyers_are_refused_with_how_many_more_are_needed(tiny_world: Callable[..., Any]) -> None:
    with pytest.raises(TooLittleData, match=r"only \d+ of \d+ .* times as many customers"):
        train_next_purchase(tiny_world(n_customers=30), horizons_days=(7,))


def test_a_shop_without_orders_where_it_would_learn_is_refused(tiny_world: Callable[..., Any]) -> None:
    world = tiny_world()
    world.orders = [orders[orders >= 396] for orders in world.orders]  # the last days only
    with pytest.raises(TooLittleData, match="once there are orders"):
        train_next_purchase(world, horizons_days=(7,))
    world.orders = [orders[:0] for orders in world.orders]
    with pytest.raises(TooLittleData, match="once there are orders"):
        train_next_purchase(world, horizons_days=(7, 30))


def test_a_horizon_without_enough_data_is_left_out_and_said(tiny_world: Callable[..., Any]) -> None:
    trained = train_next_purchase(tiny_world(days=120), horizons_days=(7, 90))
    assert [head.horizon_days for head in trained.heads] == [7]
    assert "90-day model" in trained.refused[90]
    assert trained.description["refused"]["90"] == trained.refused[90]


def test_what_happens_later_changes_no_fit(tiny_world: Callable[..., Any], world: Any) -> None:
    later = tiny_world()
    cut = 300
    later.orders = [np.concatenate([o[o < cut], o[o >= cut][:1]]) for o in later.orders]  # another future
    used_at = world.first + (world.known_until - world.first) * (cut / 400)
    one, other = (fit_head(source, horizon_days=7, used_at=used_at) for source in (world, later))
    texts = [head.booster.model_to_string() if head.booster else None for head in (one, other)]
    assert texts[0] == texts[1]
    assert one.members == other.members
    assert one.calibration == other.calibration
