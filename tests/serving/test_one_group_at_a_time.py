"""The next decisions are settled once those before are written; whatever becomes of those, the next ones are."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.identity import IdentityTable
from serving.committing import commit_all
from serving.deciding import Inquiry, Settled
from serving.engine import Engine
from serving.handing_over import GATHERED_AT_MOST
from serving.ledger import LedgerClosedError
from tests.serving.stalled_disk import NAMES, Disk, an_engine, ask, asked, being_written, run, some_turns

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with an_engine(tmp_path) as opened:
        yield opened


@pytest.fixture
def sizes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were settled at once, each time."""
    found: list[int] = []
    made = engine.deciding.settled

    def settled(inquiries: Sequence[Inquiry], *arguments: Any, **named: Any) -> list[Settled]:
        found.append(len(inquiries))
        return made(inquiries, *arguments, **named)

    monkeypatch.setattr(engine.deciding, "settled", settled)
    return found


def n_written(engine: Engine) -> int:
    return int(engine.reader.execute("SELECT count(*) FROM decisions").fetchone()[0])


def test_who_comes_while_a_group_is_written_is_the_next_group(engine: Engine, sizes: list[int]) -> None:
    async def test() -> None:
        disk, told = await being_written(engine, ["c-0"])
        for name in NAMES[1:6]:
            told += ask(engine, [name])
            await some_turns()
        assert sizes == [1]
        disk.go_on()
        answers = await asyncio.gather(*told)
        assert [one["customer_id"] for one in answers] == list(NAMES[:6])

    run(test)
    assert sizes == [1, 5]
    assert n_written(engine) == 6


def test_more_than_one_group_holds_are_several(engine: Engine, sizes: list[int]) -> None:
    run(lambda: asyncio.gather(*ask(engine, NAMES)))
    assert sizes == [GATHERED_AT_MOST, len(NAMES) - GATHERED_AT_MOST]


def test_what_is_not_written_in_a_group_does_not_wait_for_it(engine: Engine) -> None:
    """A dry run, a repeat, somebody of whom nobody has heard that is only asked about."""

    async def test() -> None:
        disk = Disk(engine)
        first = await engine.decide_soon(asked("c-0", decision_id="mine"))
        await disk.stall()
        waiting = ask(engine, ["c-1"])
        await some_turns()
        assert (await engine.decide_soon(asked("c-2", dry_run=True)))["customer_id"] == "c-2"
        assert (await engine.decide_soon(asked("who", dry_run=True)))["customer_id"] == "who"
        assert await engine.decide_soon(asked("c-0", decision_id="mine")) == first
        assert not waiting[0].done()
        disk.go_on()
        await asyncio.gather(*waiting)

    run(test)


def test_a_batch_of_a_campaign_is_written_beside_the_groups(engine: Engine) -> None:
    async def test() -> None:
        disk, waiting = await being_written(engine, ["c-0", "c-1"])
        ready = [engine._settled(engine._inquired(asked(name), None), (1,), engine.online.read(1)) for name in NAMES]
        batch = engine.ledger.write_soon(partial(commit_all, pending=[one.pending for one in ready]))
        behind = ask(engine, ["c-2"])
        await some_turns()
        disk.go_on()
        assert len(await batch) == len(NAMES)
        await asyncio.gather(*waiting, *behind)

    run(test)


def test_who_goes_away_between_settling_and_writing_is_not_written_and_opens_the_way(
    engine: Engine, sizes: list[int]
) -> None:
    async def test() -> None:
        disk, gone = await being_written(engine, ["c-0", "c-1"])
        behind = ask(engine, ["c-2", "c-3"])
        await some_turns()
        assert sizes == [2]
        for one in gone:
            one.cancel()
        await some_turns()
        assert sizes == [2, 2], "settled while the disk still stalls: nobody waits for the group before"
        disk.go_on()
        assert {type(one) for one in await asyncio.gather(*gone, return_exceptions=True)} == {asyncio.CancelledError}
        await asyncio.gather(*behind)

    run(test)
    assert n_written(engine) == 2


