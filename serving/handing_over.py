"""Work on its way to the ledger's committer, and how its result comes back to whoever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Work = Callable[[sqlite3.Connection], Any]
"""One piece of work inside a transaction. Where it has an attribute `together`, that does several of its kind at once:
`together(connection, works)` gives what calling each of them in turn would give. Where it has one `foretold`, that is
called with what it gave, in the event loop of who waits, while it goes to the disk."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """One piece of work and whom to tell, from which event loop."""

    work: Work
    future: Future[Any] | asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop | None


GATHERED_AT_MOST = 32  # a larger group saves hardly more a piece, and its first piece has waited for the others

Piece = TypeVar("Piece")


class Turns(Generic[Piece]):
    """What one turn of an event loop brings, handed over together.

    The clients who were answered together ask again together. Were the first of their decisions committed while the
    second is made, each would be a transaction of its own, whose cost does not depend on how much is in it.

    Args:
        take: takes what was gathered.
    """

    def __init__(self, take: Callable[[list[Piece]], None]) -> None:
        self._take = take
        self._gathered: dict[asyncio.AbstractEventLoop, list[Piece]] = {}  # each touched by its own thread only

    def add(self, piece: Piece, loop: asyncio.AbstractEventLoop) -> None:
        """One more, in the thread of its loop."""
        gathered = self._gathered.setdefault(loop, [])
        gathered.append(piece)
        if len(gathered) >= GATHERED_AT_MOST:
            self._hand_over(loop)
        elif len(gathered) == 1:
            loop.call_soon(self._hand_over, loop)

    def hand_over_all(self) -> None:
        """What was gathered so far, of every loop; nobody may add to it meanwhile."""
        for loop in list(self._gathered):
            self._hand_over(loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        if gathered := self._gathered.pop(loop, None):
            self._take(gathered)


def foretell(waiting: Waiting, result: object) -> None:
    """Says what a piece of work gave before it is on disk, to those that can use the time; nobody is answered by it."""
    foretold = getattr(waiting.work, "foretold", None)
    if foretold is None or waiting.loop is None:
        return
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        waiting.loop.call_soon_threadsafe(foretold, result)


def tell(group: Sequence[Waiting], results: Sequence[Any]) -> None:
    """Hands every result over; those for an event loop together, since waking one is a system call."""
    for_loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for waiting, result in zip(group, results, strict=True):
        if waiting.loop is not None and isinstance(waiting.future, asyncio.Future):
            for_loops.setdefault(waiting.loop, []).append((waiting.future, result))
        else:
            resolve(waiting.future, result)
    for loop, settled in for_loops.items():
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits there
            loop.call_soon_threadsafe(_settle_all, settled)


def _settle_all(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, result in settled:
        if not future.done():  # a caller who went away
            resolve(future, result)


def resolve(future: Future[Any] | asyncio.Future[Any], result: object) -> None:
    """Gives a future its result, or the fault that it is."""
    if isinstance(result, StopIteration):  # no future takes it, and those behind it would wait for ever
        result = RuntimeError(f"A decision raised {result!r}.")
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
