"""Everything between reading a customer and writing their decision: no store, no clock, no randomness."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from experiments.assignment import assign
from features.brand import Brand
from features.catalogue import NOTHING
from features.packing import CustomerState
from features.rendering import RenderedMessage
from features.schema import FeatureSchema
from serving.contact.consent import missing_consent
from serving.decide import Availability, Decision, Situation, decide
from serving.eligibility import Offerable, Suppressed
from serving.knowns import Knowns
from serving.schemas import DecisionRequest
from serving.scoring import ScoredCustomer
from serving.shelf import Place, Shelf
from serving.values import Rates, Valuation, value_action, value_of_nothing


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one decision takes from outside, beside the request and the customer."""

    decision_id: str
    at: datetime
    draw: float
    rates: Rates
    versions: Mapping[str, str]
    unsubscribed: Collection[str] = ()  # channels that the customer has unsubscribed from


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with the message that the customer reads; None where nothing is said."""

    decision: Decision
    message: RenderedMessage | None
    locale: str
    scored: ScoredCustomer


class Composer:
    """One brand's way from a scored customer to a decision."""

    def __init__(self, brand: Brand, schema: FeatureSchema, shelf: Shelf) -> None:
        self._brand = brand
        self._shelf = shelf
        self._knowns = Knowns(brand, schema)

    def decide(self, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs) -> Decided:
        """The decision and its message.

        Args:
            request: checked against the brand.
            scored: the customer.
            inputs: the instant, the draw, the rates, the versions.
        """
        brand, customer = self._brand, scored.customer
        place = self._shelf.place(request.placement, request.channel)
        locale = request.locale or _own_locale(scored) or brand.default_locale
        values = self._knowns.values(place.names, scored, place, locale=locale, context=request.context)
        available = self._available(place, scored, request, inputs, locale=locale, values=values)
        decision = decide(
            Situation(
                decision_id=inputs.decision_id,
                customer_key=customer.customer_key,
                decided_at=inputs.at,
                placement=place.name,
                initiated_by=place.placement.initiated_by,
                channel=place.channel_name,
                locale_asked=request.locale,
            ),
            placement=place.placement,
            assignment=assign(customer.customer_key, salt=brand.name, holdout_rate=brand.holdout_rate),
            scores=scored.scores,
            available=available,
            policy=place.placement.policy or brand.policy,
            draw=inputs.draw,
            versions=inputs.versions,
        )
        message = None
        if decision.action_id != NOTHING:
            offerable = self._shelf.offerables[decision.action_id]
            rendered = self._shelf.rendered(
                offerable, place, locale=locale, values=values, session_open=request.context.session_open
            )
            message = rendered if isinstance(rendered, RenderedMessage) else None
        return Decided(decision, message, locale, scored)

    def _available(
        self,
        place: Place,
        scored: ScoredCustomer,
        request: DecisionRequest,
        inputs: Inputs,
        *,
        locale: str,
        values: Mapping[str, object],
    ) -> Availability:
        state = scored.customer.state
        consents = state.consents if isinstance(state, CustomerState) else ()
        no_consent = missing_consent(
            place.channel,
            channel_name=place.channel_name,
            initiated_by=place.placement.initiated_by,
            consents=consents,
            unsubscribed=inputs.unsubscribed,
        )
        session_open = request.context.session_open

        def why_not(offerable: Offerable) -> Suppressed | None:
            if no_consent is not None:
                return Suppressed(offerable.action.id, no_consent, detail=place.channel_name)
            return self._shelf.suppressed(
                offerable, place, at=inputs.at, locale=locale, values=values, session_open=session_open
            )

        verdicts = [(offerable, why_not(offerable)) for offerable in place.offerables]
        offered = [offerable for offerable, verdict in verdicts if verdict is None]
        return Availability(
            candidates=tuple(self._valued(place, offered, scored, inputs.rates)),
            suppressed=tuple(verdict for _, verdict in verdicts if verdict is not None),
            answers=frozenset(
                offerable.action.id
                for offerable in place.answers
                if isinstance(
                    self._shelf.rendered(offerable, place, locale=locale, values=values, session_open=session_open),
                    RenderedMessage,
                )
            ),
        )

    def _valued(self, place: Place, offered: list[Offerable], scored: ScoredCustomer, rates: Rates) -> list[Valuation]:
        scores = scored.scores
        valued = [
            value_action(
                offerable.action,
                rate=rates.rate(offerable.action.id, segment=scores.segment, stage=scores.stage),
                purchase_propensity=scores.purchase_propensity,
                channel_price=place.channel.price,
            )
            for offerable in offered
        ]
        if place.placement.initiated_by == "brand":
            rate = rates.rate(NOTHING, segment=scores.segment, stage=scores.stage)
            valued.append(value_of_nothing(rate=rate, goal_value=place.goal_value))
        return valued


def _own_locale(scored: ScoredCustomer) -> str | None:
    state = scored.customer.state
    return state.locale if isinstance(state, CustomerState) else None
