"""From customers' rows to settled decisions, and from what was written of them to the answer.

Between the two lies the ledger, which the engine writes: so one request can wait for its group commit while others go
on. Everything that one request is decided with (stock, models) is taken once, at its start.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import count
from typing import Any

import msgspec
from msgspec.structs import replace

from experiments.assignment import assign
from experiments.records import HOLDOUT
from features.packing import CustomerState, Missing
from features.rendering import RenderedMessage, with_coupon
from features.schema import FeatureSchema
from serving.answers import answer
from serving.committing import Committed, Pending, settled
from serving.compose import Composer, Decided, Inputs
from serving.exploration import NewActions
from serving.joining.stamper import Stamper
from serving.kept import Retry
from serving.models import ServedModels
from serving.next_question.asking import NOT_ASKING
from serving.next_question.desk import QuestionDesk
from serving.offers import Prepared
from serving.people import Keys
from serving.questions import refuse_wrong_decision
from serving.rates import RatesReader
from serving.retries import decision_ids, retry_of
from serving.schemas import DecisionRequest
from serving.scoring import Customer, ScoredCustomer, score_customers
from serving.sessions import with_session
from serving.stock import Stock
from serving.values import Rates


class Inquiry(msgspec.Struct, frozen=True):
    """One request, with what it is decided with."""

    request: DecisionRequest
    stock: Stock
    models: ServedModels
    retry: Retry | None


class Settled(msgspec.Struct, frozen=True):
    """One request with everything but what the contact rules count: ready to be settled where it is written."""

    inquiry: Inquiry
    scored: ScoredCustomer
    pending: Pending
    stamper: Stamper
    reader: sqlite3.Connection
    is_brief: bool = False  # whether only a sender reads the answer

    def told(self, committed: Committed) -> dict[str, Any]:
        """The answer, by what was written."""
        inquiry = self.inquiry
        decided = [
            Decided(decision, self.scored, codes)
            for decision, codes in zip(committed.decisions, committed.codes, strict=True)
        ]
        codes = {one.decision.situation.decision_id: one.codes for one in decided}

        def stamped(message: RenderedMessage, *, decision_id: str, slot: int) -> RenderedMessage:
            if (code := codes[decision_id].get(slot)) is not None:
                message = with_coupon(message, code)
            if inquiry.request.dry_run:
                return message  # a token of a decision that nobody finds would join nothing
            hosts = inquiry.stock.hosts
            return self.stamper.stamped(message, decision_id=decision_id, slot=slot, hosts=hosts)

        def explained(one: Decided, record: Mapping[str, Any]) -> dict[str, Any]:
            return inquiry.stock.explainer.answer(record, one.scored, inquiry.models)

        return answer(
            decided,
            request=inquiry.request,
            brand=inquiry.stock.brand,
            models=inquiry.models,
            stamped=stamped,
            explained=explained,
            is_brief=self.is_brief,
        )

    def dry(self) -> dict[str, Any]:
        """The answer to a dry run: nothing is written or taken."""
        decisions = settled(self.reader, self.pending)
        return self.told(Committed(decisions, tuple({} for _ in decisions)))


class Deciding:
    """Settles requests for one engine; of the thread that its connection belongs to.

    Args:
        reader: reads what the rules count.
        schema: of the features.
        rates: as they stand.
        stamper: puts the token of its decision into each message.
        draw: a uniform draw in [0, 1), one a slot.
        new_id: the id of a decision that brings none.
        questions: what a customer may be asked.
    """

    def __init__(
        self,
        *,
        reader: sqlite3.Connection,
        schema: FeatureSchema,
        rates: RatesReader,
        stamper: Stamper,
        draw: Callable[[], float],
        new_id: Callable[[datetime], str],
        questions: QuestionDesk,
    ) -> None:
        self._reader, self._schema, self._rates, self._stamper = reader, schema, rates, stamper
        self._draw, self._new_id, self._questions = draw, new_id, questions
        self._explored: tuple[Stock, NewActions] | None = None
        self._versions: tuple[Stock, ServedModels, Mapping[str, str]] | None = None

    def asked(
        self, request: DecisionRequest, *, stock: Stock, models: ServedModels, idempotency_key: str | None = None
    ) -> Inquiry:
        """The request, checked against the brand.

        Raises:
            RequestRefused: with everything in it that this brand does not have.
        """
        refuse_wrong_decision(request, stock.brand, actions=stock.shelf.offerables)
        retry = None if request.dry_run else retry_of(request, idempotency_key)
        return Inquiry(request, stock, models, retry)

    def settled(
        self,
        asked: Sequence[Inquiry],
        keys: Sequence[Keys],
        states: Sequence[CustomerState | Missing],
        *,
        at: datetime,
    ) -> list[Settled]:
        """Requests that share one stock and its models, all at this instant, ready to be settled.

        Args:
            asked: at least one.
            keys: of each request's person.
            states: their rows, or why there are none.
            at: the instant.
        """
        scored = self.scored(asked, keys, states, at=at)
        rules, ready = asked[0].stock.rules, self.prepared(asked, keys, scored, at=at)
        return [
            Settled(one, customer, Pending(tuple(prepared), mine, rules), self._stamper, self._reader)
            for one, mine, customer, prepared in zip(asked, keys, scored, ready, strict=True)
        ]

    def scored(
        self,
        asked: Sequence[Inquiry],
        keys: Sequence[Keys],
        states: Sequence[CustomerState | Missing],
        *,
        at: datetime,
    ) -> list[ScoredCustomer]:
        """What the models say of the customer of each request; as `settled`."""
        customers = [
            Customer(mine[0], state, one.request.context.traits)
            for one, mine, state in zip(asked, keys, states, strict=True)
        ]
        stock, models = asked[0].stock, asked[0].models
        return score_customers(customers, models=models, schema=self._schema, brand=stock.brand, at=at)

    def prepared(
        self,
        asked: Sequence[Inquiry],
        keys: Sequence[Keys],
        scored: Sequence[ScoredCustomer],
        *,
        at: datetime,
        composer: Composer | None = None,
        rates: Rates | None = None,
    ) -> list[list[Prepared]]:
        """Everything but the counters, for each request; as `settled`.

        Args:
            asked: at least one.
            keys: of each request's person.
            scored: the customers, at this very instant.
            at: the instant.
            composer: of a caller who keeps what many customers share; the stock's own where it is None.
            rates: of a caller who keeps one reading of them; as they stand now where it is None.
        """
        stock, models = asked[0].stock, asked[0].models
        rates, composer = rates or self.rates(stock, at=at), composer or stock.composer
        expected, new_id, draw = models.expected, partial(self._new_id, at), self._draw
        versions, new = self._versions_of(stock, models), self._new_actions(stock).read()
        return [
            self._prepared(
                one,
                customer,
                mine,
                Inputs(
                    decision_ids=decision_ids(one.request, new_id),
                    at=at,
                    draws=tuple([draw() for place in one.request.asked for _ in range(place.limit)]),
                    rates=rates,
                    versions=versions,
                    new=new,
                    expected=expected,
                ),
                composer,
            )
            for one, customer, mine in zip(asked, scored, keys, strict=True)
        ]

    def rates(self, stock: Stock, *, at: datetime) -> Rates:
        """The rates as they stand."""
        return self._rates.read(at, priors=stock.priors)

    def _prepared(
        self, inquiry: Inquiry, scored: ScoredCustomer, keys: Keys, inputs: Inputs, composer: Composer
    ) -> list[Prepared]:
        state = scored.customer.state
        zone = None if isinstance(state, Missing) else state.time_zone
        request = with_session(
            inquiry.request,
            brand=inquiry.stock.brand,
            connection=self._reader,
            keys=keys,
            at=inputs.at,
            sent_at=lambda channel: inquiry.stock.rules.send_at(channel, "brand", inputs.at, zone) or inputs.at,
        )
        asking = self._questions.asking(
            request, scored, keys=keys, brand=inquiry.stock.brand, models=inquiry.models, at=inputs.at
        )
        if asking is not NOT_ASKING:
            inputs = replace(inputs, asking=asking)
        return composer.prepare(request, scored, inputs)

    def _versions_of(self, stock: Stock, models: ServedModels) -> Mapping[str, str]:
        """Of everything that decisions rest on; nobody writes to it."""
        known = self._versions
        if known is None or known[0] is not stock or known[1] is not models:
            known = self._versions = (stock, models, {**stock.versions, **models.versions})
        return known[2]

    def _new_actions(self, stock: Stock) -> NewActions:
        if self._explored is None or self._explored[0] is not stock:
            self._explored = (stock, NewActions(self._reader, stock.catalogue, stock.brand.exploration))
        return self._explored[1]


def nobody(stock: Stock) -> Keys:
    """The key of somebody whom a dry run asks about and nobody knows: no customer has it, and it is not held out."""
    brand = stock.brand
    free = (key for key in count(0, -1) if assign(key, salt=brand.name, holdout_rate=brand.holdout_rate).arm != HOLDOUT)
    return (next(free),)
