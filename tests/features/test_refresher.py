"""Beside the decisions: rows with new events are made fresh together, those that somebody waits for first."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest

from features.online import OnlineFeatures, Recomputed
from features.packing import CustomerState, Missing
from features.refresher import MOST_AT_ONCE, NOT_RECOMPUTED, Refresher
from features.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")

BROKEN = 666


class Watched(OnlineFeatures):
    """Tells which people were recomputed together, can be held, and cannot make one person's row."""

    def watch(self) -> None:
        """Begins to watch."""
        self.batches: list[tuple[tuple[int, ...], ...]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_at_work = threading.Event()
        self.is_full = False

    def write(self, made: Recomputed) -> int:
        """As ever, unless the disk is full."""
        if self.is_full:
            raise OSError("No space left on device")
        return super().write(made)

    def recompute(self, people: Sequence[Sequence[int]], *, at: datetime | None = None) -> Recomputed:
        """As ever, watched."""
        self.batches.append(tuple(tuple(keys) for keys in people))
        self.is_at_work.set()
        self.may_go_on.wait()
        if any(BROKEN in keys for keys in people):
            raise RuntimeError("This row cannot be made.")
        return super().recompute(people, at=at)


@pytest.fixture(scope="module")
def shop(a_workspace: Callable[..., Workspace], an_event: Callable[..., Any]) -> Iterator[Watched]:
    opened = Watched.open(a_workspace([an_event(key, "Page Viewed", days_ago=3) for key in range(1, 5)]))
    assert isinstance(opened, Watched)
    yield opened
    opened.close()


@pytest.fixture
def online(shop: Watched) -> Watched:
    shop.watch()
    return shop


@pytest.fixture
def refresher(online: Watched, noon: datetime) -> Iterator[Refresher]:
    opened = Refresher(online, clock=lambda: noon)
    yield opened
    online.may_go_on.set()
    opened.close()


def looks_around(online: OnlineFeatures, an_event: Callable[..., Any], *keys: int) -> dict[int, int | None]:
    seqs = online.log.append([an_event(key, "Page Viewed", days_ago=0.5) for key in keys])
    return dict(zip(keys, seqs, strict=True))


def covers(online: OnlineFeatures, key: int) -> int:
    state = online.read(key)
    return state.log_seq if isinstance(state, CustomerState) else 0


def test_rows_of_the_touched_are_fresh_a_moment_later_and_made_together(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any]
) -> None:
    seqs = looks_around(online, an_event, 1, 2, 3)
    refresher.touched([1, 2])
    refresher.touched([3, 1])
    refresher.settle()
    assert online.batches == [((1,), (2,), (3,))]
    for key, seq in seqs.items():
        assert seq is not None
        assert covers(online, key) >= seq
        assert online.rows.read([key]) != [None]


def test_whoever_is_not_behind_is_left_alone(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any], noon: datetime
) -> None:
    looks_around(online, an_event, 1)
    online.read_current(1, noon)  # a decision was sooner
    online.batches.clear()
    refresher.touched([1])
    refresher.settle()
    assert online.batches == []


def test_decisions_that_wait_are_served_before_the_touched_and_share_their_work(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any]
) -> None:
    looks_around(online, an_event, 1, 2, 3, 4)
    online.may_go_on.clear()
    first = refresher.current((1,))
    assert online.is_at_work.wait(10)
    refresher.touched([4])
    waiting = [refresher.current(keys) for keys in ((2,), (3,), (2,))]
    online.may_go_on.set()
    states = [future.result(10) for future in (first, *waiting)]
    assert all(isinstance(state, CustomerState) for state in states)
    assert states[1] is states[3]
    refresher.settle()
    assert online.batches == [((1,),), ((2,), (3,)), ((4,),)]


def test_an_event_loop_goes_on_while_a_row_is_made(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any]
) -> None:
    looks_around(online, an_event, 2)
    online.may_go_on.clear()

    async def decide() -> object:
        row = asyncio.ensure_future(refresher.current_soon((2,)))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert not row.done()
        online.may_go_on.set()
        return await row

    assert isinstance(asyncio.run(decide()), CustomerState)


def test_a_row_that_cannot_be_made_takes_nobody_elses_with_it(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    looks_around(online, an_event, 1, BROKEN)
    looks_around(online, an_event, 3)
    online.may_go_on.clear()
    refresher.current((3,))
    assert online.is_at_work.wait(10)
    broken, whole = refresher.current((BROKEN,)), refresher.current((1,))
    online.may_go_on.set()
    assert broken.result(10) == Missing(NOT_RECOMPUTED)
    assert isinstance(whole.result(10), CustomerState)
    assert str(BROKEN) in caplog.text


def test_a_store_that_takes_no_write_is_no_reason_not_to_answer(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    (seq,) = looks_around(online, an_event, 4).values()
    online.is_full = True
    state = refresher.current((4,)).result(10)
    refresher.settle()
    assert isinstance(state, CustomerState)
    assert seq is not None
    assert state.log_seq >= seq
    assert "online rows" in caplog.text


def test_closing_ends_after_what_is_waited_for_and_forgets_the_touched(
    online: Watched, an_event: Callable[..., Any], noon: datetime
) -> None:
    looks_around(online, an_event, 1, 2)
    refresher = Refresher(online, clock=lambda: noon)
    online.may_go_on.clear()
    row = refresher.current((1,))
    assert online.is_at_work.wait(10)
    refresher.touched([2])
    closing = threading.Thread(target=refresher.close)
    closing.start()
    time.sleep(0.05)
    online.may_go_on.set()
    closing.join(10)
    assert isinstance(row.result(0), CustomerState)
    assert online.batches == [((1,),)]
    assert refresher.current((2,)).result(0) == Missing(NOT_RECOMPUTED)


def test_a_decision_for_whom_a_row_is_being_made_waits_for_it_and_makes_none(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any]
) -> None:
    looks_around(online, an_event, 3)
    online.may_go_on.clear()
    refresher.touched([3])
    assert online.is_at_work.wait(10)
    row = refresher.current((3,))
    online.may_go_on.set()
    assert isinstance(row.result(10), CustomerState)
    assert online.batches == [((3,),)]


def test_whoever_goes_away_is_not_waited_for(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any]
) -> None:
    looks_around(online, an_event, 1, 2)
    online.may_go_on.clear()
    refresher.current((1,))
    assert online.is_at_work.wait(10)
    gone, stays = refresher.current((2,)), refresher.current((2,))
    gone.cancel()
    online.may_go_on.set()
    assert isinstance(stays.result(10), CustomerState)
    assert gone.cancelled()


def test_many_who_wait_are_served_in_batches(
    online: Watched, refresher: Refresher, an_event: Callable[..., Any]
) -> None:
    many = range(10_000, 10_000 + MOST_AT_ONCE + 5)
    looks_around(online, an_event, 1, *many)
    online.may_go_on.clear()
    futures = [refresher.current((1,))]
    assert online.is_at_work.wait(10)
    futures += [refresher.current((key,)) for key in many]
    online.may_go_on.set()
    assert all(isinstance(future.result(20), CustomerState) for future in futures)
    assert [len(batch) for batch in online.batches] == [1, MOST_AT_ONCE, 5]


def test_a_stranger_without_events_is_told_so_without_work(online: Watched, refresher: Refresher) -> None:
    assert refresher.current((999_999,)).result(10) == Missing("unknown_customer")
    assert online.batches == []
