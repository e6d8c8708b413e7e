"""An engine whose disk stalls for as long as a test says, and who asks it meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.brand import Placement
from features.identity import IdentityTable
from features.workspace import Workspace
from serving.engine import Engine
from serving.handing_over import GATHERED_AT_MOST
from serving.schemas import DecisionRequest
from tests.serving.tiny_shop import a_shop
from tests.serving.tiny_world import NOON, TIP, an_action

HERE = {"placements": ("reply",), "channels": ("web",)}
NAMES = tuple(f"c-{n}" for n in range(GATHERED_AT_MOST + 4))
LONG = 20.0  # seconds after which a test says that somebody waits for ever


def a_shop_in(folder: Path) -> Workspace:
    return a_shop(
        folder,
        TIP.model_copy(update=HERE),
        an_action("gift", value=90.0, expected_rate=0.5, **HERE),
        placements={"reply": Placement(initiated_by="customer", channels=("web",), baseline="tip", fallback="tip")},
    )


@contextmanager
def an_engine(folder: Path) -> Iterator[Engine]:
    """Everybody is known: who is not waits for their key first."""
    with Engine(a_shop_in(folder), clock=lambda: NOON, draw=lambda: 0.5) as opened:
        opened.ledger.write(lambda connection: IdentityTable(connection).keys_for(NAMES))
        yield opened


def asked(name: str, **changes: Any) -> DecisionRequest:
    return DecisionRequest(customer_id=name, placement="reply", channel="web", **changes)


class Disk:
    """Holds the committer in a transaction of its own for as long as it is told."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._stalled, self._go_on = engine, threading.Event(), threading.Event()

    async def stall(self) -> None:
        def hold(_: sqlite3.Connection) -> None:
            self._stalled.set()
            self._go_on.wait(LONG)

        self._engine.ledger.write_later(hold)
        await asyncio.to_thread(self._stalled.wait)

    def go_on(self) -> None:
        self._go_on.set()


def run(test: Callable[[], Any]) -> Any:
    async def within() -> Any:
        async with asyncio.timeout(LONG):
            return await test()

    return asyncio.run(within())


def ask(engine: Engine, names: Sequence[str], **changes: Any) -> list[asyncio.Task[Any]]:
    return [asyncio.ensure_future(engine.decide_soon(asked(name, **changes))) for name in names]


async def some_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def being_written(engine: Engine, names: Sequence[str], **changes: Any) -> tuple[Disk, list[asyncio.Task[Any]]]:
    """A disk that stalls, and a group of decisions that are settled and wait for it."""
    disk = Disk(engine)
    await disk.stall()
    told = ask(engine, names, **changes)
    await some_turns()
    return disk, told
