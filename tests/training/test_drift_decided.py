"""Of the response model, those are compared who were decided about, and what their decisions then earned."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from experiments.records import PERSONALISED, SCHEMA
from features.brand import Brand, load_brand
from features.starting import write_starter
from features.workspace import Workspace
from training.artifact import ActionFeatures, ResponseModel
from training.dataset import Snapshot, WorkspaceSource
from training.drift.decided import decided_since, outcomes_of_decisions
from training.drift.keeping import newest_of_each
from training.drift.report import Looked
from training.drift.watching import NO_REFERENCE, examined
from training.response.rows import ResponseRows

TRAINED = datetime(2024, 3, 4, tzinfo=UTC)
MARGIN = 0.4  # of the starter's brand.yaml
N = 400


@dataclass
class Shop:
    """A starter workspace with a ledger; a snapshot says on which day of the year it is of."""

    workspace: Workspace
    brand: Brand
    known_until: datetime = TRAINED + timedelta(days=30)
    inputs: tuple[str, ...] = ("day",)
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    asked: list[datetime] = field(default_factory=list)

    def prepare(self, as_ofs: Sequence[datetime]) -> None:
        self.asked += as_ofs

    def snapshot(self, as_of: datetime) -> Snapshot:
        day = np.full((N, 1), as_of.timetuple().tm_yday, dtype=np.float32)
        return Snapshot(as_of, np.arange(1, N + 1, dtype=np.int64), day)

    def decide(self, customers: Sequence[int], *, at: datetime, orders: float | None = None) -> None:
        """One decision a customer, and an order an hour later of every second one."""
        at_us = int(at.timestamp() * 1e6)
        decisions = [
            (f"{key}-{at_us}", key, at_us, PERSONALISED, json.dumps({"versions": {}, "policy_parameters": {"e": 1}}))
            for key in customers
        ]
        ordered = [
            (f"o{key}-{at_us}", key, orders, at_us + 3_600_000_000, at_us + 3_600_000_000)
            for key in customers
            if orders is not None and key % 2
        ]
        self.workspace.database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.workspace.database)) as connection:
            connection.executescript(SCHEMA)
            connection.executemany(
                "INSERT INTO decisions (decision_id, customer_key, decided_at, placement, channel, initiated_by, arm, "
                "arm_probability, holdout_rate, policy, action_id, action_probability, distribution, record) VALUES "
                "(?, ?, ?, 'chat_reply', 'whatsapp', 'customer', ?, 1.0, 0.0, 'uniform', 'bestsellers', 0.5, "
                '\'{"bestsellers": 0.5, "nothing": 0.5}\', ?)',
                decisions,
            )
            connection.executemany(
                "INSERT INTO outcomes (outcome_id, customer_key, outcome, goal, value, joined_by, occurred_at, "
                "received_at) VALUES (?, ?, 'converted', 'order', ?, 'none', ?, ?)",
                ordered,
            )
            connection.commit()

    def since(self, at: datetime) -> list[float]:
        return [float(of) for of in decided_since(cast(WorkspaceSource, self), at)[:, 0]]


class Model(ResponseModel):
    """Expects the same of everybody and everything."""

    def __init__(self, expects: float) -> None:
        self.version, self._expects = "v1", expects
        self.description: dict[str, Any] = {"windows": {"taught": ["", TRAINED.isoformat()]}}

    def rewards(self, X: NDArray[Any], actions: Sequence[ActionFeatures]) -> NDArray[np.float64]:
        return np.full((len(X), len(actions)), self._expects)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    write_starter(tmp_path)
    workspace = Workspace(tmp_path)
    return Shop(workspace, load_brand(workspace))


def test_without_a_ledger_nobody_was_decided_about(shop: Shop) -> None:
    assert shop.since(TRAINED) == []
    assert outcomes_of_decisions(cast(WorkspaceSource, shop), Model(1.0)) == ([], None)


def test_each_customer_is_one_row_as_known_on_the_newest_decisions_day_before_it(shop: Shop) -> None:
    end = shop.known_until  # 3 April, the 94th day
    noon = timedelta(hours=12)
    shop.decide([1, 2], at=end - timedelta(days=12) + noon)
    shop.decide([2, 3], at=end - timedelta(days=3) + noon)
    shop.decide([4], at=end - timedelta(days=15) + noon)  # longer ago than is looked back
    assert shop.since(TRAINED) == [94 - 12, 94 - 3, 94 - 3]
    assert shop.since(end - timedelta(days=5)) == [94 - 3, 94 - 3]  # those before the training are the reference's


def test_what_decisions_earned_is_held_against_what_was_expected_by_month(shop: Shop) -> None:
    everybody = range(1, N + 1)
    for days in (2, 9, 16):  # March; the window is seven days
        shop.decide(everybody, at=TRAINED + timedelta(days=days), orders=1_000.0)
    shop.decide(everybody, at=TRAINED - timedelta(days=1), orders=9e9)  # taught the model
    shop.decide(everybody, at=shop.known_until - timedelta(days=6), orders=9e9)  # its window is open
    truth = 0.5 * MARGIN * 1_000
    months, whole = outcomes_of_decisions(cast(WorkspaceSource, shop), Model(truth))
    assert whole is not None
    assert [one.n for one in months] == [whole.n] == [3 * N]
    assert whole.said == truth
    assert whole.came == pytest.approx(truth)
    assert whole.verdict == "calibrated"
    _, wrong = outcomes_of_decisions(cast(WorkspaceSource, shop), Model(2 * truth))
    assert wrong is not None
    assert wrong.verdict == "off"


def test_a_champion_without_a_reference_is_unknown_unless_what_it_said_did_not_come(shop: Shop) -> None:
    """It was made before spreads were kept: nobody can say that it is steady."""
    young = Looked("response", "v1", TRAINED, 30.0)
    source = cast(WorkspaceSource, shop)
    looked = examined(source, Model(1.0), young, None)
    assert (looked.status, looked.moves, looked.outcomes) == ("unknown", (), ())
    assert NO_REFERENCE in looked.notes
    shop.decide(range(1, N + 1), at=TRAINED + timedelta(days=2), orders=1_000.0)
    truth = 0.5 * MARGIN * 1_000
    looked = examined(source, Model(truth), young, None)
    assert ([one.verdict for one in looked.outcomes], looked.status) == (["calibrated"], "unknown")
    assert examined(source, Model(2 * truth), young, None).status == "retrain"


def test_of_a_customers_decisions_the_newest_is_taken() -> None:
    at = np.array(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"], dtype="datetime64[us]")
    rows = ResponseRows(
        X=np.arange(4, dtype=np.float32)[:, np.newaxis],
        action=np.zeros(4, dtype=np.intp),
        reward=np.zeros(4),
        propensity=np.ones(4),
        cluster=np.array([7, 8, 7, 9]),
        at=at,
        actions=(ActionFeatures("nothing"),),
    )
    assert newest_of_each(rows, np.ones(4, dtype=np.bool_)).X[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert newest_of_each(rows, at < at[2]).X[:, 0].tolist() == [0.0, 1.0]
