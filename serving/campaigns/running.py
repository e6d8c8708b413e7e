"""A campaign on its way: its customers are decided on in groups, each written durably before it is answered."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace as with_fields

from features.identity import IdentityTable
from features.packing import CustomerState, Missing
from serving.campaigns.asking import Refused, asked_of
from serving.campaigns.reading import Body, Unread
from serving.campaigns.remembering import RememberingRules
from serving.committing import Pending, commit_all
from serving.compose import Composer
from serving.contact.store import is_any_due, release_due
from serving.deciding import Inquiry, Settled, nobody
from serving.engine import Engine
from serving.json_bytes import answer_bytes
from serving.people import Keys
from serving.schemas import DecisionRequest
from serving.stock import Stock
from serving.values import Rates

DECIDED_TOGETHER = 64
"""So many share one transaction, for which single decisions wait; between two of them others have their turn."""
RELEASES_BEFORE_A_GROUP = 8
"""So many transactions at most, each of a few milliseconds, give back more than the group can take."""
RATES_KEPT_SECONDS = 10.0
"""A campaign's own decisions of the last seconds say nothing of rates: what they earn is known days later."""


@dataclass(frozen=True, slots=True)
class _Remembering:
    """What is kept of one stock from group to group."""

    stock: Stock
    composer: Composer
    rules: RememberingRules
    rates: Rates
    until: float


class Campaign:
    """Decides on the customers of one request; in the event loop of its engine.

    Args:
        engine: that decides.
        question: what is asked of every customer, checked against the brand.
    """

    def __init__(self, engine: Engine, question: DecisionRequest) -> None:
        self._engine, self._question = engine, question
        self._kept: _Remembering | None = None
        self.n_decided = self.n_refused = 0

    async def lines(self, body: Body) -> AsyncIterator[bytes]:
        """The answer, some lines at a time: one a customer in their order, then what they were in all."""
        unread: Unread | None = None
        async for group in body.customers(at_most=DECIDED_TOGETHER):
            customers = [one for one in group if not isinstance(one, Unread)]
            unread = next((one for one in group if isinstance(one, Unread)), unread)
            if customers:
                yield b"".join(await self._answered(customers))
        yield self._last(unread)

    async def _answered(self, customers: Sequence[object]) -> list[bytes]:
        """The lines of one group, once it is on disk."""
        brand = self._engine.brand
        asked = [asked_of(self._question, customer, brand=brand) for customer in customers]
        requests = [one for one in asked if isinstance(one, DecisionRequest)]
        told = iter(await self._decided(requests) if requests else ())
        self.n_decided += len(requests)
        self.n_refused += len(asked) - len(requests)
        return [_line(one.as_dict() if isinstance(one, Refused) else next(told)) for one in asked]

    async def _decided(self, requests: Sequence[DecisionRequest]) -> list[dict[str, Any]]:
        engine = self._engine
        kept = self._remembering(engine.stock)
        inquiries = [Inquiry(request, kept.stock, engine.models.served, None) for request in requests]
        rows = await self._rows(requests, await self._keys(requests))
        keys, states, at = [mine for mine, _ in rows], [row for _, row in rows], engine.at()
        placement = kept.stock.brand.placements[requests[0].asked[0].placement]
        if not self._question.dry_run:
            await self._give_back(at)
        if self._question.dry_run or placement.questions:
            return await self._one_by_one(inquiries, keys, states, at)
        await asyncio.sleep(0)
        prepared = engine.deciding.prepared(inquiries, keys, states, at=at, composer=kept.composer, rates=kept.rates)
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
            for inquiry, mine, (scored, asked) in zip(inquiries, keys, prepared, strict=True)
        ]
        return await self._written(settled, gives_back=False)

    async def _give_back(self, at: datetime) -> None:
        """Releases reservations whose time is over, some at most, while others have their turn between them."""
        ledger = self._engine.ledger
        for _ in range(RELEASES_BEFORE_A_GROUP):
            if not is_any_due(self._engine.reader, at):
                return
            await ledger.write_soon(partial(release_due, at=at))

    async def _one_by_one(
        self,
        inquiries: Sequence[Inquiry],
        keys: Sequence[Keys],
        states: Sequence[CustomerState | Missing],
        at: datetime,
    ) -> list[dict[str, Any]]:
        """As single decisions: a dry run takes nothing, and what was asked counts for the next question."""
        settled = [
            with_fields(one, is_brief=True) for one in self._engine.deciding.settled(inquiries, keys, states, at=at)
        ]
        return [one.dry() for one in settled] if self._question.dry_run else await self._written(settled)

    async def _written(self, settled: Sequence[Settled], *, gives_back: bool = True) -> list[dict[str, Any]]:
        """The answers, once the decisions are on disk."""
        pending = [one.pending for one in settled]
        written = await self._engine.ledger.write_soon(partial(commit_all, pending=pending, gives_back=gives_back))
        return [one.told(committed) for one, committed in zip(settled, written, strict=True)]

    def _remembering(self, stock: Stock) -> _Remembering:
        """What is kept of this stock; begun anew where brand.yaml or catalogue.yaml has changed meanwhile."""
        now = time.monotonic()
        if self._kept is None or self._kept.stock is not stock:
            placement = stock.brand.placements[self._question.asked[0].placement]
            self._kept = _Remembering(
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


def _keys_for(connection: sqlite3.Connection, *, customer_ids: Sequence[str]) -> dict[str, int]:
    return {name: int(key) for name, key in IdentityTable(connection).keys_for(customer_ids).items()}
