"""A campaign on its way: its customers are decided on in groups, each written durably before it is answered."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace as with_fields

from features.identity import IdentityTable
from features.packing import CustomerState, Missing
from serving.campaigns.asking import Refused, asked_of
from serving.campaigns.groups import Kept, Read
from serving.campaigns.reading import Body, Unread
from serving.campaigns.remembering import RememberingRules
from serving.committing import Committed, Pending, commit_all
from serving.compose import Composer
from serving.contact.store import is_any_due, release_due
from serving.deciding import Inquiry, Settled, nobody
from serving.engine import Engine
from serving.json_bytes import answer_bytes
from serving.people import Keys
from serving.schemas import DecisionRequest
from serving.stock import Stock

READ_TOGETHER = 256
"""So many are read and scored at once: most of that is the same for one and for many, and no lock is held."""
DECIDED_TOGETHER = 64
"""So many at least share one transaction, for which single decisions wait; between two others have their turn."""
WORK_SECONDS = 0.015
"""So long may the work inside it take, about, where more share one: 64 take two thirds of that on a quiet machine."""
RELEASES_BEFORE_A_GROUP = 8
"""So many transactions at most, each of a few milliseconds, give back more than the group can take."""
RATES_KEPT_SECONDS = 10.0
"""A campaign's own decisions of the last seconds say nothing of rates: what they earn is known days later."""


