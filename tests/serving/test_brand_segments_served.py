"""A segment that the brand made: a rule of the catalogue asks for it, and scoring counts the same customers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import numpy as np
import pyarrow.parquet as pq
import pytest

from features.brand import BrandSegment
from serving.engine import Engine
from serving.replaying.replay import replay_decision
from serving.schemas import DecisionRequest
from tests.serving.tiny_models import promote
from tests.serving.tiny_shop import a_customer, a_shop
from tests.serving.tiny_world import TIP, an_action
from training.scoring import score_everybody

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
THANKS = an_action("thanks", value=500.0).model_copy(update={"when": "'regulars' in brand_segments"})
SEGMENTS = {
    "regulars": BrandSegment(when="n_orders >= 3.0"),
    "lately": BrandSegment(when="days_since_last_order < 8.0 && segment == 's2'"),
}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def promote_by_orders(engine: Engine) -> None:
    """s1 for whoever never ordered, s2 for whoever did."""
    X, y = np.array([[0.0], [2.0], [5.0]] * 40), np.array([0, 1, 1] * 40)
    parameters = {"objective": "multiclass", "num_class": 2, "verbose": -1, "min_data_in_leaf": 1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, y), num_boost_round=3)
    segments = [{"id": name, "names": {"en": name}, "descriptions": {"en": ""}} for name in ("s1", "s2")]
    description = {"name": "segments", "as_of": "2026-03-01", "inputs": ["n_orders"], "schema_version": "tiny"}
    promote(
        engine.workspace.artifacts,
        description | {"segments": segments, "temperature": 1.0},
        [booster.model_to_string()],
    )


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    workspace = a_shop(tmp_path / "shop", TIP, THANKS, segments=SEGMENTS)
    with Engine(workspace, clock=lambda: NOON, draw=lambda: 0.5) as engine:
        promote_by_orders(engine)
        yield engine


def test_a_rule_that_asks_for_the_brands_segment_speaks_to_its_customers_alone_and_is_replayed(engine: Engine) -> None:
    a_customer(engine, "few", orders=2)
    a_customer(engine, "many", orders=3)
    said = {
        name: engine.decide(DecisionRequest(customer_id=name, placement="reply", channel="web", explain=True))
        for name in ("few", "many", "stranger")
    }
    assert said["many"]["action"]["id"] == "thanks"
    for name in ("few", "stranger"):
        assert [one["action_id"] for one in said[name]["suppressed"]] == ["thanks"]
    replayed = replay_decision(engine.workspace, said["many"]["decision_id"])
    assert replayed.is_same


def test_scores_name_the_segments_that_a_decision_goes_by(engine: Engine) -> None:
    keys = {name: a_customer(engine, name, orders=n) for name, n in (("none", 0), ("few", 2), ("many", 4))}
    scored = score_everybody(engine.workspace, as_of=NOON)
    table = pq.read_table(scored.path, columns=["customer_key", "brand_segments"]).to_pylist()
    found = {row["customer_key"]: row["brand_segments"] for row in table}
    assert found[keys["many"]] == ["regulars", "lately"]
    assert found[keys["few"]] == ["lately"]
    assert found.get(keys["none"], []) == []


def test_scores_made_a_customer_at_a_time_are_those_made_of_all_at_once(engine: Engine) -> None:
    for name in ("few", "many", "more"):
        a_customer(engine, name, orders=2 + len(name) % 2)
    whole = pq.read_table(score_everybody(engine.workspace, as_of=NOON).path)
    assert whole.num_rows == 3
    parts = score_everybody(engine.workspace, as_of=NOON, customers_at_once=1)
    with pq.ParquetFile(parts.path) as file:
        assert (file.num_row_groups, parts.n_customers) == (3, 3)
        assert file.read().equals(whole)
