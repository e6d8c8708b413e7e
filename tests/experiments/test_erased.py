"""Erased customers are left out of an analysis, and it says by how much that can have moved it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.erased import erased_by_arm, erased_warning
from features.erased_rows import SCHEMA


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "rapport.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        rows = [
            ("personalised", "2026-01", 3, 9, 1),
            ("personalised", "2026-03", 2, 2, 0),
            ("holdout", "2026-03", 1, 1, 0),
        ]
        connection.executemany("INSERT INTO erased_counts VALUES (?, ?, ?, ?, ?)", rows)
    return path


def test_the_erased_are_counted_by_arm_from_a_month_on(database: Path, tmp_path: Path) -> None:
    assert erased_by_arm(database) == {"personalised": 5, "holdout": 1}
    assert erased_by_arm(database, since=datetime(2026, 2, 14, tzinfo=UTC)) == {"personalised": 2, "holdout": 1}
    assert erased_by_arm(tmp_path / "none.db") == {}


def test_a_workspace_without_erasures_has_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "rapport.db"
    sqlite3.connect(path).close()
    assert erased_warning(erased_by_arm(path), {"personalised": 10}) is None


def test_the_warning_says_by_how_much_a_rate_can_be_off() -> None:
    said = erased_warning({"personalised": 5}, {"personalised": 95, "holdout": 10})
    assert said is not None
    assert "5 of 100 personalised (5.00%)" in said
    assert erased_warning({"personalised": 1}, {"personalised": 999, "holdout": 100}) is None  # 1/1000: too little


@given(st.integers(1, 50), st.integers(0, 50), st.data())
def test_no_behaviour_of_the_erased_moves_a_rate_by_more_than_their_share(n: int, k: int, data: st.DataObject) -> None:
    converted, converted_erased = data.draw(st.integers(0, n)), data.draw(st.integers(0, k))
    remaining, everybody = converted / n, (converted + converted_erased) / (n + k)
    assert abs(remaining - everybody) <= k / (n + k) + 1e-12
