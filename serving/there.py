"""One place on one channel, for one customer at one instant: what may be said there by the catalogue's own rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec
from msgspec.structs import replace as with_fields

from features.catalogue import NOTHING, Action
from features.rendering import NotRenderable, RenderedMessage
from serving.candidates import head_of
from serving.eligibility import Offerable, Suppressed
from serving.inputs import Inputs
from serving.offers import Offer, Sayable
from serving.remembered import PlaceMemory
from serving.scoring import ScoredCustomer
from serving.shelf import Place, Shelf, evaluated, not_renderable, slot_values
from serving.values import Rates, Valuation, value_action, value_of_nothing

EXCLUDED = "excluded"
NOT_A_CANDIDATE = "not_a_candidate"


class There(msgspec.Struct, frozen=True):
    """One place on one channel, for one customer at one instant."""

    shelf: Shelf
    memory: PlaceMemory
    place: Place
    scored: ScoredCustomer
    inputs: Inputs
    values: Mapping[str, object]
    locale: str
    session_open: bool
    only: frozenset[str] | None  # the actions that the caller would have offered; None for all
    never: frozenset[str]  # the actions that the caller would not have said
    rewards: Mapping[str, float] = msgspec.field(default_factory=dict)  # by action, where the response model says so

    def competing(self, *, is_alone: bool) -> tuple[Sequence[Offer], tuple[Suppressed, ...]]:
        """The actions of the place that may be offered, and those that the catalogue's own rules keep away."""
        offers, suppressed = self.memory.competing(self, is_alone=is_alone)
        return [self._own(one) for one in offers] if self.rewards else offers, suppressed

    def judged(self, offerable: Offerable, *, is_alone: bool) -> Offer | Suppressed:
        """One action, offered or kept away, by nothing that is remembered."""
        if (not_wanted := self.not_wanted(offerable, is_alone=is_alone)) is not None:
            return not_wanted
        found = self.judged_one(offerable)
        if isinstance(found, Suppressed):
            return self.on_channel(found, is_alone=is_alone)
        return self.offer(offerable, found, is_alone=is_alone)

    def not_wanted(self, offerable: Offerable, *, is_alone: bool) -> Suppressed | None:
        """Why the caller would not have this action offered; None where they would."""
        action_id = offerable.action.id
        if action_id in self.never:
            rule = EXCLUDED
        elif self.only is not None and action_id not in self.only:
            rule = NOT_A_CANDIDATE
        else:
            return None
        return self.on_channel(Suppressed(action_id, rule), is_alone=is_alone)

    def answers(self, *, is_alone: bool) -> Iterator[Offer]:
        """The placement's fallback and baseline where they can be said, whatever keeps an offer away."""
        found = self.memory.answers(self, is_alone=is_alone)
        for offerable, one in zip(self.place.answers, found, strict=True):
            if isinstance(one, Offer) and one.action.id not in self.never:
                yield self._own(one)
            else:
                yield from self._said((offerable,), is_alone=is_alone)

    def off_script(self, *, is_alone: bool) -> Iterator[Offer]:
        """What the placement says to an intent that the brand does not know, where it can be said."""
        return self._said((self.place.off_script,) if self.place.off_script else (), is_alone=is_alone)

    def silence(self) -> Valuation | None:
        """What saying nothing is worth, where the brand would speak first."""
        return silence_at((self,), self.scored, self.inputs.rates)

    def valued(self, action: Action) -> Valuation:
        """What taking an action is worth, whether or not it may be offered."""
        return self._valued(action, reward=self.rewards.get(action.id))

    def _valued(self, action: Action, *, reward: float | None) -> Valuation:
        scores = self.scored.scores
        return value_action(
            action,
            rate=self.inputs.rates.rate(action.id, segment=scores.segment, stage=scores.stage),
            purchase_propensity=scores.purchase_propensity,
            channel_price=self.place.channel.price,
            reward=reward,
        )

    def _said(self, offerables: Sequence[Offerable], *, is_alone: bool) -> Iterator[Offer]:
        for offerable in offerables:
            if offerable.action.id in self.never:
                continue
            message = self.rendered(offerable)
            if isinstance(message, RenderedMessage):
                yield self.offer(offerable, message, is_alone=is_alone)

    def _own(self, found: Offer) -> Offer:
        """What is said to many as it is to this customer: by what is expected of them, or their likelihood to buy."""
        reward = self.rewards.get(found.action.id)
        if reward is None and found.action.incentive is None:
            return found
        valuation = value_action(
            found.action,
            rate=found.valuation.rate,
            purchase_propensity=self.scored.scores.purchase_propensity,
            channel_price=found.place.channel.price,
            reward=reward,
        )
        return Offer(found.key, found.action, found.channel, found.place, valuation, found.said, found.cost, found.head)

    def on_channel(self, found: Suppressed, *, is_alone: bool) -> Suppressed:
        """With the channel, where several were asked for."""
        return found if is_alone else replace(found, channel=self.place.channel_name)

    def judged_one(self, offerable: Offerable) -> RenderedMessage | Suppressed:
        """The message where an action may be offered, else the first of the catalogue's rules that keeps it away."""
        return self.shelf.judged(
            offerable,
            self.place,
            at=self.inputs.at,
            locale=self.locale,
            values=self.values,
            session_open=self.session_open,
        )

    def rendered(self, offerable: Offerable) -> RenderedMessage | NotRenderable:
        """The message, or why it cannot be said; whatever the catalogue's rules say."""
        return self.written(
            offerable, slot_values(offerable, lambda expression: self.memory.known(evaluated, expression, self.values))
        )

    def written(self, offerable: Offerable, slots: Mapping[str, object]) -> RenderedMessage | NotRenderable:
        """As `rendered`, with the slots whose values are known."""
        return self.shelf.written(
            offerable, self.place, locale=self.locale, slots=slots, session_open=self.session_open
        )

    def is_surely_said(self, offerable: Offerable, slots: Mapping[str, object]) -> bool:
        """Whether an action that can be said with these slots can be with any ordinary ones: see `is_surely_said`."""
        return self.shelf.is_surely_said(
            offerable, self.place, locale=self.locale, slots=slots, session_open=self.session_open
        )

    def offered(
        self,
        offerable: Offerable,
        said: Sayable | NotRenderable | Suppressed | None,
        *,
        offers: dict[str, Offer],
        is_alone: bool,
    ) -> Offer | Suppressed | None:
        """What was judged, as it is offered to anybody here or kept away; None where its text is not known yet.

        Args:
            offerable: the action.
            said: its text, or why there is none.
            offers: of this place, by action, for customers of this segment and stage; a new one is added.
            is_alone: whether this is the only channel that was asked for.
        """
        if isinstance(said, Sayable):
            action = offerable.action
            known = offers.get(action.id)
            if known is None:
                offer = self.offer(offerable, said, valuation=self._valued(action, reward=None), is_alone=is_alone)
                head = head_of(action.id, offer.key, offer.valuation.rate)
                known = offers[action.id] = with_fields(offer, head=head)
            elif known.said is not said:
                known = offers[action.id] = with_fields(known, said=said)
            return known
        if isinstance(said, NotRenderable):
            said = not_renderable(offerable, said)
        return None if said is None else self.on_channel(said, is_alone=is_alone)

    def offer(
        self,
        offerable: Offerable,
        said: Sayable,
        *,
        is_alone: bool,
        valuation: Valuation | None = None,
    ) -> Offer:
        """The action with its message and its worth, ready to be said.

        Args:
            offerable: the action.
            said: the message as the customer would read it.
            is_alone: whether this is the only channel that was asked for.
            valuation: its worth, where that is not to be this customer's own.
        """
        action, price = offerable.action, self.place.channel.price
        return Offer(
            key=action.id if is_alone else f"{action.id}@{self.place.channel_name}",
            action=action,
            channel=self.place.channel_name,
            place=self.place,
            valuation=self.valued(action) if valuation is None else valuation,
            said=said,
            cost=(action.incentive.cost if action.incentive else 0.0) + price,
        )


def silence_at(there: Sequence[There], scored: ScoredCustomer, rates: Rates) -> Valuation | None:
    """What saying nothing is worth in these places, where the brand would speak first."""
    if there[0].place.placement.initiated_by != "brand":
        return None
    rate = rates.rate(NOTHING, segment=scored.scores.segment, stage=scored.scores.stage)
    goal_value = _goal_value([one.place for one in there])
    return value_of_nothing(rate=rate, goal_value=goal_value, reward=there[0].rewards.get(NOTHING))


def _goal_value(places: Iterable[Place]) -> float:
    """The mean margin of a reached goal, by the values of what could be said on any of the channels."""
    values = {offerable.action.id: offerable.action.value for place in places for offerable in place.offerables}
    return sum(values.values()) / len(values) if values else 0.0