def test_who_goes_away_while_waiting_for_their_turn_is_not_settled(engine: Engine, sizes: list[int]) -> None:
    async def test() -> None:
        disk, told = await being_written(engine, ["c-0"])
        waiting = ask(engine, ["c-1", "c-2", "c-3"])
        await some_turns()
        waiting[1].cancel()
        disk.go_on()
        await asyncio.gather(*told, waiting[0], waiting[2])

    run(test)
    assert sizes == [1, 2]
    assert n_written(engine) == 3


def test_where_all_who_waited_went_away_the_next_are_settled(engine: Engine) -> None:
    async def test() -> None:
        disk = Disk(engine)
        await disk.stall()
        for name in NAMES:
            (one,) = ask(engine, [name])
            await some_turns()
            one.cancel()
            await some_turns()
        disk.go_on()
        await asyncio.gather(*ask(engine, ["c-1"]))

    run(test)
    assert n_written(engine) == 1


def test_a_time_limit_on_a_disk_that_stalls_is_kept_and_the_loop_goes_on(engine: Engine) -> None:
    async def limited(name: str) -> Any:
        async with asyncio.timeout(0.05):
            return await engine.decide_soon(asked(name))

    async def test() -> None:
        disk = Disk(engine)
        await disk.stall()
        for name in NAMES[:3]:
            with pytest.raises(TimeoutError):
                await limited(name)
        disk.go_on()
        await engine.decide_soon(asked("c-9"))

    run(test)
    assert n_written(engine) == 1


