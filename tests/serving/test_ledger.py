from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from experiments.records import HOLDOUT, PERSONALISED, read_decisions, read_outcomes
from serving.decide import Decision, Scores, settle
from serving.handing_over import GATHERED_AT_MOST
from serving.ledger import Ledger, LedgerClosedError
from serving.ledger_rows import fold_mature, read_counts, write_decision, write_decisions
from serving.outcome_rows import OutcomeRow, Recorded, UnknownDecisions, write_outcomes
from tests.serving.tiny_offers import an_offer, prepared

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "rapport.db")
    yield ledger
    ledger.close()


def a_decision(
    decision_id: str = "d-1", *, customer_key: int = 1, at: datetime = NOON, arm: str = PERSONALISED
) -> Decision:
    tip = an_offer("tip", value=1.0)
    scores = Scores(stage="awareness", segment="s1")
    return settle(prepared(decision_id, tip, customer_key=customer_key, at=at, arm=arm, scores=scores, answers=(tip,)))


def an_outcome(outcome: str = "converted", *, at: datetime = NOON, **changes: object) -> OutcomeRow:
    values = {
        "outcome_id": "o-1",
        "decision_id": "d-1",
        "customer_key": None,
        "outcome": outcome,
        "goal": None,
        "value": None,
        "occurred_at": at,
        "received_at": at,
    }
    return OutcomeRow(**(values | changes))  # type: ignore[arg-type]


def report(ledger: Ledger, *rows: OutcomeRow) -> list[Recorded]:
    return ledger.write(
        partial(write_outcomes, rows=rows, attribution=WEEK, goals_of={"tip": "order"}, default_goal="order")
    )


def counts(ledger: Ledger, *, at: datetime) -> list[tuple[str, float, int]]:
    found = ledger.write(partial(read_counts, at=at, window=WEEK))
    return [(count.action_id, count.n_decided, count.n_converted) for count in found]


def test_a_decision_is_on_disk_when_writing_it_returns(ledger: Ledger, tmp_path: Path) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    (row,) = read_decisions(tmp_path / "rapport.db").to_dict("records")
    assert (row["decision_id"], row["action_id"], row["action_probability"]) == ("d-1", "tip", 1.0)
    assert (row["segment"], row["stage"], row["locale_used"]) == ("s1", "awareness", "en")
    assert row["decided_at"] == NOON


def test_a_closed_ledger_refuses_work_instead_of_waiting_for_ever(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "rapport.db")
    ledger.close()
    assert not ledger.is_alive
    with pytest.raises(LedgerClosedError, match="takes no work"):
        ledger.write(lambda _: None)


class Fatal(BaseException):
    """Ends the committer, as nothing that we know of does."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_when_the_committer_dies_whoever_waits_is_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "rapport.db")

    def die(_: sqlite3.Connection) -> None:
        raise Fatal

    with pytest.raises(LedgerClosedError):
        ledger.write(die)
    with pytest.raises(LedgerClosedError):
        ledger.write(lambda _: None)
    ledger.close()


def test_a_caller_whose_event_loop_is_gone_does_not_end_the_committer(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "rapport.db")
    started, release = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        started.set()
        release.wait()

    async def leave() -> None:
        ledger.write_soon(hold)
        await asyncio.to_thread(started.wait)

    asyncio.run(leave())
    release.set()
    assert ledger.write(lambda _: "written") == "written"
    ledger.close()


class CountsItsGroup:
    """Says how many pieces of work were done together with it."""

    def __call__(self, connection: sqlite3.Connection) -> int:
        return 1

    @staticmethod
    def together(connection: sqlite3.Connection, works: Sequence[CountsItsGroup]) -> list[int]:
        return [len(works)] * len(works)


@pytest.mark.parametrize("n", [2, GATHERED_AT_MOST, GATHERED_AT_MOST + 3])
def test_what_one_turn_of_an_event_loop_brings_is_one_transaction(ledger: Ledger, n: int) -> None:
    async def all_at_once() -> list[int]:
        return await asyncio.gather(*(ledger.write_soon(CountsItsGroup()) for _ in range(n)))

    first = min(n, GATHERED_AT_MOST)
    assert min(asyncio.run(all_at_once())[:first]) >= first


def test_what_a_turn_brought_is_committed_though_the_ledger_is_closed_before_it_ends(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "rapport.db")

    async def closed_in_the_same_turn() -> list[int]:
        waiting = [ledger.write_soon(CountsItsGroup()) for _ in range(3)]
        ledger.close()
        with pytest.raises(LedgerClosedError):
            await ledger.write_soon(CountsItsGroup())
        return await asyncio.gather(*waiting)

    assert asyncio.run(closed_in_the_same_turn()) == [3, 3, 3]


class Foretells:
    """Notes what is said to it before it is on disk; its transaction fails at its end where it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.heard = list[object]()
        self.foretold = self.heard.append
        self._fails = fails

    def __call__(self, connection: sqlite3.Connection) -> int:
        if self._fails:
            connection.execute("CREATE TABLE one (id INTEGER PRIMARY KEY)")
            connection.execute("CREATE TABLE other (id REFERENCES one (id) DEFERRABLE INITIALLY DEFERRED)")
            connection.execute("INSERT INTO other VALUES (1)")
        return 1


