"""Our own decisions as rows to learn from: three customers, round numbers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.earnings import Conversion, Worths
from experiments.records import HOLDOUT, PERSONALISED, SCHEMA
from features.brand import Brand, load_brand
from features.catalogue import load_catalogue
from features.faults import CallersMistake
from features.starting import write_starter
from features.workspace import Workspace
from training.dataset import Snapshot, WorkspaceSource
from training.response.fitting import fit_response
from training.response.known_before import DAY_US, MOST_SNAPSHOTS, starts_of
from training.response.ledger_rows import HELD_OUT_OF_ALL, NOT_DRAWN, OPEN, _probabilities, ledger_rows

NOON = datetime(2024, 3, 4, 12, tzinfo=UTC)
DISTRIBUTION = {"first_order_coupon@whatsapp": 0.4, "first_order_coupon@line": 0.2, "bestsellers": 0.3, "nothing": 0.1}
MARGIN, COST = 0.4, 150.0  # of the starter's brand.yaml, and of its coupon


@dataclass
class Shop:
    """A starter workspace as `ledger_rows` reads it; snapshots say on which day they are of."""

    workspace: Workspace
    brand: Brand
    known_until: datetime = NOON + timedelta(days=30)
    inputs: tuple[str, ...] = ("day",)
    asked: list[datetime] = field(default_factory=list)
    _n: int = 0

    def prepare(self, as_ofs: Sequence[datetime]) -> None:
        self.asked += as_ofs

    def snapshot(self, as_of: datetime) -> Snapshot:
        keys = np.array([1, 2, 3], dtype=np.int64)
        return Snapshot(as_of, keys, np.full((3, 1), as_of.day, dtype=np.float32))

    def decided(
        self,
        customer: int,
        action: str,
        *,
        arm: str = PERSONALISED,
        at: datetime = NOON,
        drawn: bool = True,
        by: str = "customer",
    ) -> None:
        self._n += 1
        record = {"versions": {}, "policy_parameters": {"epsilon": 0.1} if drawn else {}}
        row: dict[str, Any] = {
            "decision_id": f"d{self._n}",
            "customer_key": customer,
            "decided_at": _us(at),
            "placement": "chat_reply",
            "channel": "whatsapp",
            "initiated_by": by,
            "arm": arm,
            "arm_probability": 0.2 if arm == HOLDOUT else 0.8,
            "holdout_rate": 0.2,
            "policy": "epsilon_greedy",
            "action_id": action,
            "action_probability": 0.5,
            "distribution": json.dumps(DISTRIBUTION),
            "record": json.dumps(record),
        }
        self._insert("decisions", row)

    def ordered(self, customer: int, value: float, *, at: datetime) -> None:
        self._n += 1
        times = {"occurred_at": _us(at), "received_at": _us(at)}
        row = {"outcome_id": f"o{self._n}", "customer_key": customer, "outcome": "converted", "goal": "order"}
        self._insert("outcomes", row | {"value": value, "joined_by": "none"} | times)

    def rows(self) -> Any:
        return ledger_rows(cast(WorkspaceSource, self))

    def _insert(self, table: str, row: dict[str, Any]) -> None:
        self.workspace.database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.workspace.database)) as connection:
            connection.executescript(SCHEMA)
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
            connection.commit()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    write_starter(tmp_path)
    workspace = Workspace(tmp_path)
    return Shop(workspace, load_brand(workspace))


def test_the_probability_of_what_was_done_counts_the_held_out_and_every_channel(shop: Shop) -> None:
    shop.decided(1, "first_order_coupon")
    shop.decided(2, "bestsellers")
    shop.decided(3, "bestsellers", arm=HOLDOUT)
    rows = shop.rows()
    assert rows.propensity.tolist() == pytest.approx([0.8 * 0.6, 0.2 + 0.8 * 0.3, 0.2 + 0.8 * 0.3])
    assert [action.action_id for action in rows.actions] == ["nothing", "bestsellers", "first_order_coupon"]
    assert rows.available.all()


def test_where_the_brand_speaks_first_the_held_out_are_told_nothing_not_the_baseline(shop: Shop) -> None:
    assert shop.brand.placements["chat_reply"].baseline == "bestsellers"
    shop.decided(1, "bestsellers", by="brand")
    shop.decided(2, "nothing", by="brand")
    shop.decided(3, "nothing", by="brand", arm=HOLDOUT)
    assert shop.rows().propensity.tolist() == pytest.approx([0.8 * 0.3, 0.2 + 0.8 * 0.1, 0.2 + 0.8 * 0.1])


def test_what_followed_counts_whoever_it_was_joined_to_less_the_incentive_that_it_cost(shop: Shop) -> None:
    shop.decided(1, "first_order_coupon")
    shop.decided(2, "bestsellers", arm=HOLDOUT)
    shop.decided(3, "first_order_coupon")
    shop.ordered(1, 1_000.0, at=NOON + timedelta(days=2))
    shop.ordered(2, 500.0, at=NOON + timedelta(days=1))
    shop.ordered(3, 800.0, at=NOON + timedelta(days=8))  # after seven days
    shop.ordered(3, 900.0, at=NOON - timedelta(hours=1))  # before it was asked
    assert shop.rows().reward.tolist() == pytest.approx([MARGIN * 1_000 - COST, MARGIN * 500, 0.0])


def test_features_are_those_of_the_days_start_not_of_the_decision(shop: Shop) -> None:
    shop.decided(1, "bestsellers", at=NOON)
    shop.decided(1, "bestsellers", at=NOON + timedelta(days=1))
    rows = shop.rows()
    assert rows.X[:, 0].tolist() == [4.0, 5.0]
    assert shop.asked == [datetime(2024, 3, 4, tzinfo=UTC), datetime(2024, 3, 5, tzinfo=UTC)]


def test_decisions_that_nobody_drew_or_whose_window_is_open_are_left_out_and_counted(shop: Shop) -> None:
    shop.decided(1, "bestsellers")
    shop.decided(2, "bestsellers", drawn=False)
    shop.decided(3, "bestsellers", at=shop.known_until - timedelta(days=3))
    rows = shop.rows()
    assert len(rows) == 1
    assert rows.left_out == {NOT_DRAWN: 1, OPEN: 1}


def test_a_ledger_without_anything_to_learn_from_is_refused_with_why(shop: Shop) -> None:
    with pytest.raises(CallersMistake, match="there is none yet"):
        shop.rows()
    shop.decided(1, "bestsellers", drawn=False)
    with pytest.raises(CallersMistake, match=r"1: nobody drew.*`rapport evaluate response`"):
        shop.rows()


def test_a_goal_without_a_value_is_worth_the_same_once_whatever_was_done(shop: Shop) -> None:
    catalogue = load_catalogue(shop.workspace, shop.brand)
    worths = Worths.of(shop.brand, catalogue)
    coupon, bestsellers = catalogue.action("first_order_coupon"), catalogue.action("bestsellers")
    usual = float(np.mean([action.value for action in catalogue.actions if action.goal == "order"]))
    twice = [Conversion("order", None), Conversion("order", None)]
    assert worths.reward(twice, coupon) == pytest.approx(usual - COST)
    assert worths.reward(twice, bestsellers) == worths.reward(twice, None) == pytest.approx(usual)
    other = coupon.model_copy(update={"goal": "subscribe", "incentive": None})
    assert worths.reward(twice, other) == pytest.approx(usual)
    assert worths.reward([Conversion("unheard_of", None)], coupon) == 0.0
    assert worths.reward([], coupon) == 0.0


class DailyShop(Shop):
    """Every customer is decided on every day, and one in ten is held out for ever."""

    def snapshot(self, as_of: datetime) -> Snapshot:
        return Snapshot(as_of, np.arange(N_DAILY, dtype=np.int64), np.ones((N_DAILY, 1), dtype=np.float32))


N_DAILY = 400


def test_of_daily_decisions_one_message_is_not_credited_with_what_all_of_them_bring(tmp_path: Path) -> None:
    """Each message brings 1 on its day, whatever was said before; windows of seven days hold seven decisions."""
    write_starter(tmp_path)
    shop = DailyShop(Workspace(tmp_path), load_brand(Workspace(tmp_path)))
    shop.known_until = NOON + timedelta(days=22)
    rng = np.random.default_rng(0)
    held_out, said = rng.random(N_DAILY) < 0.1, rng.random((N_DAILY, 21)) < 0.8
    said &= ~held_out[:, np.newaxis]
    record = json.dumps({"versions": {}, "policy_parameters": {"epsilon": 0.2}})
    distribution = json.dumps({"bestsellers": 0.8, "nothing": 0.2})
    decisions, orders = [], []
    for day in range(21):
        at = _us(NOON + timedelta(days=day))
        for one in range(N_DAILY):
            arm = (HOLDOUT, 0.1) if held_out[one] else (PERSONALISED, 0.9)
            action = "bestsellers" if said[one, day] else "nothing"
            decisions.append((f"d{day}-{one}", one, at, *arm, action, distribution, record))
            if said[one, day]:
                orders.append((f"o{day}-{one}", one, at + 60_000_000, at + 60_000_000, 1.0 / MARGIN))
    shop.workspace.database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(shop.workspace.database)) as connection:
        connection.executescript(SCHEMA)
        connection.executemany(
            "INSERT INTO decisions (decision_id, customer_key, decided_at, arm, arm_probability, action_id,"
            " distribution, record, holdout_rate, placement, channel, initiated_by, policy, action_probability)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0.1, 'chat_reply', 'whatsapp', 'brand', 'epsilon_greedy', 0.5)",
            decisions,
        )
        connection.executemany(
            "INSERT INTO outcomes (outcome_id, customer_key, occurred_at, received_at, value, outcome, goal, joined_by)"
            " VALUES (?, ?, ?, ?, ?, 'converted', 'order', 'none')",
            orders,
        )
        connection.commit()
    rows = shop.rows()
    uplift = fit_response(rows, inputs=("day",), categories={}, candidates=("same_for_all",)).uplifts["bestsellers"]
    assert uplift.low < 1.0 < uplift.high
    assert uplift.error < 0.1
    assert set(rows.propensity.tolist()) == {0.2, 0.8}
    assert rows.left_out[HELD_OUT_OF_ALL] == int(held_out.sum()) * len(np.unique(rows.at))


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6), st.floats(0.0, 0.9))
def test_probabilities_of_everybody_sum_to_one(weights: list[float], held_out: float) -> None:
    total = sum(weights) or 1.0
    distribution = {f"a{i}": weight / total for i, weight in enumerate(weights)}
    told = _probabilities(distribution, held_out=held_out, baseline="a0")
    assert sum(told.values()) == pytest.approx(held_out + (1 - held_out) * sum(distribution.values()))


@given(st.lists(st.integers(0, 2_000 * DAY_US), min_size=1, max_size=200))
def test_no_snapshot_is_later_than_its_decision_and_there_are_not_too_many(at_us: list[int]) -> None:
    at = np.array(at_us, dtype=np.int64) + 9_000 * DAY_US
    starts = starts_of(at)
    assert (starts <= at).all()
    assert len(np.unique(starts)) <= max(MOST_SNAPSHOTS, 2_000 // 28 + 2)
    assert (starts % DAY_US == 0).all()


def _us(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