@pytest.mark.parametrize("where", ["settled", "among", "asked_for"])
def test_a_group_that_fails_is_told_so_and_the_next_is_settled(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    owner = {"settled": engine.deciding, "among": engine.current, "asked_for": engine.people}[where]

    def fail(*_: object, **__: object) -> None:
        raise ArithmeticError

    async def test() -> None:
        disk, told = await being_written(engine, ["c-0"])
        failing = ask(engine, ["c-1", "c-2"])
        await some_turns()
        with monkeypatch.context() as broken:
            broken.setattr(owner, where, fail)
            disk.go_on()
            answers = await asyncio.gather(*failing, return_exceptions=True)
            assert {type(one) for one in answers} == {ArithmeticError}
        await asyncio.gather(*told, *ask(engine, ["c-3"]))

    run(test)
    assert n_written(engine) == 2


def test_a_transaction_that_fails_is_told_and_the_next_group_is_written(engine: Engine) -> None:
    """A trigger refuses one customer; then the database is locked by another program for longer than a group waits."""

    async def refused() -> list[Any]:
        return list(await asyncio.gather(*ask(engine, ["c-0", "c-1", "c-2"]), return_exceptions=True))

    key = engine.key_of("c-1")
    assert key is not None
    when = f"CREATE TRIGGER no BEFORE INSERT ON decisions WHEN new.customer_key = {key}"
    trigger = f"{when} BEGIN SELECT raise(ABORT, 'no'); END"
    engine.ledger.write(lambda connection: connection.execute(trigger))
    answers = run(refused)
    assert [isinstance(one, Exception) for one in answers] == [False, True, False]
    engine.ledger.write(lambda connection: connection.execute("DROP TRIGGER no"))
    assert all(isinstance(one, dict) for one in run(refused))
    other = sqlite3.connect(engine.workspace.database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert all(isinstance(one, Exception) for one in run(refused))
    other.execute("ROLLBACK")
    other.close()
    engine.ledger.write(lambda _: None)
    assert all(isinstance(one, dict) for one in run(refused))


class Fatal(BaseException):
    """Ends the committer, as nothing that we know of does."""


def test_where_the_committer_dies_nobody_waits_for_ever(engine: Engine) -> None:
    def die(_: sqlite3.Connection) -> None:
        raise Fatal

    async def test() -> None:
        disk = Disk(engine)
        await disk.stall()
        engine.ledger.write_later(die)
        told = ask(engine, ["c-0", "c-1"])
        await some_turns()
        told += ask(engine, ["c-2"])
        await some_turns()
        disk.go_on()
        answers = await asyncio.gather(*told, return_exceptions=True)
        assert {type(one) for one in answers} == {LedgerClosedError}
        with pytest.raises(LedgerClosedError):
            await engine.decide_soon(asked("c-3"))

    run(test)


def test_closing_writes_who_is_settled_and_who_waits(tmp_path: Path) -> None:
    with an_engine(tmp_path) as engine:

        async def test() -> list[Any]:
            disk, told = await being_written(engine, ["c-0"])
            told += ask(engine, NAMES)
            await some_turns()
            threading.Timer(0.1, disk.go_on).start()
            engine.close()
            return list(await asyncio.gather(*told))

        assert len(run(test)) == len(NAMES) + 1
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            run(lambda: engine.decide_soon(asked("c-1")))


def test_a_loop_that_ends_in_the_middle_keeps_nothing_from_the_next(engine: Engine) -> None:
    disk = Disk(engine)

    async def left() -> None:
        await disk.stall()
        ask(engine, ["c-0"])
        await some_turns()
        ask(engine, ["c-1"])
        await some_turns()

    run(left)
    disk.go_on()
    run(lambda: asyncio.gather(*ask(engine, NAMES)))
    assert n_written(engine) == len(NAMES)
    assert engine._together._rounds._rounds == {}


def test_a_join_while_somebody_waits_for_their_turn_is_decided_on(engine: Engine) -> None:
    async def test() -> Any:
        disk = Disk(engine)
        await disk.stall()
        engine.ledger.write_later(
            lambda connection: IdentityTable(connection).alias(previous_id="c-1", user_id="c-2", at_us=1)
        )
        first = ask(engine, ["c-0"])
        await some_turns()
        second = ask(engine, ["c-1"])
        await some_turns()
        disk.go_on()
        await asyncio.gather(*first)
        return (await second[0])["decision_id"]

    decision_id = run(test)
    (key,) = engine.reader.execute(
        "SELECT customer_key FROM decisions WHERE decision_id = ?", (decision_id,)
    ).fetchone()
    assert key == engine.key_of("c-2")


def test_the_same_question_in_two_groups_has_one_answer(engine: Engine) -> None:
    async def test() -> list[Any]:
        disk, told = await being_written(engine, ["c-0"], decision_id="mine")
        told += ask(engine, ["c-0"], decision_id="mine")
        await some_turns()
        disk.go_on()
        return list(await asyncio.gather(*told))

    first, second = run(test)
    assert first == second
    assert n_written(engine) == 1


Step = tuple[str, int]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(("ask", "dry", "go away", "turn", "stall", "go on")), st.integers(0, 19))))
def test_whatever_happens_everybody_is_told_what_is_on_disk(engine: Engine, steps: list[Step]) -> None:
    async def test() -> list[Any]:
        real: list[asyncio.Task[Any]] = []
        dry: list[asyncio.Task[Any]] = []
        disks: list[Disk] = []
        for what, number in steps:
            if what == "ask":
                real += ask(engine, [NAMES[number]])
            elif what == "dry":
                dry += ask(engine, [NAMES[number]], dry_run=True)
            elif what == "go away" and (told := real + dry):
                told[number % len(told)].cancel()
            elif what == "stall" and not disks:
                disks.append(Disk(engine))
                await disks[0].stall()
            elif what == "go on" and disks:
                disks.pop().go_on()
            else:
                await asyncio.sleep(0)
        for disk in disks:
            disk.go_on()
        answers = await asyncio.gather(*real, return_exceptions=True)
        for one in [*answers, *await asyncio.gather(*dry, return_exceptions=True)]:
            assert isinstance(one, dict | asyncio.CancelledError)
        return [*answers, await engine.decide_soon(asked("c-0"))]

    ids = {one["decision_id"] for one in run(test) if isinstance(one, dict)}
    assert ids <= {decision_id for (decision_id,) in engine.reader.execute("SELECT decision_id FROM decisions")}
    assert engine._together._rounds._rounds == {}
