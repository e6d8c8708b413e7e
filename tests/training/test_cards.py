"""Cards: both forms hold the same, names that people wrote cannot become markup, and intervals hold what they say."""

from __future__ import annotations

import re
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from training.cards.card import Card, Section, Table, write_card
from training.cards.intervals import (
    auc_interval,
    excess_interval,
    loss_interval,
    mean_interval,
    share_interval,
)
from training.evaluation import auc
from training.shapley import leanings_of


def a_card(cell: str = "12%") -> Card:
    table = Table(("group", "ordered"), (("stage loyalty", cell),))
    return Card("Model card: a model", (Section("How good it is", ("Judged on one window.",), (table,)),))


def test_both_forms_say_the_same(tmp_path: Path) -> None:
    write_card(tmp_path, a_card())
    for name in ("card.md", "card.html"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        for said in ("Model card: a model", "How good it is", "Judged on one window.", "stage loyalty", "12%"):
            assert said in text


def test_a_page_fetches_nothing_and_runs_nothing() -> None:
    page = a_card().html()
    assert not re.search(r"(src|href)\s*=|<script|url\(|@import", page)


def test_what_people_wrote_is_text_in_both_forms() -> None:
    card = a_card("<script>alert(1)</script>|**new**\nrow")
    assert "<script>" not in card.html()
    row = card.markdown().splitlines()[-1]
    assert row == r"| stage loyalty | \<script>alert(1)\</script>\|\*\*new\*\* row |"


def test_the_interval_of_a_mean_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(1)
    found = [mean_interval((rng.random(400) < 0.2).astype(np.float64)) for _ in range(400)]
    held = float(np.mean([one.low <= 0.2 <= one.high for one in found]))
    assert 0.91 < held < 0.98


def test_a_share_of_nobody_is_not_certain_and_no_share_is_below_none() -> None:
    nobody, three = np.zeros(71), np.repeat([1.0, 0.0], [3, 59])
    assert str(share_interval(nobody)) == "0.0% (0.0% … 5.1%)"
    assert share_interval(three).low > 0.0
    assert str(excess_interval(np.full(71, 0.036), nobody)) == "3.6% (-1.5% … 3.6%)"


def test_the_interval_of_a_share_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(5)
    found = [share_interval((rng.random(80) < 0.05).astype(np.float64)) for _ in range(1_000)]
    assert sum(one.low <= 0.05 <= one.high for one in found) / 1_000 == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("mean", "weight"), [(0.03, 100.0), (0.2, 10_000.0), (0.2, 0.5)])
def test_the_interval_of_what_was_said_too_much_holds_none_nineteen_times_in_twenty(mean: float, weight: float) -> None:
    rng = np.random.default_rng(6)
    holds = []
    for _ in range(1_000):
        said = rng.beta(weight * mean, weight * (1 - mean), 200)
        found = excess_interval(said, (rng.random(200) < said).astype(np.float64))
        holds.append(found.low <= 0.0 <= found.high)
    assert np.mean(holds) == pytest.approx(0.95, abs=0.025)


def test_a_loss_of_customers_of_one_kind_has_no_interval() -> None:
    losses, nobody = np.full(71, 0.0366), np.zeros(71)
    assert str(loss_interval(losses, nobody)) == "0.0366"
    assert "…" in str(loss_interval(losses, np.repeat([1.0, 0.0], [5, 66])))


def test_the_interval_of_an_auc_is_as_wide_as_drawing_customers_anew_shows() -> None:
    rng = np.random.default_rng(2)
    y = (rng.random(600) < 0.3).astype(np.uint8)
    score = rng.normal(size=600) + y
    drawn = []
    for _ in range(300):
        rows = rng.integers(0, 600, 600)
        drawn.append(auc(y[rows], score[rows]))
    found = auc_interval(y, score)
    assert found.value == auc(y, score)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(drawn), rel=0.12)


def test_ties_count_half_in_the_interval_too() -> None:
    y = np.array([1, 0] * 200, dtype=np.uint8)
    found = auc_interval(y, np.zeros(400))
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_where_an_interval_cannot_be_had_none_is_said() -> None:
    assert str(auc_interval(np.zeros(10, dtype=np.uint8), np.arange(10.0))) == "—"
    assert mean_interval(np.array([0.5])).low != mean_interval(np.array([0.5])).low


def test_leanings_name_what_moves_the_score_and_which_way() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(1_500, 3)).astype(np.float32)
    X[::7, 2] = np.nan
    y = (X[:, 0] * 2 - X[:, 1] + rng.normal(size=1_500) > 0).astype(np.uint8)
    parameters = {"objective": "binary", "num_leaves": 8, "verbose": -1, "num_threads": 1, "seed": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X.astype(np.float64), y), num_boost_round=40)
    found = leanings_of(booster, X, inputs=("up", "down", "noise"))
    assert [(one.name, one.direction) for one in found][:2] == [("up", "more"), ("down", "less")]
    assert found[0].mean_size > found[1].mean_size > 5 * found[2].mean_size
    # What is said of the inputs, and what is said without any, make up the score.
    raw = np.asarray(booster.predict(X.astype(np.float64), raw_score=True))
    whole = np.asarray(booster.predict(X.astype(np.float64), pred_contrib=True))
    assert raw == pytest.approx(whole.sum(axis=1), abs=1e-9)
    assert found[0].contributions == pytest.approx(whole[:, 0])
