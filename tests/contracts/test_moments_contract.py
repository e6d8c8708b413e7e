"""What every store of moments has to keep: one wait a customer, numbers that only grow, and no gap that fills later."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from features.database import connect, transaction
from features.expressions import compile_expression
from features.moments import table
from features.moments.rules import MomentRule
from features.moments.table import DueRow, Trigger

HOUR = 3_600_000_000
NOW = 1_000 * HOUR
RULE = MomentRule(
    name="cart",
    event="Product Added",
    skips_controls=False,
    wait_us=3 * HOUR,
    expires_after_us=48 * HOUR,
    every_us=24 * HOUR,
    when=compile_expression("true", {}),
    placement=None,
)
RULES = {"cart": RULE}

Open = Callable[[], sqlite3.Connection]


@pytest.fixture(params=["sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens connections to one store; PostgreSQL's joins the parameters with its implementation."""
    opened: list[sqlite3.Connection] = []

    def open_() -> sqlite3.Connection:
        connection = connect(tmp_path / "rapport.db")
        connection.isolation_level = None
        table.create(connection)
        opened.append(connection)
        return connection

    yield open_
    for connection in opened:
        connection.close()


def due(key: int, at: int = NOW) -> DueRow:
    return DueRow("cart", key, at, at + RULE.wait_us, at + RULE.wait_us + RULE.expires_after_us)


def arm(connection: sqlite3.Connection, *triggers: tuple[int, int]) -> int:
    with transaction(connection):
        return table.arm(connection, [Trigger("cart", key, at) for key, at in triggers], RULES, now=NOW)


def test_only_a_newer_trigger_changes_a_wait(store: Open) -> None:
    connection = store()
    assert arm(connection, (1, NOW)) == 1
    assert arm(connection, (1, NOW), (1, NOW - HOUR)) == 0
    assert table.due_rows(connection, now=NOW + 3 * HOUR, limit=9) == [due(1)]
    assert arm(connection, (1, NOW + HOUR)) == 1
    assert table.due_rows(connection, now=NOW + 3 * HOUR, limit=9) == []
    assert table.due_rows(connection, now=NOW + 4 * HOUR, limit=9) == [due(1, NOW + HOUR)]


def test_a_wait_ends_once_and_not_for_a_trigger_that_is_no_longer_the_newest(store: Open) -> None:
    one, other = store(), store()
    arm(one, (1, NOW), (2, NOW))
    with transaction(one):
        assert table.settle(one, due(1), status="fired", reason=None)
    with transaction(other):
        assert not table.settle(other, due(1), status="fired", reason=None)
    arm(one, (2, NOW + HOUR))
    with transaction(other):
        assert not table.settle(other, due(2), status="closed", reason="when")


def test_what_was_put_off_is_looked_at_later_and_a_newer_trigger_takes_it_up_again(store: Open) -> None:
    connection = store()
    arm(connection, (1, NOW))
    with transaction(connection):
        table.put_off(connection, due(1), until=NOW + 9 * HOUR, reason="schema_changed")
    assert table.due_rows(connection, now=NOW + 8 * HOUR, limit=9) == []
    assert table.due_rows(connection, now=NOW + 9 * HOUR, limit=9) == [due(1)]
    arm(connection, (1, NOW + HOUR))
    assert table.due_rows(connection, now=NOW + 4 * HOUR, limit=9) == [due(1, NOW + HOUR)]


def test_of_two_joined_waits_the_newer_stands_whatever_became_of_it(store: Open) -> None:
    connection = store()
    arm(connection, (1, NOW), (2, NOW + HOUR), (3, NOW + HOUR), (4, NOW))
    with transaction(connection):
        table.settle(connection, due(2, NOW + HOUR), status="fired", reason=None)
        table.adopt(connection, from_key=2, into_key=1)
        table.adopt(connection, from_key=4, into_key=3)
    rows = connection.execute("SELECT customer_key, trigger_at, status FROM moments_due ORDER BY 1").fetchall()
    assert rows == [(1, NOW + HOUR, "fired"), (3, NOW + HOUR, "open")]


def test_a_changed_wait_moves_what_is_open_and_only_that(store: Open) -> None:
    connection = store()
    arm(connection, (1, NOW), (2, NOW))
    with transaction(connection):
        table.settle(connection, due(2), status="closed", reason="when")
        table.reschedule(connection, {"cart": replace(RULE, wait_us=5 * HOUR)})
    rows = connection.execute("SELECT customer_key, due_at - trigger_at FROM moments_due ORDER BY 1").fetchall()
    assert rows == [(1, 5 * HOUR), (2, 3 * HOUR)]


def test_a_moment_that_was_rolled_back_never_came_and_an_erased_number_is_not_given_again(store: Open) -> None:
    connection = store()
    connection.execute("BEGIN IMMEDIATE")
    table.fire(connection, due(1), RULE, fired_at=NOW)
    connection.execute("ROLLBACK")
    assert (table.newest_seq(connection), table.fired_since(connection, 0, limit=9)) == (0, [])
    with transaction(connection):
        first = table.fire(connection, due(1), RULE, fired_at=NOW)
    connection.execute("DELETE FROM moments")
    with transaction(connection):
        assert table.fire(connection, due(2), RULE, fired_at=NOW) > first
    assert table.newest_seq(connection) > first


def test_a_reader_who_follows_the_cursor_beside_two_writers_misses_nothing(store: Open, tmp_path: Path) -> None:
    n_each, connection = 60, store()

    def write(keys: range) -> None:
        with closing(connect(tmp_path / "rapport.db")) as own:
            own.isolation_level = None
            for key in keys:
                with transaction(own):
                    table.fire(own, due(key), RULE, fired_at=NOW)

    writers = [threading.Thread(target=write, args=(range(n * n_each, (n + 1) * n_each),)) for n in range(2)]
    for writer in writers:
        writer.start()
    seen: list[tuple[int, int]] = []
    while any(writer.is_alive() for writer in writers) or len(seen) < table.newest_seq(connection):
        since = seen[-1][0] if seen else 0
        seen += [(one.moment_seq, one.customer_key) for one in table.fired_since(connection, since, limit=7)]
    assert sorted(key for _, key in seen) == list(range(2 * n_each))
    assert [seq for seq, _ in seen] == sorted({seq for seq, _ in seen})
