"""A single decision is committed by its event loop's own thread, but where that would have to wait for anybody."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from features.database import connect, lock_of
from features.locks import queued
from serving.ledger import Ledger


class Piece:
    """A small piece of work, as a decision is one; its result is the thread that did it."""

    def __init__(self, name: str, *, fails: bool = False) -> None:
        self._name, self._fails = name, fails

    def __call__(self, connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO notes VALUES (?)", (self._name,))
        if self._fails:
            raise ArithmeticError(self._name)
        return threading.current_thread().name

    @staticmethod
    def together(connection: sqlite3.Connection, works: Sequence[Piece]) -> list[str]:
        return [work(connection) for work in works]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "rapport.db"


@pytest.fixture
def ledger(database: Path) -> Iterator[Ledger]:
    opened = Ledger(database)
    opened.write(lambda connection: connection.execute("CREATE TABLE notes (name TEXT)") and None)
    yield opened
    opened.close()


def notes(database: Path) -> list[str]:
    with closing(connect(database)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM notes ORDER BY name")]


def asked(ledger: Ledger, *works: Callable[[sqlite3.Connection], Any]) -> list[Any]:
    async def ask() -> list[Any]:
        return list(await asyncio.gather(*map(ledger.write_soon, works), return_exceptions=True))

    return asyncio.run(ask())


def test_one_alone_is_committed_without_another_thread(ledger: Ledger, database: Path) -> None:
    assert asked(ledger, Piece("one")) == [threading.current_thread().name]
    assert notes(database) == ["one"]


def test_several_of_one_turn_go_to_the_committer(ledger: Ledger) -> None:
    assert asked(ledger, Piece("one"), Piece("two")) == ["rapport-committer"] * 2


def test_what_may_be_long_goes_to_the_committer(ledger: Ledger) -> None:
    assert asked(ledger, lambda _: threading.current_thread().name) == ["rapport-committer"]


def test_one_that_fails_alone_is_told_and_leaves_nothing(ledger: Ledger, database: Path) -> None:
    (told,) = asked(ledger, Piece("one", fails=True))
    assert isinstance(told, ArithmeticError)
    assert asked(ledger, Piece("two")) == [threading.current_thread().name]
    assert notes(database) == ["two"]


async def _others_go_on(waiting: asyncio.Future[Any]) -> int:
    """How many turns the event loop had while somebody waited."""
    turns = 0
    while not waiting.done() and turns < 5:
        await asyncio.sleep(0.005)
        turns += 1
    return turns


def test_behind_another_process_nobody_else_of_the_event_loop_waits(ledger: Ledger, database: Path) -> None:
    async def ask() -> tuple[int, str]:
        with queued(lock_of(database)):
            waiting = ledger.write_soon(Piece("one"))
            turns = await _others_go_on(waiting)
            assert not waiting.done()
        return turns, await waiting

    assert asyncio.run(ask()) == (5, "rapport-committer")


def test_behind_another_program_nobody_else_of_the_event_loop_waits(ledger: Ledger, database: Path) -> None:
    async def ask() -> tuple[int, str]:
        with closing(connect(database)) as other:
            other.isolation_level = None
            other.execute("BEGIN IMMEDIATE")
            waiting = ledger.write_soon(Piece("one"))
            turns = await _others_go_on(waiting)
            assert not waiting.done()
            other.execute("COMMIT")
        return turns, await waiting

    assert asyncio.run(ask()) == (5, "rapport-committer")


def test_a_closed_ledger_takes_nothing_here_either(ledger: Ledger, database: Path) -> None:
    ledger.close()
    (told,) = asked(ledger, Piece("one"))
    assert isinstance(told, RuntimeError)
    assert notes(database) == []
