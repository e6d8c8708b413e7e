"""What competes in one place, as columns: what holds of many customers once, and a customer's own as numbers.

Customers of one segment and stage to whom the same rules let the same actions through share a `Lineup`: its offers as
they are made to anybody, and all that follows from them alone (the order of their keys, the bytes by which a record
tells of them, the distributions of policies that look only at which of them are the best). A customer's own are the
values of incentives, which cost by their likelihood to buy, and texts with slots. So `Offers` are a line-up, numbers
and texts; an `Offer` is made of them where somebody looks at it: for what is drawn, explained or replayed.

Invariant: an offer that is made here is the one that would have been made for this customer alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, overload

import msgspec

from experiments.by_rate import after_incentives, before_incentive
from features.brand import Exploration, Policy
from features.catalogue import NOTHING
from serving.candidates import recorded_head, recorded_offers
from serving.explaining.amounts import told_amount
from serving.offers import Offer, Sayable
from serving.policy import Distribution, distribution_over, looks_at_the_best_only
from serving.values import Valuation, comes_anyway

if TYPE_CHECKING:
    from collections.abc import Mapping

REMEMBERED = 256
"""Of the distributions over one line-up, by what is best in it."""

LEFT_REMEMBERED = 1_024
"""Of what is left of one line-up, and of that, and so on: draws of a list may leave any of millions."""

_NUMBERS = msgspec.json.Encoder()


class Lineup(Sequence[Offer]):
    """Offers as they are made to anybody of whom the same holds, in the catalogue's order.

    Args:
        offers: as to anybody.
        priced: where those stand whose value is a customer's own: their incentive costs by the likelihood to buy.
        texts: of each offer which of a customer's own texts it says; None where its own. None where each says its own.
        room: so many more are remembered that are left of one line-up, or left of those; None for one of which all are.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        *,
        priced: Sequence[int] = (),
        texts: Sequence[int | None] | None = None,
        room: list[int] | None = None,
    ) -> None:
        self.offers = tuple(offers)
        self.priced = tuple(priced)
        self.texts = None if texts is None else tuple(texts)
        self._is_whole, self._room = room is None, [LEFT_REMEMBERED] if room is None else room
        self._left: dict[tuple[bool, ...], Lineup] = {}
        self._distributions: dict[tuple[object, ...], Distribution] = {}

    @overload
    def __getitem__(self, place: int) -> Offer: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Offer, ...]: ...
    def __getitem__(self, place: int | slice) -> Offer | tuple[Offer, ...]:
        return self.offers[place]

    def __len__(self) -> int:
        return len(self.offers)

    def __iter__(self) -> Iterator[Offer]:
        return iter(self.offers)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Of each offer, as distributions call it."""
        return tuple([offer.key for offer in self.offers])

    @cached_property
    def action_ids(self) -> tuple[str, ...]:
        """Of each offer."""
        return tuple([offer.action.id for offer in self.offers])

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where each offer stands, by its key."""
        return {key: place for place, key in enumerate(self.keys)}

    @cached_property
    def kinds(self) -> frozenset[tuple[str, str, str | None]]:
        """Channel, purpose and trait that is asked for: what rules that look at no contact may look at."""
        return kinds_of(self.offers)

    @cached_property
    def values(self) -> tuple[float, ...]:
        """Of each offer, as to anybody."""
        return tuple([offer.valuation.value for offer in self.offers])

    @cached_property
    def _told(self) -> tuple[float, ...]:
        """The values as people are told them."""
        return tuple([told_amount(value) for value in self.values])

    def told(self, values: Sequence[float]) -> list[float]:
        """As people are told them: those of a customer, which differ where an incentive costs by them."""
        told = list(self._told)
        for place in self.priced:
            told[place] = told_amount(values[place])
        return told

    @cached_property
    def is_by_rate(self) -> bool:
        """Whether no response model expects anything of any of them."""
        return all(offer.valuation.reward is None for offer in self.offers)

    @cached_property
    def _incentives(self) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
        """Of each priced offer its worth before the incentive, what that costs, and its rate."""
        mine = [self.offers[place] for place in self.priced]
        gained = [
            before_incentive(one.action, rate=one.valuation.rate.rate, channel_price=one.place.channel.price)
            for one in mine
        ]
        costs = [one.action.incentive.cost for one in mine if one.action.incentive is not None]
        return tuple(gained), tuple(costs), tuple([one.valuation.rate.rate for one in mine])

    @cached_property
    def _told_of_all(self) -> bytes:
        """How a record tells of the candidates; where a value is a customer's own, `%b` stands for it."""
        parts: list[bytes] = []
        start = 0
        for place in (*self.priced, len(self.offers)):
            if told := recorded_offers(self.offers[start:place]):
                parts.append(told.replace(b"%", b"%%"))
            if place < len(self.offers):
                parts.append(recorded_head(self.offers[place]).replace(b"%", b"%%") + b"%b}")
            start = place + 1
        return b",".join(parts)

    def values_for(self, purchase_propensity: float | None) -> list[float]:
        """The values for a customer of this likelihood to buy."""
        values = list(self.values)
        if self.priced:
            own = after_incentives(*self._incentives, purchase_propensity=purchase_propensity)
            for place, value in zip(self.priced, own, strict=True):
                values[place] = value
        return values

    def recorded(self, values: Sequence[float]) -> bytes:
        """How a record tells of the candidates, of which these are the values: a list in JSON, still open."""
        own = [values[place] for place in self.priced]
        return self._told_of_all % tuple(_NUMBERS.encode(own)[1:-1].split(b",") if own else ())

    def left(self, stays: tuple[bool, ...]) -> Lineup:
        """The line-up without those that do not stay."""
        if (found := self._left.get(stays)) is None:
            if self._is_whole and self._room[0] <= 0:
                self._left.clear()
                self._room[0] = LEFT_REMEMBERED
            found = self._made_of(stays)
            if self._room[0] > 0:
                self._room[0] -= 1
                self._left[stays] = found
        return found

    def _made_of(self, stays: tuple[bool, ...]) -> Lineup:
        numbers = list(compress(range(len(self.offers)), stays))
        now = {before: place for place, before in enumerate(numbers)}
        return Lineup(
            [self.offers[number] for number in numbers],
            priced=[now[number] for number in self.priced if number in now],
            texts=None if self.texts is None else [self.texts[number] for number in numbers],
            room=self._room,
        )

    def distribution(
        self,
        values: Sequence[float],
        nothing: Valuation | None,
        policy: Policy,
        *,
        reward_scale: float | None,
        new: Collection[str],
        exploration: Exploration,
    ) -> Distribution:
        """The policy's distribution over these and, where it competes, silence.

        Args:
            values: of each offer.
            nothing: what silence is worth; None where it does not compete.
            policy: by name, with its parameters.
            reward_scale: as `distribution_over` takes it.
            new: the ids of actions that are explored.
            exploration: how far they are.
        """
        anyway = 0.0
        if not self.is_by_rate or (nothing is not None and nothing.reward is not None):
            silence = [] if nothing is None else [nothing]
            anyway = comes_anyway([offer.valuation for offer in self.offers] + silence)
        is_new = [action_id in new for action_id in self.action_ids] if new else []
        explored = frozenset(compress(self.keys, is_new))

        def made() -> Distribution:
            by_key = dict(zip(self.keys, values, strict=True))
            if nothing is not None:
                by_key[NOTHING] = nothing.value
            return distribution_over(
                by_key, policy, reward_scale=reward_scale, new=explored, exploration=exploration, anyway=anyway
            )

        if not looks_at_the_best_only(policy):
            return made()
        # Silence that is not the best has its share of what is explored: whether it competes belongs to the key.
        best = (nothing is None, _best(values, None if nothing is None else nothing.value))
        key = (*best, policy.name, policy.epsilon, explored, exploration.share)
        if (found := self._distributions.get(key)) is None:
            if len(self._distributions) >= REMEMBERED:
                self._distributions.clear()
            found = self._distributions[key] = made()
        return found