class Campaign:
    """Decides on the customers of one request; in the event loop of its engine.

    Args:
        engine: that decides.
        question: what is asked of every customer, checked against the brand.
    """

    def __init__(self, engine: Engine, question: DecisionRequest) -> None:
        self._engine, self._question = engine, question
        self._kept: Kept | None = None
        self._at_once = DECIDED_TOGETHER
        self.n_decided = self.n_refused = 0

    async def lines(self, body: Body) -> AsyncIterator[bytes]:
        """The answer, some lines at a time: one a customer in their order, then what they were in all."""
        unread: Unread | None = None
        async for several in body.customers(at_most=READ_TOGETHER):
            customers = [one for one in several if not isinstance(one, Unread)]
            unread = next((one for one in several if isinstance(one, Unread)), unread)
            async with aclosing(self._answered(customers)) as parts:
                async for part in parts:
                    yield part
        yield self._last(unread)

    async def _answered(self, customers: Sequence[object]) -> AsyncGenerator[bytes, None]:
        """The lines of some customers, those of each group once it is on disk."""
        brand = self._engine.brand
        asked = [asked_of(self._question, customer, brand=brand) for customer in customers]
        requests = [one for one in asked if isinstance(one, DecisionRequest)]
        read = await self._read(requests) if requests else None
        for start, end in self._groups(len(asked)):
            group = asked[start:end]
            mine = sum([isinstance(one, DecisionRequest) for one in group])
            told = iter(await self._decided(await self._now(read.next(mine))) if read is not None and mine else ())
            self.n_decided += mine
            self.n_refused += len(group) - mine
            yield b"".join([_line(one.as_dict() if isinstance(one, Refused) else next(told)) for one in group])

    def _groups(self, n: int) -> Iterator[tuple[int, int]]:
        """From where to where each group of so many goes: as large as the time allows that the one before took."""
        start = 0
        while start < n:
            left = n - start
            end = start + math.ceil(left / math.ceil(left / self._at_once))
            yield start, end
            start = end

    async def _read(self, requests: Sequence[DecisionRequest]) -> Read:
        """What is decided on, with what it is decided with; scored, unless each is decided as if alone."""
        engine = self._engine
        kept = self._remembering(engine.stock)
        inquiries = [Inquiry(request, kept.stock, engine.models.served, None) for request in requests]
        rows = await self._rows(requests, await self._keys(requests))
        keys, states, at = [mine for mine, _ in rows], [row for _, row in rows], engine.at()
        placement = kept.stock.brand.placements[requests[0].asked[0].placement]
        if not self._question.dry_run:
            await self._give_back(at)
        read = Read(kept, at, inquiries, keys, states)
        if not self._question.dry_run and not placement.questions:
            await asyncio.sleep(0)
            read.scored = engine.deciding.scored(inquiries, keys, states, at=at)
        return read

    async def _now(self, read: Read) -> Read:
        """One group; read anew where somebody of it was joined while those before it were written."""
        requests = [one.request for one in read.inquiries]
        if read.scored is None or self._engine.people.among([str(one.customer_id) for one in requests]) == read.keys:
            return read
        return await self._read(requests)

    async def _decided(self, read: Read) -> list[dict[str, Any]]:
        """The answers to one group."""
        if read.scored is None:
            return await self._one_by_one(read)
        await asyncio.sleep(0)
        engine, kept = self._engine, read.kept
        prepared = engine.deciding.prepared(
            read.inquiries, read.keys, read.scored, at=read.at, composer=kept.composer, rates=kept.rates
        )
        await asyncio.sleep(0)
        rules, judging = kept.stock.rules, kept.rules
        settled = [
            Settled(
                inquiry,
                scored,
                Pending(tuple(asked), mine, rules, judging),
                engine.stamper,
                engine.reader,
                is_brief=True,
            )
            for inquiry, mine, scored, asked in zip(read.inquiries, read.keys, read.scored, prepared, strict=True)
        ]
        return await self._written(settled, gives_back=False)

    async def _give_back(self, at: datetime) -> None:
        """Releases reservations whose time is over, some at most, while others have their turn between them."""
        ledger = self._engine.ledger
        for _ in range(RELEASES_BEFORE_A_GROUP):
            if not is_any_due(self._engine.reader, at):
                return
            await ledger.write_soon(partial(release_due, at=at))

    async def _one_by_one(self, read: Read) -> list[dict[str, Any]]:
        """As single decisions: a dry run takes nothing, and what was asked counts for the next question."""
        settled = self._engine.deciding.settled(read.inquiries, read.keys, read.states, at=read.at)
        settled = [with_fields(one, is_brief=True) for one in settled]
        return [one.dry() for one in settled] if self._question.dry_run else await self._written(settled)

    async def _written(self, settled: Sequence[Settled], *, gives_back: bool = True) -> list[dict[str, Any]]:
        """The answers, once the decisions are on disk."""
        pending = [one.pending for one in settled]
        written, seconds = await self._engine.ledger.write_soon(partial(_timed, pending=pending, gives_back=gives_back))
        fits = int(len(settled) * WORK_SECONDS / max(seconds, 1e-9))
        self._at_once = min(max(fits, DECIDED_TOGETHER), 2 * self._at_once, READ_TOGETHER)
        return [one.told(committed) for one, committed in zip(settled, written, strict=True)]

    def _remembering(self, stock: Stock) -> Kept:
        """What is kept of this stock; begun anew where brand.yaml or catalogue.yaml has changed meanwhile."""
        now = time.monotonic()
        if self._kept is None or self._kept.stock is not stock:
            placement = stock.brand.placements[self._question.asked[0].placement]
            self._kept = Kept(
                stock,
                Composer(stock.brand, self._engine.schema, stock.shelf),
                RememberingRules(stock.rules, initiated_by=placement.initiated_by),
                self._engine.deciding.rates(stock, at=self._engine.now()),
                now + RATES_KEPT_SECONDS,
            )
        elif now > self._kept.until:
            rates = self._engine.deciding.rates(stock, at=self._engine.now())
            self._kept = replace(self._kept, rates=rates, until=now + RATES_KEPT_SECONDS)
        return self._kept

    async def _keys(self, requests: Sequence[DecisionRequest]) -> list[Keys]:
        """The keys of each customer; of those whom nobody knows new ones, but in a dry run."""
        engine = self._engine
        known = engine.people.among([str(request.customer_id) for request in requests])
        new = [str(request.customer_id) for request, keys in zip(requests, known, strict=True) if keys is None]
        made: dict[str, int] = {}
        if new and not self._question.dry_run:
            made = await engine.ledger.write_soon(partial(_keys_for, customer_ids=new))
        stranger = nobody(engine.stock) if new else ()
        return [
            keys or engine.people.asked_for(request) or _key(made, request) or stranger
            for request, keys in zip(requests, known, strict=True)
        ]

    async def _rows(
        self, requests: Sequence[DecisionRequest], keys: Sequence[Keys]
    ) -> list[tuple[Keys, CustomerState | Missing]]:
        """Each customer's keys and row with every event of theirs in it."""
        current, ask = self._engine.current, self._engine.people.asked_for
        return [
            (mine, row) if row is not None else await current.of(mine, ask=partial(ask, request))
            for request, mine, row in zip(requests, keys, current.among(keys), strict=True)
        ]

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
    return answer_bytes(told) + b"\n"


def _key(made: dict[str, int], request: DecisionRequest) -> Keys | None:
    key = made.get(str(request.customer_id))
    return None if key is None else (key,)


def _timed(
    connection: sqlite3.Connection, *, pending: Sequence[Pending], gives_back: bool
) -> tuple[list[Committed], float]:
    """As `commit_all`, with the seconds that it took."""
    began = time.monotonic()
    return commit_all(connection, pending, gives_back=gives_back), time.monotonic() - began


def _keys_for(connection: sqlite3.Connection, *, customer_ids: Sequence[str]) -> dict[str, int]:
    return {name: int(key) for name, key in IdentityTable(connection).keys_for(customer_ids).items()}
