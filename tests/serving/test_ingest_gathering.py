"""Requests that are written together: each hears of its own calls, and none takes the others with it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.database import connect
from features.event_log import EventLog
from features.workspace import Workspace
from serving.ingest.conversions import Conversions
from serving.ingest.gathering import Gathering
from serving.ingest.judging import Taken
from serving.ingest.verdicts import Verdict
from serving.ledger import Ledger

BRAND_FOLDER = Path(__file__).resolve().parents[2] / "features" / "starter"
BRAND = load_brand(Workspace(BRAND_FOLDER))
CONVERSIONS = Conversions(BRAND, load_catalogue(Workspace(BRAND_FOLDER), BRAND))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    one = Ledger(tmp_path / "state" / "rapport.db")
    yield one
    one.close()


def a_call(message_id: str, *, user_id: str | None = "ann") -> Taken:
    return Taken(
        verdict=Verdict(message_id, "accepted"),
        message_id=message_id,
        user_id=user_id,
        anonymous_id=None,
        previous_id=None,
        occurred_us=1,
        arrived_us=2,
        payload='{"event": "Page Viewed"}',
        texts=(),
    )


def held_up(ledger: Ledger) -> threading.Event:
    """Keeps the ledger's writer at something else until it is set."""
    go_on, is_at_it = threading.Event(), threading.Event()

    def wait(_: sqlite3.Connection) -> None:
        is_at_it.set()
        go_on.wait(10)

    ledger.write_later(wait)
    is_at_it.wait(10)
    return go_on


def events_in(ledger: Ledger) -> list[str]:
    return ledger.write(lambda connection: EventLog(connection).since(0)["event_id"].to_pylist())


def test_each_request_hears_of_its_own_calls(ledger: Ledger) -> None:
    async def play() -> list[list[int | None]]:
        gathering, go_on = Gathering(ledger, CONVERSIONS), held_up(ledger)
        requests = [[a_call("a")], [a_call("b"), a_call("c")], [a_call("a"), a_call("d")]]
        written = [asyncio.create_task(gathering.write(calls, [])) for calls in requests]
        await asyncio.sleep(0.05)
        go_on.set()
        return [one.log_seqs for one in await asyncio.gather(*written)]

    assert asyncio.run(play()) == [[1], [2, 3], [None, 4]]
    assert events_in(ledger) == ["a", "b", "c", "d"]


def test_whoever_has_gone_away_before_their_turn_is_not_written(ledger: Ledger) -> None:
    async def play() -> None:
        gathering, go_on = Gathering(ledger, CONVERSIONS), held_up(ledger)
        stays, goes = (asyncio.create_task(gathering.write([a_call(name)], [])) for name in ("stays", "goes"))
        await asyncio.sleep(0.05)
        goes.cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        await stays

    asyncio.run(play())
    assert events_in(ledger) == ["stays"]


def test_one_request_that_cannot_be_written_does_not_take_the_others_with_it(ledger: Ledger) -> None:
    async def play() -> list[object]:
        gathering, go_on = Gathering(ledger, CONVERSIONS), held_up(ledger)
        first = asyncio.create_task(gathering.write([a_call("first")], []))
        await asyncio.sleep(0.05)  # the next two wait together
        rest = [
            asyncio.create_task(gathering.write([one], [])) for one in (a_call("good"), a_call("bad", user_id=None))
        ]
        await asyncio.sleep(0.05)
        go_on.set()
        return list(await asyncio.gather(first, *rest, return_exceptions=True))

    first, good, bad = asyncio.run(play())
    assert isinstance(bad, ValueError)
    assert not isinstance(first, BaseException)
    assert not isinstance(good, BaseException)
    assert events_in(ledger) == ["first", "good"]


def test_the_databases_rows_are_those_that_were_told(ledger: Ledger, tmp_path: Path) -> None:
    async def play() -> list[int | None]:
        gathering = Gathering(ledger, CONVERSIONS)
        together = await asyncio.gather(*(gathering.write([a_call(f"m{n % 30}")], []) for n in range(60)))
        return [one.log_seqs[0] for one in together]

    told = asyncio.run(play())
    assert sorted(seq for seq in told if seq is not None) == list(range(1, 31))
    with closing(connect(tmp_path / "state" / "rapport.db")) as connection:
        assert EventLog(connection).newest() == 30
