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
