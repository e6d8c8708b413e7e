"""From a scored customer to everything that may be said to them: no store, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec
from msgspec.structs import replace

from experiments.assignment import assign
from features.brand import Brand
from features.packing import CustomerState
from features.rendering import RenderedMessage
from features.schema import FeatureSchema
from serving.decide import Decision
from serving.eligibility import Suppressed
from serving.inputs import Inputs
from serving.knowns import Knowns
from serving.lineup import Offers
from serving.next_question.asking import NOT_ASKING
from serving.next_question.weighing import weighed_questions
from serving.offers import Offer, Prepared, Situation, comparable
from serving.policy import policy_for
from serving.remembered import PlaceMemory
from serving.replaying.inputs import written_inputs
from serving.replaying.used_rates import UsedRates
from serving.schemas import Asked, DecisionRequest
from serving.scoring import ScoredCustomer
from serving.shelf import Place, Shelf
from serving.there import There, silence_at
from serving.values import Valuation

__all__ = ["Composer", "Decided", "Inputs"]


class Decided(msgspec.Struct, frozen=True):
    """A decision with the customer that it was made for, and the coupon codes that it gives out, by slot."""

    decision: Decision
    scored: ScoredCustomer
    codes: Mapping[int, str] = msgspec.field(default_factory=dict)

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
        self._shelf, self._knowns = shelf, Knowns(brand, schema)
        self.forget()

    def forget(self) -> None:
        """Lets go of everything that is remembered of whom was decided on."""
        self._memory = PlaceMemory(self._shelf.offerables.values())

    def prepare(self, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs) -> list[Prepared]:
        """Everything but the counters, for each place that is asked for.

        Args:
            request: checked against the brand.
            scored: the customer.
            inputs: the instant, the draws, the rates, the versions.
        """
        if inputs.asking is not NOT_ASKING:
            return self._asking(request, scored, inputs)
        written = written_inputs(request, scored.customer, new=inputs.new, intents=self._brand.intents)
        return self._places(request, scored, inputs, written)

    def _asking(self, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs) -> list[Prepared]:
        """With questions, whose worth rests on rates that no candidate has: they are noted."""
        rates = UsedRates(inputs.rates)
        prepared = self._places(request, scored, replace(inputs, rates=rates), None)
        written = written_inputs(
            request,
            scored.customer,
            new=inputs.new,
            questions=inputs.asking.as_dict(),
            rates=rates.used(),
            intents=self._brand.intents,
        )
        return [replace(one, inputs=written) for one in prepared]

    def _places(
        self, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs, written: str | None
    ) -> list[Prepared]:
        draws = iter(inputs.draws)
        return [
            self._prepared(asked, request, scored, inputs, decision_id, tuple(islice(draws, asked.limit)), written)
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
        is_alone, unknown = len(there) == 1, self._unknown_intent(request)
        offers, nothing, suppressed = self._competing(there, request, scored, inputs)
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
            offers=offers,
            nothing=nothing,
            suppressed=suppressed,
            answers=tuple([offer for one in there for offer in one.answers(is_alone=is_alone)]),
            policy=policy_for(placement, brand=brand, arm=assignment.arm),
            draws=draws,
            versions=inputs.versions,
            locale=locale,
            zone=state.time_zone if state else None,
            consents=state.consents if state else (),
            reward_scale=brand.rewards.reward_scale,
            new=inputs.new,
            exploration=brand.exploration,
            unknown_intent=unknown,
            off_script=self._off_script(there, unknown, is_alone=is_alone),
            conversation_id=request.context.conversation_id,
            is_deferred=request.defer,
            inputs=written,
        )

    def _competing(
        self, there: Sequence[There], request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs
    ) -> tuple[Sequence[Offer], Valuation | None, tuple[Suppressed, ...]]:
        """What competes on all channels together, what silence is worth, and what the catalogue keeps away."""
        is_alone, silence = len(there) == 1, silence_at(there, scored, inputs.rates)
        found: list[Offer] = []
        suppressed: list[Suppressed] = []
        for one in there:
            offers, kept_away = one.competing(is_alone=is_alone)
            if is_alone and not one.place.questions and isinstance(offers, Offers):
                return offers, silence, kept_away  # columns: by their rates alone, so on one scale
            asked = list(self._questions(one, request, is_alone=is_alone))
            found += [*offers, *(judged for judged in asked if isinstance(judged, Offer))]
            suppressed += [*kept_away, *(judged for judged in asked if isinstance(judged, Suppressed))]
        compared, nothing = comparable(found, silence)
        return Offers.of(compared), nothing, tuple(suppressed)

    def _there(
        self, place: Place, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs, *, locale: str
    ) -> There:
        values = self._knowns.values(place.names, scored, place, locale=locale, context=request.context)
        named = request.candidate_actions
        return There(
            self._shelf,
            self._memory,
            place,
            scored,
            inputs,
            values,
            locale,
            request.context.session_open,
            None if named is None else frozenset(named),
            frozenset(request.excluded_actions or ()),
            inputs.expected.rewards(scored, place),
        )

    def _questions(self, one: There, request: DecisionRequest, *, is_alone: bool) -> Iterator[Offer | Suppressed]:
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

    def _off_script(self, there: Sequence[There], unknown: str | None, *, is_alone: bool) -> Offer | None:
        """What answers an intent that the brand does not know; None where it knows it, or says nothing special."""
        if unknown is None:
            return None
        return next((offer for one in there for offer in one.off_script(is_alone=is_alone)), None)
