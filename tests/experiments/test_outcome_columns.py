"""Outcomes of machines are left out of the counts; a ledger from before outcomes had these columns is read as well."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from experiments.records import SCHEMA, read_action_results, read_outcomes

DECIDED = """
INSERT INTO decisions (decision_id, customer_key, decided_at, placement, channel, initiated_by, arm, arm_probability,
    policy, action_id, action_probability, distribution, stage, record)
VALUES ('d', 1, 0, 'weekly', 'mail', 'brand', 'personalised', 0.9, 'greedy', 'tip', 1.0, '{}', 'awareness', '{}')
"""
OUTCOME = """
INSERT INTO outcomes (outcome_id, decision_id, customer_key, outcome, joined_by, occurred_at, received_at)
VALUES (?, 'd', 1, 'clicked', 'token', 0, 0)
"""


def a_ledger(folder: Path) -> Path:
    database = folder / "rapport.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.execute(DECIDED)
    return database


def written(database: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement, values)


def test_a_click_of_a_machine_engages_nobody(tmp_path: Path) -> None:
    database = a_ledger(tmp_path)
    written(database, OUTCOME, "o1")
    assert read_action_results(database)["n_engaged"].tolist() == [1]
    written(database, "UPDATE outcomes SET is_machine = 1")
    assert read_action_results(database)["n_engaged"].tolist() == [0]
    assert read_outcomes(database)["is_machine"].tolist() == [1]


def test_a_ledger_of_an_earlier_version_is_read_as_it_is(tmp_path: Path) -> None:
    database = a_ledger(tmp_path)
    for column in ("slot", "reason", "retry_after_seconds", "is_late", "is_machine", "over_cap"):
        written(database, f"ALTER TABLE outcomes DROP COLUMN {column}")
    written(database, OUTCOME, "o1")
    assert read_action_results(database)["n_engaged"].tolist() == [1]
    assert read_outcomes(database, columns=("outcome", "is_machine")).to_dict("list") == {
        "outcome": ["clicked"],
        "is_machine": [None],
    }


def test_each_slot_of_a_list_earns_its_own_outcomes(tmp_path: Path) -> None:
    database = a_ledger(tmp_path)
    slots = '[{"action_id": "a", "channel": "web"}, {"action_id": "b", "channel": "web"}]'
    written(database, "UPDATE decisions SET slots = ?, action_id = 'a'", slots)
    written(database, OUTCOME, "of b")
    written(database, "UPDATE outcomes SET slot = 1")
    written(database, OUTCOME, "of the first, by a reporter who names no slot")
    written(database, "UPDATE outcomes SET outcome = 'replied' WHERE slot IS NULL")
    written(database, OUTCOME.replace("clicked", "converted"), "of b too")
    written(database, "UPDATE outcomes SET slot = 1, value = 7.0 WHERE outcome = 'converted'")
    found = read_action_results(database)[["action_id", "n_decisions", "n_engaged", "n_converted", "value"]]
    assert found.to_numpy().tolist() == [["a", 1, 1, 0, 0.0], ["b", 1, 1, 1, 7.0]]


def test_a_list_that_says_nothing_is_silence(tmp_path: Path) -> None:
    database = a_ledger(tmp_path)
    written(database, "UPDATE decisions SET slots = '[]', action_id = 'nothing'")
    assert read_action_results(database)[["action_id", "n_decisions"]].to_numpy().tolist() == [["nothing", 1]]


def test_what_came_after_the_window_is_left_out(tmp_path: Path) -> None:
    database = a_ledger(tmp_path)
    written(database, OUTCOME.replace("clicked", "converted"), "in time")
    written(database, OUTCOME.replace("clicked", "converted"), "after ninety days")
    written(database, "UPDATE outcomes SET value = 10.0")
    written(database, "UPDATE outcomes SET is_late = 1, value = 90.0 WHERE outcome_id = 'after ninety days'")
    assert read_action_results(database)[["n_converted", "value"]].to_numpy().tolist() == [[1, 10.0]]
    written(database, "UPDATE outcomes SET is_late = 1")
    assert read_action_results(database)[["n_converted", "value"]].to_numpy().tolist() == [[0, 0.0]]
