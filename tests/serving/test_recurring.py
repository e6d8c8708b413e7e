"""How often customers come back, from the ledger's decisions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta

import pytest

from experiments.records import SCHEMA
from serving.contact.windows import to_us
from serving.next_question.recurring import followed_by
from tests.serving.tiny_world import NOON


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    yield connection
    connection.close()


def decided(connection: sqlite3.Connection, customer_key: int, *days_ago: float) -> None:
    columns = "decision_id, customer_key, decided_at, placement, channel, initiated_by, arm, arm_probability, policy, "
    columns += "action_id, action_probability, distribution, record"
    for days in days_ago:
        row = (f"d{customer_key}-{days}", customer_key, to_us(NOON - timedelta(days=days)))
        rest = ("reply", "web", "customer", "personalised", 0.9, "greedy", "tip", 1.0, "{}", "{}")
        connection.execute(f"INSERT INTO decisions ({columns}) VALUES ({', '.join('?' * 13)})", (*row, *rest))


def test_an_empty_ledger_says_nothing(connection: sqlite3.Connection) -> None:
    assert followed_by(connection, at=NOON) == []


def test_what_followed_the_first_decision_within_a_month_is_counted(connection: sqlite3.Connection) -> None:
    decided(connection, 1, 100, 90, 80, 60)  # two within 30 days after the first
    decided(connection, 2, 40)
    assert sorted(followed_by(connection, at=NOON)) == [0, 2]


def test_who_came_only_lately_or_long_ago_says_nothing_yet(connection: sqlite3.Connection) -> None:
    decided(connection, 1, 20, 10, 5)
    decided(connection, 2, 400, 399)
    assert followed_by(connection, at=NOON) == []


def test_the_same_ledger_gives_the_same_sample(connection: sqlite3.Connection) -> None:
    for key in range(1, 400):
        decided(connection, key, 100, *(100 - step for step in range(1, 1 + key % 4)))
    first = followed_by(connection, at=NOON)
    assert first == followed_by(connection, at=NOON)
    assert 50 < len(first) <= 200
    assert sum(first) / len(first) == pytest.approx(1.5, abs=0.3)
