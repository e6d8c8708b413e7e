"""From a scored customer to everything that may be said to them: no store, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain

from experiments.assignment import assign
from features.brand import Brand
from features.catalogue import NOTHING, Action
from features.packing import CustomerState
from features.rendering import RenderedMessage
from features.schema import FeatureSchema
from serving.decide import Decision
from serving.eligibility import Offerable, Suppressed
from serving.knowns import Knowns
from serving.next_question.asking import NOT_ASKING, Asking
from serving.next_question.weighing import weighed_questions
from serving.offers import Offer, Prepared, Situation
from serving.policy import policy_for
from serving.replaying.inputs import written_inputs
from serving.replaying.used_rates import UsedRates
from serving.schemas import Asked, DecisionRequest
from serving.scoring import ScoredCustomer
from serving.shelf import Place, Shelf
from serving.values import Rates, Valuation, value_action, value_of_nothing

EXCLUDED = "excluded"
NOT_A_CANDIDATE = "not_a_candidate"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the decisions of one request take from outside, beside the request and the customer.

    Attributes:
        decision_ids: one a place that is asked for.
        at: the instant.
        draws: one a slot, over all places in their order.
        rates: as they stand.
        versions: of every input, by name.
        new: the exposures so far of actions that have not had those that exploration gives them.
        asking: what the customer may be asked, and what that would tell.
    """

    decision_ids: tuple[str, ...]
    at: datetime
    draws: tuple[float, ...]
    rates: Rates
    versions: Mapping[str, str]
    new: Mapping[str, int] = field(default_factory=dict)
    asking: Asking = NOT_ASKING


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with the customer that it was made for, and the coupon codes that it gives out, by slot."""

    decision: Decision
    scored: ScoredCustomer
    codes: Mapping[int, str] = field(default_factory=dict)

    @property
    def locale(self) -> str:
        """In which the customer is spoken to, if there is a rendering in it."""
        return self.decision.prepared.locale

    @property
    def message(self) -> RenderedMessage | None:
        """What the customer reads first; None where nothing is said."""
        offer = self.decision.slots[0].offer
        return offer.message if offer else None


class Composer:
    """One brand's way from a scored customer to what competes in each place."""

    def __init__(self, brand: Brand, schema: FeatureSchema, shelf: Shelf) -> None:
        self._brand = brand
        self._shelf = shelf
        self._knowns = Knowns(brand, schema)

    def prepare(self, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs) -> list[Prepared]:
        """Everything but the counters, for each place that is asked for.

        Args:
            request: checked against the brand.
            scored: the customer.
            inputs: the instant, the draws, the rates, the versions.
        """
        if inputs.asking is not NOT_ASKING:
            return self._asking(request, scored, inputs)
        written = written_inputs(request, scored.customer, new=inputs.new)
        return self._places(request, scored, inputs, written)

    def _asking(self, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs) -> list[Prepared]:
        """With questions, whose worth rests on rates that no candidate has: they are noted."""
        rates = UsedRates(inputs.rates)
        prepared = self._places(request, scored, replace(inputs, rates=rates), None)
        written = written_inputs(
            request, scored.customer, new=inputs.new, questions=inputs.asking.as_dict(), rates=rates.used()
        )
        return [replace(one, inputs=written) for one in prepared]

    def _places(
        self, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs, written: str | None
    ) -> list[Prepared]:
        draws = iter(inputs.draws)
        return [
            self._prepared(
                asked, request, scored, inputs, decision_id, tuple(next(draws) for _ in range(asked.limit)), written
            )
            for asked, decision_id in zip(request.asked, inputs.decision_ids, strict=True)
        ]

    def _prepared(
        self,
        asked: Asked,
        request: DecisionRequest,
        scored: ScoredCustomer,
        inputs: Inputs,
        decision_id: str,
        draws: tuple[float, ...],
        written: str | None,
    ) -> Prepared:
        brand, customer = self._brand, scored.customer
        state = customer.state if isinstance(customer.state, CustomerState) else None
        locale = request.locale or (state.locale if state else None) or brand.default_locale
        assignment = assign(
            customer.customer_key, salt=brand.name, holdout_rate=brand.holdout_rate, experiment=brand.experiment
        )
        placement = brand.placements[asked.placement]
        there = [
            self._there(self._shelf.place(asked.placement, channel), request, scored, inputs, locale=locale)
            for channel in asked.channels
        ]
        is_alone = len(there) == 1
        offers: list[Offer] = []
        suppressed: list[Suppressed] = []
        for one in there:
            for judged in chain(one.judged(is_alone=is_alone), self._questions(one, request, is_alone=is_alone)):
                (offers if isinstance(judged, Offer) else suppressed).append(judged)  # type: ignore[arg-type]
        return Prepared(
            situation=Situation(
                decision_id=decision_id,
                customer_key=customer.customer_key,
                decided_at=inputs.at,
                placement=asked.placement,
                initiated_by=placement.initiated_by,
                channels=asked.channels,
                locale_asked=request.locale,
            ),
            placement=placement,
            assignment=assignment,
            scores=scored.scores,
            offers=tuple(offers),
            nothing=_silence([one.place for one in there], scored, inputs.rates),
            suppressed=tuple(suppressed),
            answers=tuple(offer for one in there for offer in one.answers(is_alone=is_alone)),
            policy=policy_for(placement, brand=brand, arm=assignment.arm),
            draws=draws,
            versions=inputs.versions,
            locale=locale,
            zone=state.time_zone if state else None,
            consents=state.consents if state else (),
            reward_scale=brand.rewards.reward_scale,
            new=inputs.new,
            exploration=brand.exploration,
            unknown_intent=self._unknown_intent(request),
            off_script=self._off_script(there, request, is_alone=is_alone),
            conversation_id=request.context.conversation_id,
            is_deferred=request.defer,
            inputs=written,
        )

    def _there(
        self, place: Place, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs, *, locale: str
    ) -> _There:
        values = self._knowns.values(place.names, scored, place, locale=locale, context=request.context)
        named = request.candidate_actions
        return _There(
            shelf=self._shelf,
            place=place,
            scored=scored,
            inputs=inputs,
            values=values,
            locale=locale,
            session_open=request.context.session_open,
            only=None if named is None else frozenset(named),
            never=frozenset(request.excluded_actions or ()),
        )

    def _questions(self, one: _There, request: DecisionRequest, *, is_alone: bool) -> Iterator[Offer | Suppressed]:
        """What may be asked there, and what is not worth asking."""
        if not one.place.questions:
            return iter(())
        inputs, placement = one.inputs, one.place.placement
        return weighed_questions(
            one,
            elsewise=lambda scored: self._there(one.place, request, scored, inputs, locale=one.locale),
            asking=inputs.asking,
            cost=self._brand.rewards.question_cost + one.place.channel.price,
            why_not=lambda action: inputs.asking.why_not(action, placement, at=inputs.at),
            is_alone=is_alone,
        )

    def _unknown_intent(self, request: DecisionRequest) -> str | None:
        """What the customer wants, where the brand lists its intents and this is none of them."""
        intent, known = request.context.intent, self._brand.intents
        return intent if known and intent not in known else None

    def _off_script(self, there: Sequence[_There], request: DecisionRequest, *, is_alone: bool) -> Offer | None:
        """What answers an intent that the brand does not know; None where it knows it, or says nothing special."""
        if self._unknown_intent(request) is None:
            return None
        return next((offer for one in there for offer in one.off_script(is_alone=is_alone)), None)