class Offers(Sequence[Offer]):
    """What competes for one customer: a line-up with the customer's own values and texts.

    Attributes:
        lineup: what holds of others as well.
        values: of each offer, for this customer.
        texts: the customer's own, as the line-up counts them.
    """

    __slots__ = ("_made", "lineup", "texts", "values")

    def __init__(self, lineup: Lineup, values: Sequence[float], texts: Sequence[Sayable | None] = ()) -> None:
        self.lineup, self.values, self.texts = lineup, values, texts
        self._made: dict[int, Offer] = {}

    @classmethod
    def of(cls, offers: Sequence[Offer]) -> Offers:
        """Offers that are made already."""
        if isinstance(offers, Offers):
            return offers
        lineup = Lineup(offers)
        return cls(lineup, lineup.values)

    @overload
    def __getitem__(self, place: int) -> Offer: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Offer, ...]: ...
    def __getitem__(self, place: int | slice) -> Offer | tuple[Offer, ...]:
        if isinstance(place, slice):
            return tuple(self)[place]
        place = range(len(self.values))[place]
        if (made := self._made.get(place)) is None:
            made = self._made[place] = self._offer(place)
        return made

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list

    def named(self, key: str) -> Offer | None:
        """The offer that a distribution calls so; None where there is none."""
        place = self.lineup.places.get(key)
        return None if place is None else self[place]

    def left(self, stays: tuple[bool, ...]) -> Offers:
        """Those that stay."""
        return Offers(self.lineup.left(stays), list(compress(self.values, stays)), self.texts)

    def _offer(self, place: int) -> Offer:
        lineup = self.lineup
        alike, value = lineup.offers[place], self.values[place]
        text = None if lineup.texts is None or (own := lineup.texts[place]) is None else self.texts[own]
        valuation = alike.valuation
        if valuation.value != value:
            valuation = Valuation(valuation.action_id, value, valuation.rate)
        if text is None and valuation is alike.valuation:
            return alike
        said = alike.said if text is None else text
        return Offer(alike.key, alike.action, alike.channel, alike.place, valuation, said, alike.cost, alike.head)


def kinds_of(offers: Iterable[Offer]) -> frozenset[tuple[str, str, str | None]]:
    """Channel, purpose and trait that is asked for, of each."""
    return frozenset([(offer.channel, offer.action.purpose, offer.action.asks) for offer in offers])


def _best(values: Sequence[float], nothing: float | None) -> tuple[int, ...]:
    """Where the best of the values stand; silence behind them all."""
    best = max(values, default=nothing)
    if best is None or (nothing is not None and nothing > best):
        return (len(values),)
    if values.count(best) == 1:
        places: tuple[int, ...] = (values.index(best),)
    else:
        places = tuple([place for place, value in enumerate(values) if value == best])
    return places if nothing != best else (*places, len(values))
