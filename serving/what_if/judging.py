"""One past decision as the changed catalogue would have made it: same customer, same instant.

The customer, what the caller told, the counters and the counted rates are those that were recorded, but for what is
left of budgets and coupon codes, which is carried on; brand.yaml is as it is now. Of an action that the record knows
nothing of, the rate is today's, or what the catalogue expects of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from features.schema import FeatureSchema
from features.workspace import Workspace
from serving.compose import Inputs
from serving.contact.facts import facts_of
from serving.contact.windows import to_us
from serving.decide import Decision, settle
from serving.expected import ExpectedThen
from serving.models import ServedModels
from serving.next_question.asking import NOT_ASKING, Asking, imagine
from serving.replaying.inputs import read_inputs
from serving.replaying.recreating import (
    CannotRecreateError,
    Recorded,
    actions_asking_for,
    models_of,
    recorded_scores,
)
from serving.replaying.used_rates import RecordedRates, Used
from serving.scoring import score_customers
from serving.stock import Stock
from serving.values import EstimatedRate, Rates
from serving.what_if.carrying import Carried

NO_INPUTS, WITHDRAWN, OTHER_FEATURES, NO_SUCH_PLACE = "no_inputs", "withdrawn", "other_features", "no_such_place"
WITHHELD = "withheld"
LEFT_OUT_IN_WORDS = {
    NO_INPUTS: "decided by a Rapport that did not keep what decisions were made from",
    WITHDRAWN: "of customers who have withdrawn what they were made from",
    OTHER_FEATURES: "made with other features than today's",
    WITHHELD: "made with what a caller told for one decision only, which actions ask for and is not kept",
    NO_SUCH_PLACE: "asked for in a placement or on a channel that brand.yaml no longer has",
}


class RatesOfThen(RecordedRates):
    """Recorded rates where there are any and their action is still expected the same of; else today's."""

    def __init__(
        self, record: Mapping[str, Any], used: Iterable[Used], now: Rates, *, reconsidered: Collection[str]
    ) -> None:
        super().__init__(record, used)
        self._now, self._reconsidered = now, reconsidered

    def rate(self, action_id: str, *, segment: str | None, stage: str) -> EstimatedRate:
        """The rate of an action for customers of this segment and stage."""
        found = None
        if action_id not in self._reconsidered:
            found = self.known(action_id, segment=segment, stage=stage)
        return self._now.rate(action_id, segment=segment, stage=stage) if found is None else found


@dataclass(frozen=True, slots=True)
class Judge:
    """Makes past decisions with one changed catalogue.

    Attributes:
        workspace: whose models.
        stock: of the changed catalogue.
        schema: of today's features.
        rates: as they stand, with the changed catalogue's expectations.
        reconsidered: actions whose expected rate is another one now.
        added: actions that are new.
    """

    workspace: Workspace
    stock: Stock
    schema: FeatureSchema
    rates: Rates
    reconsidered: frozenset[str]
    added: frozenset[str]

    def why_not(self, one: Recorded) -> str | None:
        """Why a decision cannot be made with it; None where it can."""
        if one.withdrawn:
            return WITHDRAWN
        if one.inputs is None or "counters" not in one.record:
            return NO_INPUTS
        if one.record["versions"].get("features") != self.schema.version:
            return OTHER_FEATURES
        placement = self.stock.brand.placements.get(one.record["placement"])
        if placement is None or not set(one.record["channels"]) <= set(placement.channels):
            return NO_SUCH_PLACE
        inputs, record = read_inputs(one.inputs, customer_key=0), one.record
        if inputs.withheld and actions_asking_for(
            self.stock, placement=record["placement"], channels=record["channels"], withheld=inputs.withheld
        ):
            return WITHHELD
        return None

    def decision(self, one: Recorded, carried: Carried) -> Decision:
        """The decision; only where `why_not` has nothing against it.

        Args:
            one: as it was recorded.
            carried: what those before it would have left.
        """
        record, stock = one.record, self.stock
        inputs = read_inputs(one.inputs or "", customer_key=int(record["customer_key"]))
        models = self._models(one)
        (scored,) = score_customers(
            [inputs.customer], models=models or ServedModels(), schema=self.schema, brand=stock.brand, at=one.at
        )
        if models is None or inputs.told:
            scored = replace(scored, scores=recorded_scores(one))
        asking = NOT_ASKING
        if models is not None and not inputs.told:
            asking = imagine(
                Asking.of_dict(inputs.questions),
                inputs.customer,
                models=models,
                schema=self.schema,
                brand=stock.brand,
                at=one.at,
            )
        draws = tuple(record["draws"])
        request = inputs.asking(placement=record["placement"], channels=tuple(record["channels"]), limit=len(draws))
        new = {name: n for name, n in inputs.new.items() if name in stock.shelf.offerables}
        if stock.brand.exploration.exposures:
            new |= dict.fromkeys(self.added, 0)
        (prepared,) = stock.composer.prepare(
            request,
            scored,
            Inputs(
                decision_ids=(one.decision_id,),
                at=one.at,
                draws=draws,
                rates=RatesOfThen(record, inputs.rates, self.rates, reconsidered=self.reconsidered),
                versions=stock.versions,
                new=new,
                asking=asking,
                expected=ExpectedThen(record) if models is None or inputs.told else models.expected,
            ),
        )
        return settle(
            prepared,
            carried.facts(facts_of(record["counters"], terms=stock.rules.terms), to_us(one.at)),
            stock.rules,
            drawn=frozenset(record["drawn_elsewhere"]),
            said=frozenset(record["said_elsewhere"]),
        )

    def _models(self, one: Recorded) -> ServedModels | None:
        """The models that scored the customer then; None where one of them is gone."""
        try:
            return models_of(self.workspace, one, self.schema)
        except CannotRecreateError:
            return None