@dataclass(frozen=True, slots=True)
class _There:
    """One place on one channel, for one customer at one instant."""

    shelf: Shelf
    place: Place
    scored: ScoredCustomer
    inputs: Inputs
    values: Mapping[str, object]
    locale: str
    session_open: bool
    only: frozenset[str] | None  # the actions that the caller would have offered; None for all
    never: frozenset[str]  # the actions that the caller would not have said

    def judged(self, *, is_alone: bool, of: Sequence[Offerable] | None = None) -> Iterator[Offer | Suppressed]:
        """Every action of the place: offered, or kept away by the first of the catalogue's rules that does."""
        offerables = self.place.offerables if of is None else of
        channel = "" if is_alone else self.place.channel_name
        for offerable in offerables:
            if (rule := self._not_wanted(offerable.action.id)) is not None:
                yield Suppressed(offerable.action.id, rule, channel=channel)
                continue
            message = self.shelf.judged(
                offerable,
                self.place,
                at=self.inputs.at,
                locale=self.locale,
                values=self.values,
                session_open=self.session_open,
            )
            if isinstance(message, Suppressed):
                yield replace(message, channel=channel) if channel else message
            else:
                yield self._offer(offerable, message, is_alone=is_alone)

    def answers(self, *, is_alone: bool) -> Iterator[Offer]:
        """The placement's fallback and baseline where they can be said, whatever keeps an offer away."""
        return self._said(self.place.answers, is_alone=is_alone)

    def off_script(self, *, is_alone: bool) -> Iterator[Offer]:
        """What the placement says to an intent that the brand does not know, where it can be said."""
        return self._said((self.place.off_script,) if self.place.off_script else (), is_alone=is_alone)

    def silence(self) -> Valuation | None:
        """What saying nothing is worth, where the brand would speak first."""
        return _silence((self.place,), self.scored, self.inputs.rates)

    def valued(self, action: Action) -> Valuation:
        """What taking an action is worth, whether or not it may be offered."""
        scores = self.scored.scores
        return value_action(
            action,
            rate=self.inputs.rates.rate(action.id, segment=scores.segment, stage=scores.stage),
            purchase_propensity=scores.purchase_propensity,
            channel_price=self.place.channel.price,
        )

    def _said(self, offerables: Sequence[Offerable], *, is_alone: bool) -> Iterator[Offer]:
        for offerable in offerables:
            if offerable.action.id in self.never:
                continue
            message = self.shelf.rendered(
                offerable, self.place, locale=self.locale, values=self.values, session_open=self.session_open
            )
            if isinstance(message, RenderedMessage):
                yield self._offer(offerable, message, is_alone=is_alone)

    def _not_wanted(self, action_id: str) -> str | None:
        """Why the caller would not have this action offered; None where they would."""
        if action_id in self.never:
            return EXCLUDED
        return NOT_A_CANDIDATE if self.only is not None and action_id not in self.only else None

    def _offer(self, offerable: Offerable, message: RenderedMessage, *, is_alone: bool) -> Offer:
        action, price = offerable.action, self.place.channel.price
        return Offer(
            key=action.id if is_alone else f"{action.id}@{self.place.channel_name}",
            action=action,
            channel=self.place.channel_name,
            place=self.place,
            valuation=self.valued(action),
            message=message,
            cost=(action.incentive.cost if action.incentive else 0.0) + price,
        )


def _silence(places: Sequence[Place], scored: ScoredCustomer, rates: Rates) -> Valuation | None:
    if places[0].placement.initiated_by != "brand":
        return None
    rate = rates.rate(NOTHING, segment=scored.scores.segment, stage=scored.scores.stage)
    return value_of_nothing(rate=rate, goal_value=_goal_value(places))


def _goal_value(places: Iterable[Place]) -> float:
    """The mean margin of a reached goal, by the values of what could be said on any of the channels."""
    values = {offerable.action.id: offerable.action.value for place in places for offerable in place.offerables}
    return sum(values.values()) / len(values) if values else 0.0
