"""A campaign on its way: its customers are decided on in groups, each written durably before it is answered.

While one group is written, the next one is settled. So a decision may rest on counters that the group before it has
moved; as with single decisions they are read again in the transaction, and it is settled anew where they differ.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from features.identity import IdentityTable
from features.online import UNKNOWN_CUSTOMER
from features.packing import CustomerState, Missing
from serving.campaigns.asking import Refused, asked_of
from serving.campaigns.reading import Body, Unread
from serving.committing import Committed, commit_all
from serving.deciding import Inquiry, Settled, nobody
from serving.engine import Engine
from serving.people import Keys
from serving.schemas import DecisionRequest

DECIDED_TOGETHER = 64
"""So many share one transaction, for which single decisions wait; a campaign leaves the loop to others between them."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Campaign:
    """Decides on the customers of one request; in the event loop of its engine.

    Args:
        engine: that decides.
        question: what is asked of every customer, checked against the brand.
    """

    def __init__(self, engine: Engine, question: DecisionRequest) -> None:
        self._engine, self._question = engine, question
        self.n_decided = self.n_refused = 0

    async def lines(self, body: Body) -> AsyncIterator[bytes]:
        """The answer, some lines at a time: one a customer in their order, then what they were in all."""
        unread: Unread | None = None
        writing: asyncio.Task[list[bytes]] | None = None
        async for group in body.customers(at_most=DECIDED_TOGETHER):
            customers = [one for one in group if not isinstance(one, Unread)]
            unread = next((one for one in group if isinstance(one, Unread)), unread)
            answered = await self._settled(customers)
            if writing is not None:
                yield b"".join(await writing)
            writing = asyncio.create_task(self._written(answered))
        if writing is not None:
            yield b"".join(await writing)
        yield self._last(unread)

    async def _settled(self, customers: Sequence[object]) -> list[Settled | Refused]:
        """Each customer settled by the counters as they are, or refused."""
        brand = self._engine.brand
        asked = [asked_of(self._question, customer, brand=brand) for customer in customers]
        requests = [one for one in asked if isinstance(one, DecisionRequest)]
        settled = iter(await self._decided(requests)) if requests else iter(())
        return [one if isinstance(one, Refused) else next(settled) for one in asked]

    async def _decided(self, requests: Sequence[DecisionRequest]) -> list[Settled]:
        engine = self._engine
        inquiries = [self._inquiry(request) for request in requests]
        keys = await self._keys(requests)
        states = await self._states(requests, keys)
        await asyncio.sleep(0)
        return engine.deciding.settled(
            inquiries, [mine for mine, _ in states], [one for _, one in states], at=engine.at()
        )

    def _inquiry(self, request: DecisionRequest) -> Inquiry:
        return Inquiry(request, self._engine.stock, self._engine.models.served, None)

    async def _keys(self, requests: Sequence[DecisionRequest]) -> list[Keys]:
        """The keys of each customer; of those whom nobody knows new ones, but in a dry run."""
        engine = self._engine
        known = [engine.people.asked_for(request) for request in requests]
        new = [str(request.customer_id) for request, keys in zip(requests, known, strict=True) if keys is None]
        made: dict[str, int] = {}
        if new and not self._question.dry_run:
            made = await engine.ledger.write_soon(partial(_keys_for, customer_ids=new))
        stranger = nobody(engine.stock) if new else ()
        return [
            keys or engine.people.asked_for(request) or _key(made, request) or stranger
            for request, keys in zip(requests, known, strict=True)
        ]

    async def _states(
        self, requests: Sequence[DecisionRequest], keys: Sequence[Keys]
    ) -> list[tuple[Keys, CustomerState | Missing]]:
        """Each customer's keys and row with every event of theirs in it."""
        engine = self._engine
        rows = engine.online.read_many([mine[0] for mine in keys])
        current: list[tuple[Keys, CustomerState | Missing]] = []
        for request, mine, row in zip(requests, keys, rows, strict=True):
            if mine[0] <= 0:
                current.append((mine, Missing(UNKNOWN_CUSTOMER)))
            elif engine.current.is_behind(row, mine):
                current.append(await engine.current.of(mine, ask=partial(engine.people.asked_for, request)))
            else:
                current.append((mine, row))
        return current

    async def _written(self, answered: Sequence[Settled | Refused]) -> list[bytes]:
        """The lines of one group, once it is on disk."""
        settled = [one for one in answered if isinstance(one, Settled)]
        if self._question.dry_run:
            told = iter([one.dry() for one in settled])
        else:
            written: list[Committed] = []
            if settled:
                pending = [one.pending for one in settled]
                written = await self._engine.ledger.write_soon(partial(commit_all, pending=pending))
            told = iter([one.told(committed) for one, committed in zip(settled, written, strict=True)])
        self.n_decided += len(settled)
        self.n_refused += len(answered) - len(settled)
        return [_line(one.as_dict() if isinstance(one, Refused) else next(told)) for one in answered]

    def _last(self, unread: Unread | None) -> bytes:
        """What the answer ends with; a caller who does not read this line has not read everything."""
        told: dict[str, Any] = {
            "campaign": "interrupted" if unread else "whole",
            "n_decided": self.n_decided,
            "n_refused": self.n_refused,
        }
        if unread is not None:
            told["error"] = {"pointer": unread.fault.pointer, "detail": unread.fault.detail}
        return _line(told)


def _line(told: dict[str, Any]) -> bytes:
    return _ENCODER.encode(told).encode() + b"\n"


def _key(made: dict[str, int], request: DecisionRequest) -> Keys | None:
    key = made.get(str(request.customer_id))
    return None if key is None else (key,)


def _keys_for(connection: Any, *, customer_ids: Sequence[str]) -> dict[str, int]:
    return {name: int(key) for name, key in IdentityTable(connection).keys_for(customer_ids).items()}
