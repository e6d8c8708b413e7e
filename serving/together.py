"""What is asked of an event loop while it waits for the disk, settled as one batch and written as one.

Reading a row and asking the models cost a batch of eight hardly more than two of one, and so does a commit. So the next
batch is settled when the one before is written: who comes meanwhile is in it. A dry run waits for no disk: it is
settled with those of its turn. Each request is settled as if it were alone: where the batch fails, so is each of it,
and only the one that is at fault is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from serving.committing import Commit, Committed
from serving.current import CurrentRows
from serving.deciding import Deciding, Inquiry, Settled
from serving.handing_over import Turns, Waiting, resolve
from serving.kept import Before
from serving.ledger import Ledger
from serving.people import Keys, People
from serving.retries import as_before
from serving.rounds import Rounds
from serving.unavailable import unavailability


@dataclass(slots=True)
class _Asked:
    """One request on its way to be settled, or written: then what was settled is noted for its answer."""

    inquiry: Inquiry
    keys: Keys
    future: asyncio.Future[Any]
    settled: Settled | None = None
    waits: bool = False


class Together:
    """Settles requests of event loops; of the thread that its readers belong to.

    Args:
        current: reads the customers' rows.
        deciding: settles.
        people: say whose keys they are now.
        ledger: writes.
        at: the instant that a batch is decided at.
    """

    def __init__(
        self,
        current: CurrentRows,
        deciding: Deciding,
        *,
        people: People,
        ledger: Ledger,
        at: Callable[[], datetime],
    ) -> None:
        self._current, self._deciding, self._people, self._ledger, self._at = current, deciding, people, ledger, at
        self._turns: Turns[_Asked] = Turns(self._settle)
        self._rounds: Rounds[_Asked] = Rounds(self._write)

    def settled(self, inquiry: Inquiry, keys: Keys) -> asyncio.Future[Settled | None]:
        """The request, ready to be settled for somebody who does not write it; None where the row is behind.

        Args:
            inquiry: one request.
            keys: of the person whom it is about.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Settled | None] = loop.create_future()
        self._turns.add(_Asked(inquiry, keys, future), loop)
        return future

    async def written(self, inquiry: Inquiry, keys: Keys) -> dict[str, Any] | None:
        """The answer, once it is on disk; None where the customer's row is behind their events: nothing is written.

        Cancelled before its transaction, it is not written.

        Args:
            inquiry: one request.
            keys: of the person whom it is about.
        """
        loop = asyncio.get_running_loop()
        one = _Asked(inquiry, keys, loop.create_future())
        one.waits = self._rounds.add(one, loop)
        written = await one.future
        return None if one.settled is None else told(one.settled, written)

    def close(self) -> None:
        """Hands over to the ledger what waits."""
        self._rounds.hand_over_all()

    def _write(self, group: list[_Asked]) -> None:
        """Settles a group and hands it over to the ledger, as one transaction."""
        for one in group:
            if one.waits:  # a join may have come in between: old keys are nobody's
                one.keys = self._people.asked_for(one.inquiry.request) or one.keys
        work: list[Waiting] = []
        for one, result in self._results(group):
            if isinstance(result, Settled):
                one.settled = result
                work.append(Waiting(writing(result), one.future, one.future.get_loop()))
            else:
                resolve(one.future, result)
        if work:
            self._ledger.take(work)

    def _settle(self, gathered: list[_Asked]) -> None:
        for one, result in self._results([one for one in gathered if not one.future.done()]):
            resolve(one.future, result)

    def _results(self, asked: Sequence[_Asked]) -> Iterable[tuple[_Asked, Settled | Exception | None]]:
        """Each with what came of it; None where the customer's row is behind."""
        results: Sequence[Settled | Exception | None]
        try:
            results = self._of(asked)
        except Exception as fault:
            is_of_all = unavailability(fault) is not None  # a store that all of them would wait for, one by one
            results = [fault] * len(asked) if is_of_all else [self._alone(one) for one in asked]
        return zip(asked, results, strict=True)

    def _of(self, asked: Sequence[_Asked]) -> list[Settled | None]:
        """In their order; those of one stock and its models are one batch, nearly always all."""
        rows = self._current.among([one.keys for one in asked])
        batches: dict[tuple[int, int], list[int]] = {}
        for number, (one, row) in enumerate(zip(asked, rows, strict=True)):
            if row is not None:
                batches.setdefault((id(one.inquiry.stock), id(one.inquiry.models)), []).append(number)
        settled: list[Settled | None] = [None] * len(asked)
        for batch in batches.values():
            mine = [asked[number] for number in batch]
            states = [row for number in batch if (row := rows[number]) is not None]
            inquiries, keys = [one.inquiry for one in mine], [one.keys for one in mine]
            for number, made in zip(batch, self._deciding.settled(inquiries, keys, states, at=self._at()), strict=True):
                settled[number] = made
        return settled

    def _alone(self, one: _Asked) -> Settled | Exception | None:
        try:
            return self._of([one])[0]
        except Exception as fault:
            return fault


def writing(settled: Settled) -> Commit:
    """The piece of work that writes it."""
    return Commit(settled.pending, settled.inquiry.retry, settled.told)


def told(settled: Settled, written: Committed | Before) -> dict[str, Any]:
    """The answer, by what was written; or what somebody who asked the same at the same time was answered."""
    retry = settled.inquiry.retry
    if isinstance(written, Before):
        return as_before(retry, written) if retry is not None else {}
    return settled.told(written) if written.told is None else written.told
