"""New actions are explored until they were exposed often enough; arms are logged with their probability."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from experiments.records import read_decisions
from features.brand import Exploration
from serving.engine import Engine
from serving.exploration import (
    SCHEMA,
    NewActions,
    count_earlier_exposures,
    count_exposures,
    read_exposures,
)
from serving.ledger import Ledger
from serving.ledger_rows import STATISTICS_SCHEMA
from serving.schemas import DecisionRequest, OutcomeReport
from tests.serving.conftest import starter
from tests.serving.tiny_world import a_catalogue, an_action

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXPERIMENT = """
exploration: {exposures: 3, share: 0.5}
experiment:
  name: bolder
  arms:
    calm: {share: 0.5, policy: {name: greedy}}
    brave: {share: 0.5, policy: {name: squarecb, gamma: 40}}
"""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA + STATISTICS_SCHEMA)
        yield connection


def test_an_action_is_new_until_it_was_exposed_so_often(connection: sqlite3.Connection) -> None:
    new = NewActions(connection, a_catalogue(), Exploration(exposures=2, share=0.1))
    assert new.read() == {"tip": 0, "coupon": 0}
    count_exposures(connection, "tip")
    new.forget()
    assert new.read() == {"tip": 1, "coupon": 0}
    count_exposures(connection, "tip")
    new.forget()
    assert new.read() == {"coupon": 0}


def test_what_is_taken_back_counts_no_more_and_never_below_zero(connection: sqlite3.Connection) -> None:
    count_exposures(connection, "tip", 3)
    count_exposures(connection, "tip", -1)
    count_exposures(connection, "coupon", -1)
    assert read_exposures(connection) == {"tip": 2, "coupon": 0}


@pytest.mark.parametrize("exploration", [Exploration(), Exploration(exposures=5, share=0.0)])
def test_nothing_is_new_where_nothing_is_explored(connection: sqlite3.Connection, exploration: Exploration) -> None:
    assert NewActions(connection, a_catalogue(), exploration).read() == {}


def test_a_question_is_never_explored(connection: sqlite3.Connection) -> None:
    catalogue = a_catalogue(an_action("tip"), an_action("ask_need", kind="question"))
    assert NewActions(connection, catalogue, Exploration(exposures=5)).read() == {"tip": 0}


def test_a_ledger_from_before_counts_its_decisions_once(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO action_statistics VALUES ('a', 'awareness', 'tip', 0, 40, 2)")
    connection.execute("INSERT INTO action_statistics VALUES ('b', 'awareness', 'tip', 20000, 2, 0)")
    for _ in range(2):
        count_earlier_exposures(connection)
    assert read_exposures(connection) == {"tip": 42}


def test_a_ledger_of_an_earlier_version_gains_what_was_added(tmp_path: Path) -> None:
    database = tmp_path / "rapport.db"
    Ledger(database).close()
    with closing(sqlite3.connect(database)) as connection, connection:
        for column in ("experiment", "holdout_rate"):
            connection.execute(f"ALTER TABLE decisions DROP COLUMN {column}")
    assert {"experiment", "holdout_rate"} <= set(read_decisions(database).columns)  # reading changes nothing
    Ledger(database).close()
    with closing(sqlite3.connect(database)) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(decisions)")}
    assert {"experiment", "holdout_rate"} <= columns


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    workspace = starter(tmp_path_factory.mktemp("explored") / "shop")
    workspace.brand_file.write_text(workspace.brand_file.read_text("utf-8") + EXPERIMENT, "utf-8")
    draws = count(1)
    with Engine(workspace, clock=lambda: NOON, draw=lambda: next(draws) * 0.618 % 1.0) as engine:
        yield engine


def a_request(customer_id: str, **changes: object) -> DecisionRequest:
    asked = {"customer_id": customer_id, "placement": "web_banner", "channel": "web", "explain": True}
    return DecisionRequest.model_validate(asked | changes)


def test_each_arm_draws_by_its_own_policy_and_is_logged_with_its_probability(engine: Engine) -> None:
    told = [engine.decide(a_request(f"a-{n}")) for n in range(40)]
    decisions = read_decisions(engine.workspace.database)
    arms = decisions.drop_duplicates("arm").set_index("arm")
    assert set(arms.index) == {"holdout", "calm", "brave"}
    assert arms.loc["calm", "arm_probability"] == pytest.approx(0.9 * 0.5)
    assert (arms.loc["brave", "experiment"], arms.loc["brave", "policy"]) == ("bolder", "squarecb")
    assert arms.loc["holdout", "experiment"] is None
    assert set(decisions["holdout_rate"]) == {0.1}
    parameters = {one["arm"]: one["explanation"]["policy_parameters"] for one in told}
    assert parameters["calm"]["name"] == "greedy"
    assert (parameters["brave"]["gamma"], parameters["brave"]["n_actions"] > 1) == (40, True)


def test_progress_is_shown_and_ends_when_each_was_seen_often_enough(engine: Engine) -> None:
    before = read_exposures(engine.reader)
    assert sum(before.values()) > 0
    for n in range(60):
        engine.deciding._new_actions(engine.stock).forget()
        told = engine.decide(a_request(f"b-{n}"))
        shown = told["explanation"]["new_actions"]
        exposures = read_exposures(engine.reader)
        said = told["action"]["id"]
        assert all(exposures[one] - (one == said) <= progress for one, progress in shown.items() if one in exposures)
        assert all(progress < 3 for progress in shown.values())
        explored = told["explanation"]["policy_parameters"].get("explored", [])
        assert set(explored) <= set(shown)
    candidates = set(engine.decide(a_request("last"))["explanation"]["distribution"])
    engine.deciding._new_actions(engine.stock).forget()
    assert candidates.isdisjoint(engine.deciding._new_actions(engine.stock).read())


def test_a_reservation_is_no_exposure_until_it_is_exposed_and_a_failure_takes_it_back(engine: Engine) -> None:
    customer = next(f"d-{n}" for n in range(50) if not engine.decide(a_request(f"d-{n}", dry_run=True))["holdout"])

    def moved_by(outcome: str | None, **asked: object) -> int:
        before = read_exposures(engine.reader)
        told = engine.decide(a_request(customer, **asked))
        if outcome is not None:
            report = OutcomeReport.model_validate({"decision_id": told["decision_id"], "outcome": outcome})
            engine.record_outcomes([report], single=True)
        said = told["action"]["id"]
        return read_exposures(engine.reader).get(said, 0) - before.get(said, 0)

    assert moved_by(None, defer=True) == 0
    assert moved_by("delivered", defer=True) == 1
    assert moved_by(None) == 1
    assert moved_by("failed") == 0
