"""Requests that arrive while the ledger is busy, written as one piece of work.

A piece of work costs some twenty statements however few events it holds, and at each of them Python's lock is let go
and waited for again, behind the thread that judges the next requests. So what waits is put together: the busier the
server, the fewer statements an event.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from serving.ingest.conversions import Conversions
from serving.ingest.judging import Letter, Taken
from serving.ingest.work import Written, write_calls
from serving.ledger import Ledger
from serving.unavailable import Unavailable

MOST_CALLS = 2_500  # of one piece of work, unless one request alone brings more


class _Waiting(NamedTuple):
    taken: Sequence[Taken]
    letters: Sequence[Letter]
    written: asyncio.Future[Written]


class Gathering:
    """What one event loop's requests wait to have written; each is told of its own calls."""

    def __init__(self, ledger: Ledger, conversions: Conversions) -> None:
        self._ledger, self._conversions = ledger, conversions
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, taken: Sequence[Taken], letters: Sequence[Letter]) -> Written:
        """What became of these calls, once they are on disk; cancelled before its turn, it is not written."""
        waiting = _Waiting(taken, letters, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_what_waits())
        return await waiting.written

    async def _write_what_waits(self) -> None:
        while self._waiting:
            together = self._next()
            try:
                await self._write(together)
            except asyncio.CancelledError:
                for one in (*together, *self._waiting):
                    one.written.cancel()
                raise
            except Exception as fault:
                if len(together) == 1 or isinstance(fault, Unavailable):
                    _tell(together, fault)
                    continue
                for one in together:  # one bad request must not take the others with it
                    await self._write_alone(one)

    async def _write_alone(self, one: _Waiting) -> None:
        try:
            await self._write([one])
        except Exception as fault:
            _tell([one], fault)

    def _next(self) -> list[_Waiting]:
        """Those whose turn it is, at least one."""
        n, n_calls = 0, 0
        for one in self._waiting:
            n_calls += len(one.taken) + len(one.letters)
            if n and n_calls > MOST_CALLS:
                break
            n += 1
        together, self._waiting = self._waiting[:n], self._waiting[n:]
        return together

    async def _write(self, together: Sequence[_Waiting]) -> None:
        work = partial(_write_together, together=together, conversions=self._conversions)
        for one, written in await self._ledger.write_soon(work):
            if not one.written.done():
                one.written.set_result(written)


def _write_together(
    connection: sqlite3.Connection, *, together: Sequence[_Waiting], conversions: Conversions
) -> list[tuple[_Waiting, Written]]:
    """The ledger's work: of those who are still there when their turn comes."""
    live = [one for one in together if not one.written.done()]
    taken = [call for one in live for call in one.taken]
    letters = [letter for one in live for letter in one.letters]
    written = write_calls(connection, taken=taken, letters=letters, conversions=conversions)
    told, start = [], 0
    for one in live:
        end = start + len(one.taken)
        told.append((one, Written(written.log_seqs[start:end], written.customer_keys[start:end])))
        start = end
    return told


def _tell(waiting: Sequence[_Waiting], fault: Exception) -> None:
    for one in waiting:
        if not one.written.done():
            one.written.set_exception(fault)