def test_who_waits_alone_hears_what_was_written_before_it_is_on_disk(ledger: Ledger) -> None:
    alone, failing = Foretells(), Foretells(fails=True)

    async def ask() -> list[object]:
        await ledger.write_soon(alone)
        heard = list(alone.heard)
        with pytest.raises(sqlite3.IntegrityError):
            await ledger.write_soon(failing)
        return heard

    assert asyncio.run(ask()) == [1]
    assert failing.heard == [1]  # so it was said before the end of the transaction, which then failed
    assert ledger.write(alone) == 1  # nobody waits in a loop
    assert alone.heard == [1]


def test_many_threads_are_all_written_once(ledger: Ledger, tmp_path: Path) -> None:
    rows = [a_decision(f"d-{n}") for n in range(60)]
    threads = [threading.Thread(target=ledger.write, args=(partial(write_decision, decision=row),)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read_decisions(tmp_path / "rapport.db")["decision_id"]) == sorted(f"d-{n}" for n in range(60))


def test_one_bad_piece_of_work_does_not_take_its_group_with_it(ledger: Ledger, tmp_path: Path) -> None:
    started, release = threading.Event(), threading.Event()

    def hold(_: sqlite3.Connection) -> None:
        started.set()
        release.wait()

    def fail(_: sqlite3.Connection) -> None:
        raise LookupError("not here")

    failures: list[str] = []

    def failing() -> None:
        try:
            ledger.write(fail)
        except LookupError as fault:
            failures.append(str(fault))

    work = partial(write_decision, decision=a_decision())
    threads = [threading.Thread(target=ledger.write, args=(hold,)), threading.Thread(target=failing)]
    threads.append(threading.Thread(target=ledger.write, args=(work,)))
    threads[0].start()
    started.wait()
    for thread in threads[1:]:
        thread.start()
    release.set()
    for thread in threads:
        thread.join()
    assert failures == ["not here"]
    assert len(read_decisions(tmp_path / "rapport.db")) == 1


def test_the_same_decision_id_is_written_once(ledger: Ledger, tmp_path: Path) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    with pytest.raises(sqlite3.IntegrityError):
        ledger.write(partial(write_decision, decision=a_decision()))
    assert len(read_decisions(tmp_path / "rapport.db")) == 1
    assert counts(ledger, at=NOON + 2 * WEEK) == [("tip", 1.0, 0)]


def test_an_outcome_is_written_once_however_often_it_is_sent(ledger: Ledger, tmp_path: Path) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    assert [one.status for one in report(ledger, an_outcome())] == ["recorded"]
    assert [one.status for one in report(ledger, an_outcome())] == ["duplicate"]
    assert len(read_outcomes(tmp_path / "rapport.db")) == 1
    assert counts(ledger, at=NOON + 2 * WEEK) == [("tip", 1.0, 1)]


def test_a_second_conversion_after_one_decision_is_kept_but_is_one_success(ledger: Ledger, tmp_path: Path) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    report(ledger, an_outcome(), an_outcome(outcome_id="o-2"))
    assert len(read_outcomes(tmp_path / "rapport.db")) == 2
    assert counts(ledger, at=NOON + 2 * WEEK) == [("tip", 1.0, 1)]


def test_a_conversion_to_another_goal_is_no_success_of_the_action(ledger: Ledger) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    report(ledger, an_outcome(goal="join"))
    assert counts(ledger, at=NOON + 2 * WEEK) == [("tip", 1.0, 0)]


@pytest.mark.parametrize("arm", [PERSONALISED, HOLDOUT])
def test_a_conversion_that_names_no_goal_reached_the_same_one_in_every_arm(
    ledger: Ledger, tmp_path: Path, arm: str
) -> None:
    ledger.write(partial(write_decision, decision=a_decision(arm=arm)))
    work = partial(
        write_outcomes, rows=[an_outcome()], attribution=WEEK, goals_of={"tip": "join"}, default_goal="order"
    )
    ledger.write(work)
    assert list(read_outcomes(tmp_path / "rapport.db")["goal"]) == ["order"]
    assert sum(n_converted for _, _, n_converted in counts(ledger, at=NOON + 2 * WEEK)) == 0


@pytest.mark.parametrize("late", [WEEK + timedelta(seconds=1), timedelta(minutes=-6)])
def test_a_conversion_outside_the_window_is_kept_and_moves_no_count(
    ledger: Ledger, tmp_path: Path, late: timedelta
) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    report(ledger, an_outcome(at=NOON + late))
    assert len(read_outcomes(tmp_path / "rapport.db")) == 1
    assert counts(ledger, at=NOON + 2 * WEEK) == [("tip", 1.0, 0)]
    report(ledger, an_outcome(outcome_id="o-2", at=NOON + WEEK))
    assert counts(ledger, at=NOON + 2 * WEEK) == [("tip", 1.0, 1)]


def test_a_message_that_failed_was_never_an_attempt(ledger: Ledger) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    report(ledger, an_outcome("failed"))
    assert counts(ledger, at=NOON + 2 * WEEK) == [("tip", 0.0, 0)]


def test_a_held_out_customer_moves_no_counter(ledger: Ledger) -> None:
    ledger.write(partial(write_decision, decision=a_decision(arm=HOLDOUT)))
    report(ledger, an_outcome())
    assert counts(ledger, at=NOON + 2 * WEEK) == []


def test_an_outcome_that_names_only_the_customer_joins_their_newest_decision_in_the_window(ledger: Ledger) -> None:
    for name, days in (("d-old", 10), ("d-1", 5), ("d-2", 2)):
        decision = a_decision(name, at=NOON - timedelta(days=days))
        ledger.write(partial(write_decision, decision=decision))
    (joined,) = report(ledger, an_outcome(decision_id=None, customer_key=1))
    assert (joined.decision_id, joined.joined_by) == ("d-2", "attribution_window")
    (alone,) = report(ledger, an_outcome(outcome_id="o-2", decision_id=None, customer_key=1, at=NOON + 3 * WEEK))
    assert (alone.decision_id, alone.joined_by) == (None, "none")


def test_an_outcome_before_every_decision_joins_none(ledger: Ledger) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    (alone,) = report(ledger, an_outcome(decision_id=None, customer_key=1, at=NOON - timedelta(hours=1)))
    assert alone.joined_by == "none"


def test_one_unknown_decision_keeps_the_whole_report_out(ledger: Ledger, tmp_path: Path) -> None:
    ledger.write(partial(write_decision, decision=a_decision()))
    with pytest.raises(UnknownDecisions) as unknown:
        report(ledger, an_outcome(), an_outcome(outcome_id="o-2", decision_id="d-9"))
    assert unknown.value.positions == (1,)
    assert read_outcomes(tmp_path / "rapport.db").empty


def test_a_decision_counts_as_far_as_its_attribution_window_has_passed(ledger: Ledger) -> None:
    rows = [a_decision(f"d-{n}") for n in range(10)]  # at noon: the middle of its day
    ledger.write(partial(write_decisions, decisions=rows))
    assert counts(ledger, at=NOON) == [("tip", 0.0, 0)]
    assert counts(ledger, at=NOON + WEEK / 2) == [("tip", 10 * 0.5, 0)]
    assert counts(ledger, at=NOON + WEEK) == [("tip", 10.0, 0)]


def test_folding_mature_days_together_changes_no_count(ledger: Ledger) -> None:
    rows = [a_decision(f"d-{n}", at=NOON + timedelta(days=n)) for n in range(12)]
    ledger.write(partial(write_decisions, decisions=rows))
    report(ledger, an_outcome(at=NOON + timedelta(days=2)))
    today = NOON + timedelta(days=12)
    ((_, before, _),) = counts(ledger, at=today)
    ledger.write(partial(fold_mature, at=today, window=WEEK))
    ((_, after, n_converted),) = counts(ledger, at=today)
    assert after == pytest.approx(before)
    assert n_converted == 1
    n_rows = ledger.write(lambda connection: connection.execute("SELECT count(*) FROM action_statistics").fetchone()[0])
    assert n_rows == 1 + (12 - 4)


def test_every_action_of_a_list_is_counted_and_what_follows_counts_for_its_slot(ledger: Ledger) -> None:
    offers = [an_offer(name, value=value) for name, value in (("tip", 3.0), ("card", 2.0), ("gift", 1.0))]
    scores = Scores(stage="awareness", segment="s1")
    decision = settle(prepared("d-1", *offers, draws=(0.5,) * 3, scores=scores))
    ledger.write(partial(write_decision, decision=decision))
    report(ledger, an_outcome(slot=1))
    assert sorted(counts(ledger, at=NOON + 2 * WEEK)) == [("card", 1.0, 1), ("gift", 1.0, 0), ("tip", 1.0, 0)]


def test_batch_and_loop_leave_the_same_ledger(tmp_path: Path) -> None:
    rows = [a_decision(f"d-{n}", customer_key=n) for n in range(5)]
    loop, batch = Ledger(tmp_path / "loop.db"), Ledger(tmp_path / "batch.db")
    for row in rows:
        loop.write(partial(write_decision, decision=row))
    batch.write(partial(write_decisions, decisions=rows))
    later = NOON + 2 * WEEK
    assert counts(loop, at=later) == counts(batch, at=later)
    assert read_decisions(tmp_path / "loop.db").equals(read_decisions(tmp_path / "batch.db"))
    loop.close()
    batch.close()
