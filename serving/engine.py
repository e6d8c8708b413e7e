"""Where a decision's parts meet: state, scores, rates, the pure decision, the ledger, the message.

The engine does the reading and the writing; the clock, the draws and the ids come in, so that the demo's simulated
weeks run through this same code. One engine a process: its readers belong to one thread (or event loop), its writes to
the ledger's committer.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from ulid import ULID

from features.brand import Brand, load_brand
from features.catalogue import load_catalogue
from features.database import connect
from features.identity import IdentityTable
from features.online import OnlineFeatures
from features.packing import CustomerState, Missing
from features.refresher import Refresher
from features.rendering import RenderedMessage
from features.schema import FeatureSchema, feature_schema
from features.variables import feature_variables, variables_of
from features.workspace import Workspace
from serving.answers import answer
from serving.clocks import Clock, utc_now
from serving.compose import Composer, Decided, Inputs
from serving.contact.consent import unsubscribed_channels
from serving.current import CurrentRows
from serving.decide import Decision, settle_all
from serving.joining.stamper import Stamper, open_stamper
from serving.ledger import Ledger
from serving.ledger_rows import DecisionRow, fold_mature, kept_answer, write_answered, write_decisions
from serving.models import ModelDoor, ServedModels
from serving.outcome_rows import Recorded
from serving.outcomes import recording
from serving.people import People
from serving.questions import refuse_wrong_decision
from serving.rates import RatesReader
from serving.retries import as_before, decision_ids, kept_for_retries
from serving.schemas import DecisionRequest, OutcomeReport
from serving.scoring import Customer, score_customers
from serving.shelf import Shelf
from serving.values import prior_rates

WRITTEN_TOGETHER = 5_000


def new_ulid(at: datetime) -> str:
    """A new id that sorts by its instant."""
    return str(ULID.from_datetime(at))


class Engine:
    """Decides, records outcomes, and tells what is known of a customer; closed once by whoever opened it.

    Args:
        workspace: whose brand, catalogue, features, models and ledger it uses.
        clock: what time it is, UTC; the simulated weeks bring their own.
        draw: a uniform draw in [0, 1), one a decision.
        new_id: the id of a decision or outcome that brings none.
        stamper: puts the token of its decision into each message; else with the workspace's own secret.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Clock = utc_now,
        draw: Callable[[], float] | None = None,
        new_id: Callable[[datetime], str] = new_ulid,
        stamper: Stamper | None = None,
    ) -> None:
        self.workspace = workspace
        self.brand: Brand = load_brand(workspace)
        self.catalogue = load_catalogue(workspace, self.brand)
        self.schema: FeatureSchema = feature_schema(self.brand, workspace)
        self._clock, self._new_id = clock, new_id
        self._draw = draw or random.SystemRandom().random
        self.ledger = Ledger(workspace.database)
        self.stamper = stamper or open_stamper(workspace.state)
        self.reader = connect(workspace.database)
        self.people = People(self.reader)
        self.online = OnlineFeatures.open(workspace, self.brand)
        self.refresher = Refresher(self.online, clock=clock)
        self.current = CurrentRows(self.online, self.refresher, self.reader)
        self.models = ModelDoor(workspace.artifacts, self.schema)
        variables = variables_of(self.brand, feature_variables(self.brand, workspace))
        self.shelf = Shelf(self.brand, self.catalogue, variables=variables)
        self._composer = Composer(self.brand, self.schema, self.shelf)
        self._window = timedelta(days=self.brand.rewards.attribution_days)
        self._folded_on: date | None = None
        self._rates = RatesReader(
            self.reader,
            priors=prior_rates(self.brand, self.catalogue),
            strength=self.brand.rewards.prior_strength,
            window=self._window,
        )
        self._file_versions = {
            "brand": _sha256(workspace.brand_file.read_bytes()),
            "catalogue": _sha256(workspace.catalogue_file.read_bytes()),
            "features": self.schema.version,
        }

    def warm_up(self) -> None:
        """Decides once in every place without writing it, so that no customer waits for what is made on first use."""
        nobody = Missing("unknown_customer")
        self.online.recompute([(0,)], at=self._clock())
        for placement, details in self.brand.placements.items():
            for channel in details.channels:
                request = DecisionRequest(customer_id="nobody", placement=placement, channel=channel)
                self.online.read(0)
                self._decided(request, customer_key=0, state=nobody)

    def close(self) -> None:
        """Commits what waits and lets go of every file."""
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

    def decide(self, request: DecisionRequest) -> dict[str, Any]:
        """The answer to one request; when it returns, the decision is on disk.

        Raises:
            RequestRefused: the brand has no such placement, channel or trait (422), or the request's decision_id
                stands for another question already (409).
        """
        self.models.refresh()
        if (again := self._answered_before(request)) is not None:
            return again
        keys = self.people.asked_for(request)
        if keys is None:
            keys = (self.ledger.write(partial(_new_key, request=request)),)
        state = self.online.read_current(keys, at=self._clock())
        rows, told = self._decided(request, customer_key=keys[0], state=state)
        conflict = self.ledger.write(partial(write_answered, rows=rows))
        return told if conflict is None else as_before(request, conflict)

    async def decide_soon(self, request: DecisionRequest) -> dict[str, Any]:
        """As `decide`, for an event loop: other requests go on while this one's group commit is written."""
        if (again := self._answered_before(request)) is not None:
            return again
        keys = self.people.asked_for(request)
        if keys is None:
            made = await self.ledger.write_soon(partial(_new_key, request=request))
            keys = self.people.asked_for(request) or (made,)
        keys, state = await self.current.of(keys, ask=partial(self.people.asked_for, request))
        rows, told = self._decided(request, customer_key=keys[0], state=state)
        conflict = await self.ledger.write_soon(partial(write_answered, rows=rows))
        return told if conflict is None else as_before(request, conflict)

    def decide_many(self, requests: Sequence[DecisionRequest]) -> list[Decision]:
        """One decision a request, in their order, all at this instant and by the rates as they stand before them.

        Scored as one batch and written in large transactions: for simulated weeks and campaigns. Requests name
        customers, not devices, and bring no decision_id of their own.
        """
        for request in requests:
            refuse_wrong_decision(request, self.brand)
        self.models.refresh()
        models = self.models.served
        self._rates.forget()
        named = [str(request.customer_id) for request in requests]
        keys = self.ledger.write(partial(_keys_for, customer_ids=named))
        decided: list[Decision] = []
        for start in range(0, len(requests), WRITTEN_TOGETHER):
            batch = requests[start : start + WRITTEN_TOGETHER]
            batch_keys = [keys[name] for name in named[start : start + WRITTEN_TOGETHER]]
            rows = [
                DecisionRow(one.decision, one.message.locale if one.message else None)
                for one in self._composed(batch, batch_keys, self.online.read_many(batch_keys), models=models)
            ]
            self.ledger.write(partial(write_decisions, rows=rows))
            decided += [row.decision for row in rows]
        return decided

    def _decided(
        self, request: DecisionRequest, *, customer_key: int, state: CustomerState | Missing
    ) -> tuple[list[DecisionRow], dict[str, Any]]:
        models = self.models.served  # once: a swap in between would name another model's segment
        decided = self._composed([request], [customer_key], [state], models=models)
        told = answer(decided, request=request, models=models, stamped=self._stamped)
        rows = [DecisionRow(one.decision, one.message.locale if one.message else None) for one in decided]
        rows[0] = replace(rows[0], kept=kept_for_retries(request, told))
        return rows, told

    def _stamped(self, message: RenderedMessage, *, decision_id: str, slot: int) -> RenderedMessage:
        hosts = self.stamper.hosts(self.brand, self.catalogue)
        return self.stamper.stamped(message, decision_id=decision_id, slot=slot, hosts=hosts)

    def _composed(
        self,
        requests: Sequence[DecisionRequest],
        keys: Sequence[int],
        states: Sequence[CustomerState | Missing],
        *,
        models: ServedModels,
    ) -> list[Decided]:
        at = self._clock()
        if at.date() != self._folded_on:
            self._folded_on = at.date()
            self.ledger.write_later(partial(fold_mature, at=at, window=self._window))
        rates = self._rates.read(at)
        customers = [
            Customer(key, state, request.context.traits)
            for key, state, request in zip(keys, states, requests, strict=True)
        ]
        versions = self._file_versions | models.versions
        unsubscribed = unsubscribed_channels(self.reader, keys)
        return [
            Decided(decision, scored)
            for key, request, scored in zip(
                keys,
                requests,
                score_customers(customers, models=models, schema=self.schema, brand=self.brand, at=at),
                strict=True,
            )
            for decision in settle_all(
                self._composer.prepare(
                    request,
                    scored,
                    Inputs(
                        decision_ids=decision_ids(request, partial(self._new_id, at)),
                        at=at,
                        draws=tuple(self._draw() for asked in request.asked for _ in range(asked.limit)),
                        rates=rates,
                        versions=versions,
                        unsubscribed=unsubscribed.get(key, ()),
                    ),
                )
            )
        ]

    def _answered_before(self, request: DecisionRequest) -> dict[str, Any] | None:
        refuse_wrong_decision(request, self.brand)
        if request.decision_id is None:
            return None
        kept = kept_answer(self.reader, request.decision_id)
        return None if kept is None else as_before(request, kept)

    # -- outcomes -----------------------------------------------------------------------------------------------

    def record_outcomes(self, reports: Sequence[OutcomeReport], *, single: bool = False) -> list[Recorded]:
        """Writes outcomes, all or none, once each; when it returns they are on disk.

        Raises:
            RequestRefused: with every fault of every report; for a single one NotFound where its decision is unknown.
        """
        recorded = self.ledger.write(self._recording(reports, single=single))
        self._rates.forget()
        return recorded

    async def record_outcomes_soon(self, reports: Sequence[OutcomeReport], *, single: bool = False) -> list[Recorded]:
        """As `record_outcomes`, for an event loop."""
        recorded = await self.ledger.write_soon(self._recording(reports, single=single))
        self._rates.forget()
        return recorded

    def _recording(
        self, reports: Sequence[OutcomeReport], *, single: bool
    ) -> Callable[[sqlite3.Connection], list[Recorded]]:
        return recording(
            reports,
            brand=self.brand,
            catalogue=self.catalogue,
            at=self._clock(),
            new_id=self._new_id,
            single=single,
        )


def _new_key(connection: sqlite3.Connection, *, request: DecisionRequest) -> int:
    if request.anonymous_id is not None:
        return int(IdentityTable(connection).key_or_new(request.anonymous_id, "anonymous"))
    return int(IdentityTable(connection).key_or_new(str(request.customer_id)))


def _keys_for(connection: sqlite3.Connection, *, customer_ids: Sequence[str]) -> dict[str, int]:
    return {name: int(key) for name, key in IdentityTable(connection).keys_for(customer_ids).items()}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
