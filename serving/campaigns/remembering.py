"""What many customers of a campaign share is worked out once: judgements of actions, of offers, and rates.

Everything that an answer depends on is in the key under which it is remembered, so remembering changes nothing but the
time that it takes. A campaign remembers for as long as it lasts, and of each kind no more than so many.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.rendering import RenderedMessage
from features.schema import FeatureSchema
from serving.compose import Composer
from serving.contact.facts import Facts, Left
from serving.contact.rules import ContactRules
from serving.decide import Speaker
from serving.eligibility import Offerable, Suppressed, out_of_season
from serving.inputs import Inputs
from serving.offers import Offer
from serving.schemas import DecisionRequest
from serving.scoring import ScoredCustomer
from serving.shelf import Place, Shelf
from serving.stock import Stock
from serving.there import There
from serving.values import Rates

REMEMBERED = 50_000
_ABSENT = object()


class RememberingShelf(Shelf):
    """A shelf that remembers what it said of an action, by the values of the variables that the action names."""

    def __init__(self, shelf: Shelf) -> None:
        self.__dict__.update(shelf.__dict__)
        self._judged: dict[object, RenderedMessage | Suppressed] = {}
        self._names: dict[str, tuple[str, ...]] = {}

    def judged(
        self,
        offerable: Offerable,
        place: Place,
        *,
        at: datetime,
        locale: str,
        values: Mapping[str, object],
        session_open: bool,
    ) -> RenderedMessage | Suppressed:
        """As any shelf does."""
        if (early := out_of_season(offerable, at=at)) is not None:
            return early
        action_id = offerable.action.id
        if (names := self._names.get(action_id)) is None:
            names = self._names[action_id] = tuple(sorted(offerable.names))
        said = tuple([_key(values.get(name)) for name in names])
        key = (action_id, place.name, place.channel_name, locale, session_open, said)
        found = self._judged.get(key)
        if found is None:
            if len(self._judged) >= REMEMBERED:
                self._judged.clear()
            found = super().judged(offerable, place, at=at, locale=locale, values=values, session_open=session_open)
            self._judged[key] = found
        return found


class Memory:
    """What was judged in each place, by everything that it rests on but the customer's own likelihood to buy.

    Args:
        actions: of the catalogue, whose seasons begin and end.
    """

    def __init__(self, actions: Iterable[Offerable]) -> None:
        seasons = {instant for one in actions for instant in (one.valid_from, one.valid_until) if instant is not None}
        self._boundaries = sorted(seasons)
        self._names: dict[tuple[str, str], tuple[str, ...]] = {}
        self._rates: Rates | None = None
        self._judged: dict[object, tuple[Offer | Suppressed, ...]] = {}

    def judged(self, there: RememberingThere, *, is_alone: bool) -> tuple[Offer | Suppressed, ...]:
        """As the place judges; an offer with an incentive is worth what it was to the first one of these customers."""
        if there.inputs.rates is not self._rates or len(self._judged) >= REMEMBERED:
            self._judged.clear()
            self._rates = there.inputs.rates
        key = self._key(there, is_alone=is_alone)
        if (found := self._judged.get(key)) is None:
            found = self._judged[key] = tuple(There.judged(there, is_alone=is_alone))
        return found

    def _key(self, there: RememberingThere, *, is_alone: bool) -> tuple[object, ...]:
        place, scores, values = there.place, there.scored.scores, there.values
        if (names := self._names.get((place.name, place.channel_name))) is None:
            names = tuple(sorted(frozenset().union(*(one.names for one in place.offerables))))
            self._names[place.name, place.channel_name] = names
        said = tuple([_key(values.get(name)) for name in names])
        season = bisect_right(self._boundaries, there.inputs.at)
        where = (place.name, place.channel_name, is_alone, there.locale, there.session_open, season)
        return (*where, scores.segment, scores.stage, said)


@dataclass(frozen=True, slots=True)
class RememberingThere(There):
    """A place that asks the memory first."""

    memory: Memory

    def judged(self, *, is_alone: bool, of: Sequence[Offerable] | None = None) -> Iterator[Offer | Suppressed]:
        """As any place does."""
        if of is not None:
            yield from There.judged(self, is_alone=is_alone, of=of)
            return
        for one in self.memory.judged(self, is_alone=is_alone):
            if isinstance(one, Offer) and one.action.incentive is not None:
                yield Offer(one.key, one.action, one.channel, one.place, self.valued(one.action), one.message, one.cost)
            else:
                yield one


class RememberingComposer(Composer):
    """A composer of one campaign: the same question of all its customers."""

    def __init__(self, stock: Stock, schema: FeatureSchema) -> None:
        super().__init__(stock.brand, schema, RememberingShelf(stock.shelf))
        self._memory = Memory(stock.shelf.offerables.values())

    def _there(
        self, place: Place, request: DecisionRequest, scored: ScoredCustomer, inputs: Inputs, *, locale: str
    ) -> There:
        one = super()._there(place, request, scored, inputs, locale=locale)
        return RememberingThere(
            one.shelf,
            one.place,
            one.scored,
            one.inputs,
            one.values,
            one.locale,
            one.session_open,
            one.only,
            one.never,
            self._memory,
        )


class RememberingRules:
    """Contact rules that remember what they judged for customers to whom nothing of their own past applies.

    A cap counts some of the contacts, so nobody with fewer contacts than the lowest cap allows is kept away by one. For
    them, without a refusal or a carrier's limit, a verdict rests on their consents, their clock, what they unsubscribed
    from and the budgets. Everybody else is judged by the rules themselves.

    Args:
        rules: the contact rules.
        stock: whose brand and catalogue they are of.
        initiated_by: who speaks first in the campaign's place.
    """

    def __init__(self, rules: ContactRules, stock: Stock, *, initiated_by: Speaker) -> None:
        self._rules = rules
        caps = [*stock.brand.contact_policy.frequency_caps.values()]
        caps_of = [cap for action in stock.catalogue.actions for cap in action.caps]
        applying = [cap.at_most for cap in (*caps, *caps_of) if cap.governs in ("everyone", initiated_by)]
        self._harmless = min(applying, default=None)
        self._budgets: Mapping[str, Left] | None = None
        self._verdicts: dict[object, dict[tuple[str, str], Suppressed | None]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could keep an offer away."""
        return self._rules.is_empty

    def send_at(self, channel: str, initiated_by: Speaker, at: datetime, zone: str | None) -> datetime | None:
        """As the rules say."""
        return self._rules.send_at(channel, initiated_by, at, zone)

    def reserved_until(self, at: datetime) -> datetime:
        """As the rules say."""
        return self._rules.reserved_until(at)

    def judge(
        self,
        offer: Offer,
        facts: Facts,
        *,
        initiated_by: Speaker,
        at: datetime,
        zone: str | None,
        consents: Collection[str],
    ) -> Suppressed | None:
        """As the rules do."""
        verdicts = facts.memo.get(self, _ABSENT)
        if verdicts is _ABSENT:
            verdicts = facts.memo[self] = self._shared(facts, (initiated_by, at, zone, tuple(consents)))
        key = (offer.action.id, offer.channel)
        if verdicts is not None and key in verdicts:
            found: Suppressed | None = verdicts[key]
            return found
        verdict = self._rules.judge(offer, facts, initiated_by=initiated_by, at=at, zone=zone, consents=consents)
        if verdicts is not None:
            verdicts[key] = verdict
        return verdict

    def _shared(self, facts: Facts, of: tuple[object, ...]) -> dict[tuple[str, str], Suppressed | None] | None:
        """The verdicts of everybody in the same situation; None where their own past may apply."""
        if facts.refusals or facts.carrier_limits:
            return None
        if self._harmless is not None and len(facts.contacts) >= self._harmless:
            return None
        if facts.budgets is not self._budgets and facts.budgets != self._budgets:
            self._verdicts.clear()
            self._budgets = facts.budgets
        return self._verdicts.setdefault((*of, facts.unsubscribed), {})


def _key(value: object) -> object:
    """A value that stands for itself in a key: lists do not, and True is 1."""
    if type(value) is float:
        return value if value == value else _ABSENT
    if isinstance(value, list | tuple):
        return tuple(value)
    return value if value is None or type(value) is str else (type(value), value)
