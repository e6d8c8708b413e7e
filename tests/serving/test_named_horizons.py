"""Rules over what next purchase says of any horizon: the decision, its replay, the profile and the scores agree."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from features.brand import BrandSegment
from serving.engine import Engine
from serving.profile import customer_view_soon
from serving.replaying.replay import replay_decision
from serving.schemas import DecisionRequest
from tests.serving.tiny_models import promote
from tests.serving.tiny_shop import a_customer, a_shop
from tests.serving.tiny_world import TIP, an_action
from training.calibration import IDENTITY
from training.repeat_buying import BG_NBD
from training.scoring import score_everybody

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULE = "expected_orders_45d > 0.5 && still_buying > 0.1 && expected_spend_45d > 10.0 && purchase_propensity_45d > 0.2"
THANKS = an_action("thanks", value=500.0).model_copy(update={"when": RULE})
REPEAT = {"r": 1.0, "alpha": 2.0, "a": 0.2, "b": 5.0}
AMOUNTS: dict[str, Any] = {
    "members": [BG_NBD],
    "factor": 1.0,
    "levels": {BG_NBD: 1.0},
    "regression": None,
    "booster": None,
    "trees_level": 0.0,
    "highest": 1e9,
    "is_seasonal": True,
}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def promote_repeat_buying(engine: Engine) -> None:
    """BG/NBD alone, of 30 days and through it of any other."""
    head = {
        "horizon_days": 30,
        "calibration": IDENTITY.as_dict(),
        "booster": None,
        "members": {"offsets": {"repeat_buying": 0.0}, "repeat_buying": REPEAT, "silent": -3.0},
    }
    description: dict[str, object] = {
        "name": "next_purchase",
        "as_of": "2026-03-01",
        "inputs": ["n_order_days", "days_since_last_order", "days_since_first_order", "revenue"],
        "schema_version": "tiny",
        "heads": [head],
        "coming": {"repeat_buying": [REPEAT]},
        "expected": {
            "horizon_days": 30,
            "columns": [],
            "gamma_gamma": {"p": 6.0, "q": 4.0, "v": 15.0},
            "orders": AMOUNTS,
            "spend": AMOUNTS,
        },
    }
    promote(engine.workspace.artifacts, description, [])


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    workspace = a_shop(tmp_path / "shop", TIP, THANKS, segments={"expected": BrandSegment(when=RULE)})
    with Engine(workspace, clock=lambda: NOON, draw=lambda: 0.5) as engine:
        promote_repeat_buying(engine)
        yield engine


def test_a_rule_over_any_horizon_speaks_to_those_of_whom_it_holds_and_is_replayed(engine: Engine) -> None:
    keys = {name: a_customer(engine, name, orders=n) for name, n in (("none", 0), ("once", 1), ("keen", 6))}
    said = {
        name: engine.decide(DecisionRequest(customer_id=name, placement="reply", channel="web", explain=True))
        for name in ("none", "once", "keen", "stranger")
    }
    assert said["keen"]["action"]["id"] == "thanks"
    for name in ("none", "stranger"):
        assert "thanks" in [one["action_id"] for one in said[name]["suppressed"]]
    for told in said.values():
        assert replay_decision(engine.workspace, told["decision_id"]).is_same
    scored = score_everybody(engine.workspace, as_of=NOON)
    rows = {row["customer_key"]: row for row in pq.read_table(scored.path).to_pylist()}
    for name in ("once", "keen"):
        row = rows[keys[name]]
        is_offered = "thanks" not in [one["action_id"] for one in said[name]["suppressed"]]
        assert row["brand_segments"] == (["expected"] if is_offered else [])
        assert row["expected_orders_30d"] >= row["purchase_propensity_30d"]


def test_the_profile_tells_what_the_rule_looked_at(engine: Engine) -> None:
    a_customer(engine, "keen", orders=6)
    view = asyncio.run(customer_view_soon(engine, "keen", within_days=45))
    assert view is not None
    coming = view["coming"]
    assert list(coming["expected"]) == ["30d", "45d"]
    assert coming["expected"]["45d"]["orders"] > 0.5
    assert coming["expected"]["45d"]["spend"] > 10.0
    assert coming["still_buying"] > 0.1
    assert coming["expected"]["45d"]["orders"] >= coming["purchase_propensity"]["45d"] > 0.2
