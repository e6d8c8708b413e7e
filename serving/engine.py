"""Where a decision's parts meet: state, scores, rates, the pure decision, the ledger, the message.

The engine does the reading and the writing; the clock, the draws and the ids come in, so that the demo's simulated
weeks run through this same code. One engine a process: its readers belong to one thread (or event loop), its writes to
the ledger's committer.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from features.brand import Brand
from features.catalogue import Catalogue
from features.database import connect
from features.faults import CallersMistake
from features.online import OnlineFeatures
from features.packing import CustomerState, Missing
from features.refresher import Refresher
from features.schema import FeatureSchema, feature_schema
from features.versions import CheckedFiles
from features.workspace import Workspace
from serving.catalogue_door import CatalogueDoor
from serving.clocks import Clock, utc_now
from serving.committing import commit_all
from serving.current import CurrentRows
from serving.decide import Decision
from serving.deciding import Deciding, Inquiry, Settled, nobody
from serving.joining.stamper import Stamper, open_stamper
from serving.journal import lengthen
from serving.kept import answered_before, is_key_new
from serving.ledger import Ledger
from serving.ledger_rows import fold_mature
from serving.models import ModelDoor
from serving.next_question.desk import QuestionDesk
from serving.outcome_rows import Recorded
from serving.outcomes import moves_rates, recording
from serving.people import Keys, People, new_key, new_keys
from serving.rates import RatesReader
from serving.retries import as_before
from serving.schemas import DecisionRequest, OutcomeReport
from serving.scoring import UNKNOWN_CUSTOMER
from serving.shelf import Shelf
from serving.stock import Stock, stocked
from serving.together import Together, told, writing
from serving.ulids import new_ulid

WRITTEN_TOGETHER = 1_000


class Engine:
    """Decides, records outcomes, and tells what is known of a customer; closed once by whoever opened it.

    Args:
        workspace: whose brand, catalogue, features, models and ledger it uses.
        clock: what time it is, UTC; the simulated weeks bring their own.
        draw: a uniform draw in [0, 1), one a decision.
        new_id: the id of a decision or outcome that brings none.
        stamper: puts the token of its decision into each message; else with the workspace's own secret.
        falls_back: start with the versions of brand.yaml and catalogue.yaml last in use where one is broken now.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Clock = utc_now,
        draw: Callable[[], float] | None = None,
        new_id: Callable[[datetime], str] = new_ulid,
        stamper: Stamper | None = None,
        falls_back: bool = False,
    ) -> None:
        self.workspace = workspace
        self._clock, self._new_id = clock, new_id
        self.files = CatalogueDoor(workspace, make=self._stocked, clock=clock, falls_back=falls_back)
        self.ledger = Ledger(workspace.database)
        self.stamper = stamper or open_stamper(workspace.state)
        self.reader = connect(workspace.database)
        self.people = People(self.reader, on_erasure=lambda: self.stock.forget_customers())
        self.online = OnlineFeatures.open(workspace, self.brand)
        self.refresher = Refresher(self.online, clock=clock)
        self.current = CurrentRows(self.online, self.refresher, self.reader)
        self.models = ModelDoor(workspace.artifacts, self.schema)
        self._folded_on: date | None = None
        window = self.stock.window
        self._rates = RatesReader(self.reader, strength=self.brand.rewards.prior_strength, window=window)
        self.deciding = Deciding(
            reader=self.reader,
            schema=self.schema,
            rates=self._rates,
            stamper=self.stamper,
            draw=draw or random.SystemRandom().random,
            new_id=new_id,
            questions=QuestionDesk(workspace, self.reader, self.schema),
        )
        self._together = Together(self.current, self.deciding, people=self.people, ledger=self.ledger, at=self.at)

    def _stocked(self, files: CheckedFiles) -> Stock:
        """What decisions are made with, of sound files; a running engine follows no other features than its first."""
        schema = feature_schema(files.brand, self.workspace)
        if not hasattr(self, "schema"):
            self.schema: FeatureSchema = schema
        if schema.version != self.schema.version:
            raise CallersMistake(f"{self.workspace.sql_folder} says other features now. Restart 'rapport serve'.")
        return stocked(files, workspace=self.workspace, schema=self.schema)

    @property
    def stock(self) -> Stock:
        """What decisions are made with now."""
        return self.files.stock

    @property
    def brand(self) -> Brand:
        """As brand.yaml says."""
        return self.files.stock.brand

    @property
    def catalogue(self) -> Catalogue:
        """As catalogue.yaml says, with the questions that the brand's placements list."""
        return self.files.stock.catalogue

    @property
    def shelf(self) -> Shelf:
        """The catalogue's actions by place, compiled."""
        return self.files.stock.shelf

    def warm_up(self) -> None:
        """Decides once in every place without writing it, so that no customer waits for what is made on first use."""
        self.ledger.write_later(lengthen)
        self.online.recompute([(0,)], at=self._clock())
        for placement, details in self.brand.placements.items():
            for channel in details.channels:
                request = DecisionRequest(customer_id="nobody", placement=placement, channel=channel, dry_run=True)
                self.online.read(0)
                inquiry = self.deciding.asked(request, stock=self.stock, models=self.models.served)
                self._settled(inquiry, nobody(inquiry.stock), Missing(UNKNOWN_CUSTOMER)).dry()

    def close(self) -> None:
        """Commits what waits and lets go of every file."""
        self._together.close()
        self.files.close()
        self.models.close()
        self.ledger.close()
        self.refresher.close()
        self.online.close()
        self.reader.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now(self) -> datetime:
        """What time it is for this engine."""
        return self._clock()

    def key_of(self, customer_id: str) -> int | None:
        """The key that stands for a customer, or None where nobody has heard of them."""
        keys = self.people.keys(customer_id)
        return None if keys is None else keys[0]

    def id_of(self, customer_key: int) -> str | None:
        """The outside id of a customer."""
        return self.people.id_of(customer_key)

    # -- decisions ----------------------------------------------------------------------------------------------

    def decide(self, request: DecisionRequest, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """The answer to one request; when it returns, the decision is on disk, unless it was a dry run.

        Args:
            request: as it was asked.
            idempotency_key: the client's own key of this request, by which it may be asked again for a day.

        Raises:
            RequestRefused: the brand has no such placement, channel, action or trait, or the key stands for another
                question (422), or the request's decision_id does (409).
        """
        self.models.refresh()
        self.files.refresh()
        inquiry = self._inquired(request, idempotency_key)
        if (again := self._answered_before(inquiry)) is not None:
            return again
        keys = self.people.asked_for(request)
        if keys is None and not request.dry_run:
            keys = (self.ledger.write(partial(new_key, request=request)),)
        if keys is None:
            return self._settled(inquiry, nobody(inquiry.stock), Missing(UNKNOWN_CUSTOMER)).dry()
        settled = self._settled(inquiry, keys, self.online.read_current(keys, at=self._clock()))
        return settled.dry() if request.dry_run else told(settled, self.ledger.write(writing(settled)))

    async def decide_soon(self, request: DecisionRequest, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """As `decide`, for an event loop, with what else was asked of it meanwhile."""
        inquiry = self._inquired(request, idempotency_key)
        if (again := self._answered_before(inquiry)) is not None:
            return again
        keys = self.people.asked_for(request)
        if keys is None and not request.dry_run:
            made = await self.ledger.write_soon(partial(new_key, request=request))
            keys = self.people.asked_for(request) or (made,)
        if keys is None:
            return self._settled(inquiry, nobody(inquiry.stock), Missing(UNKNOWN_CUSTOMER)).dry()
        if request.dry_run:
            return (await self._together.settled(inquiry, keys) or await self._behind(inquiry, keys)).dry()
        if (done := await self._together.written(inquiry, keys)) is not None:
            return done
        settled = await self._behind(inquiry, keys)
        return told(settled, await self.ledger.write_soon(writing(settled)))

    async def _behind(self, inquiry: Inquiry, keys: Keys) -> Settled:
        """Settled on a row that is made anew beside the event loop."""
        keys, state = await self.current.of(keys, ask=partial(self.people.asked_for, inquiry.request))
        return self._settled(inquiry, keys, state)

    def decide_many(self, requests: Sequence[DecisionRequest]) -> list[Decision]:
        """One decision a request, in their order, all at this instant and by the rates as they stand before them.

        Scored as one batch and written in large transactions: for simulated weeks. Requests name customers, not
        devices, one place each, and bring no decision_id of their own.
        """
        self.models.refresh()
        self.files.refresh()
        asked = [self._inquired(request, None) for request in requests]
        self._rates.forget()
        named = [str(request.customer_id) for request in requests]
        made = self.ledger.write(partial(new_keys, customer_ids=named))
        decided: list[Decision] = []
        for start in range(0, len(requests), WRITTEN_TOGETHER):
            names = named[start : start + WRITTEN_TOGETHER]
            keys = [self.people.keys(name) or (made[name],) for name in names]
            states = self.online.read_many([mine[0] for mine in keys])
            batch = self.deciding.settled(asked[start : start + WRITTEN_TOGETHER], keys, states, at=self.at())
            pending = [one.pending for one in batch]
            decided += [one.decisions[0] for one in self.ledger.write(partial(commit_all, pending=pending))]
        return decided

    def _inquired(self, request: DecisionRequest, idempotency_key: str | None) -> Inquiry:
        """The request with what it is decided with, taken once: a swap in between would mix two versions."""
        return self.deciding.asked(
            request, stock=self.stock, models=self.models.served, idempotency_key=idempotency_key
        )

    def _settled(self, inquiry: Inquiry, keys: Keys, state: CustomerState | Missing) -> Settled:
        (settled,) = self.deciding.settled([inquiry], [keys], [state], at=self.at())
        return settled

    def at(self) -> datetime:
        """Now; the first time on a day the counts of days that are over are folded together."""
        at = self._clock()
        if at.date() != self._folded_on:
            self._folded_on = at.date()
            self.ledger.write_later(partial(fold_mature, at=at, window=self.stock.window))
        return at

    def _answered_before(self, inquiry: Inquiry) -> dict[str, Any] | None:
        """None also where the key of a retry is new: it is kept where decisions are written."""
        retry = inquiry.retry
        if retry is None or (before := answered_before(self.reader, retry, at=self._clock())) is None:
            return None
        again = as_before(retry, before)
        return None if is_key_new(retry, before) else again

    # -- outcomes -----------------------------------------------------------------------------------------------

    def record_outcomes(self, reports: Sequence[OutcomeReport], *, single: bool = False) -> list[Recorded]:
        """Writes outcomes, all or none, once each; when it returns they are on disk.

        Raises:
            RequestRefused: with every fault of every report; for a single one NotFound where its decision is unknown.
        """
        return self._noted(self.ledger.write(self._recording(reports, single=single)))

    async def record_outcomes_soon(self, reports: Sequence[OutcomeReport], *, single: bool = False) -> list[Recorded]:
        """As `record_outcomes`, for an event loop."""
        return self._noted(await self.ledger.write_soon(self._recording(reports, single=single)))

    def _noted(self, recorded: list[Recorded]) -> list[Recorded]:
        if moves_rates(recorded):
            self._rates.forget()
        return recorded

    def _recording(
        self, reports: Sequence[OutcomeReport], *, single: bool
    ) -> Callable[[sqlite3.Connection], list[Recorded]]:
        return recording(
            reports,
            brand=self.brand,
            catalogue=self.catalogue,
            mint=self.stamper.mint,
            at=self._clock(),
            new_id=self._new_id,
            single=single,
        )
