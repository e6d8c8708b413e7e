"""What one turn of an event loop asks, settled as one batch: rows are read and models asked once for all of it.

The clients who were answered together ask again together. Reading a row and asking the models cost a batch of eight
hardly more than two of one. Each request is settled as if it were alone: where the batch fails, so is each of it, and
only the one that is at fault is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from serving.current import CurrentRows
from serving.deciding import Deciding, Inquiry, Settled
from serving.handing_over import Turns, resolve
from serving.people import Keys
from serving.unavailable import unavailability


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request on its way to be settled."""

    inquiry: Inquiry
    keys: Keys
    future: asyncio.Future[Settled | None]


class Together:
    """Settles requests of event loops; of the thread that its readers belong to.

    Args:
        current: reads the customers' rows.
        deciding: settles.
        at: the instant that a batch is decided at.
    """

    def __init__(self, current: CurrentRows, deciding: Deciding, *, at: Callable[[], datetime]) -> None:
        self._current, self._deciding, self._at = current, deciding, at
        self._turns: Turns[_Asked] = Turns(self._settle)

    def settled(self, inquiry: Inquiry, keys: Keys) -> asyncio.Future[Settled | None]:
        """The request, ready to be settled where it is written; None where the customer's row is behind their events.

        Args:
            inquiry: one request.
            keys: of the person whom it is about.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Settled | None] = loop.create_future()
        self._turns.add(_Asked(inquiry, keys, future), loop)
        return future

    def _settle(self, gathered: Sequence[_Asked]) -> None:
        asked = [one for one in gathered if not one.future.done()]  # without callers who went away
        results: Sequence[Settled | Exception | None]
        try:
            results = self._of(asked)
        except Exception as fault:
            is_of_all = unavailability(fault) is not None  # a store that all of them would wait for, one by one
            results = [fault] * len(asked) if is_of_all else [self._alone(one) for one in asked]
        for one, result in zip(asked, results, strict=True):
            resolve(one.future, result)

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
