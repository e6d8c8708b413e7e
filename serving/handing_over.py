"""Work that waits for the ledger's committer, and how its result comes back to whoever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

Work = Callable[[sqlite3.Connection], Any]
"""One piece of work inside a transaction. Where it has an attribute `together`, that does several of its kind at once:
`together(connection, works)` gives what calling each of them in turn would give."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One piece of work and whom to tell, from which event loop."""

    work: Work
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None


def tell(group: Sequence[Waiting], results: Sequence[Any]) -> None:
    """Hands every result over; those for an event loop together, since waking one is a system call."""
    for_loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for waiting, result in zip(group, results, strict=True):
        if waiting.loop is not None and isinstance(waiting.future, asyncio.Future):
            for_loops.setdefault(waiting.loop, []).append((waiting.future, result))
        else:
            _settle(waiting.future, result)
    for loop, settled in for_loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits there
            loop.call_soon_threadsafe(_settle_all, settled)


def _settle_all(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in settled:
        if not future.done():  # a caller who went away
            _settle(future, result)


def _settle(future: Future[Any] | asyncio.Future[Any], result: object) -> None:
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
