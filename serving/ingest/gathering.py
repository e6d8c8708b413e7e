"""Requests that arrive while the ledger is busy, written as one piece of work.

A piece of work costs some twenty statements however few events it holds, and at each of them Python's lock is let go
and waited for again, behind the thread that judges the next requests. So what waits is put together: the busier the
server, the fewer statements an event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

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

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
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
        while together := self._next():
            try:
                await self._write(together)
            except Exception as fault:
                if len(together) > 1 and not isinstance(fault, Unavailable):
                    for one in together:  # one bad request must not take the others with it
                        await self._write_alone(one)
                else:
                    _tell(together, fault)

    async def _write_alone(self, one: _Waiting) -> None:
        try:
            await self._write([one])
        except Exception as fault:
            _tell([one], fault)

    def _next(self) -> list[_Waiting]:
        """Those whose turn it is; whoever has gone away is not among them."""
        together: list[_Waiting] = []
        n_calls = 0
        for one in self._waiting:
            n_calls += len(one.taken) + len(one.letters)
            if together and n_calls > MOST_CALLS:
                break
            together.append(one)
        del self._waiting[: len(together)]
        live = [one for one in together if not one.written.done()]
        return live or (self._next() if self._waiting else [])

    async def _write(self, together: Sequence[_Waiting]) -> None:
        taken = [call for one in together for call in one.taken]
        letters = [letter for one in together for letter in one.letters]
        written = await self._ledger.write_soon(partial(write_calls, taken=taken, letters=letters))
        start = 0
        for one in together:
            end = start + len(one.taken)
            if not one.written.done():
                one.written.set_result(Written(written.log_seqs[start:end], written.customer_keys[start:end]))
            start = end


def _tell(waiting: Sequence[_Waiting], fault: Exception) -> None:
    for one in waiting:
        if not one.written.done():
            one.written.set_exception(fault)
