"""What a place says to everyone of whom the same holds, worked out once.

A catalogue's rules are asked of each customer, each distinct expression once. What follows from their answers is the
same for all of whom these, the season, the locale, the segment and the stage are the same. Only three things are a
customer's own: a text with slots, an incentive's cost by their own likelihood to buy, and what a response model expects
of them. Everything that an answer depends on is in the key under which it is remembered, so remembering changes nothing
but the time that it takes.

A memory belongs to one composer, and goes with it and its catalogue; values go with the reading of the rates. Of each
kind no more than `REMEMBERED` are kept.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING

from features.expressions import Expression, UnknownName
from features.rendering import NotRenderable, RenderedMessage
from serving.eligibility import Offerable, Suppressed, out_of_season, ruled_out
from serving.offers import Offer
from serving.values import Rates

if TYPE_CHECKING:
    from serving.shelf import Place
    from serving.there import There

REMEMBERED = 1_000

Said = tuple[RenderedMessage | NotRenderable | Suppressed | None, ...]  # None: the text has slots
Valued = tuple[Offer | Suppressed | None, ...]  # None: the text has slots, or it cannot be said


class PlaceMemory:
    """Judgements and values by place.

    Args:
        offerables: of the shelf, whose seasons begin and end.
    """

    def __init__(self, offerables: Iterable[Offerable]) -> None:
        seasons = {
            instant for one in offerables for instant in (one.valid_from, one.valid_until) if instant is not None
        }
        self._boundaries = sorted(seasons)
        self._whens: dict[tuple[str, str], tuple[Expression, ...]] = {}
        self._judged: dict[object, Said] = {}
        self._verdicts: dict[Expression, dict[object, bool | str]] = {}
        # Swapped whole: threads may share them. What is offered by its judgements, and each offer by itself.
        self._valued: tuple[Rates | None, dict[object, Valued], dict[object, dict[str, Offer]]] = (None, {}, {})

    def judged(self, there: There, *, is_alone: bool) -> Valued:
        """Each of the place's actions in turn: offered, kept away, or None where its text is the customer's own."""
        place = there.place
        key = (
            self._where(there),
            bisect_right(self._boundaries, there.inputs.at),
            tuple([self._verdict(when, there) for when in self._whens_of(place)]),
        )
        return self._with_values(there, key, place.offerables, is_alone=is_alone)

    def answers(self, there: There, *, is_alone: bool) -> Valued:
        """As `judged`, of the placement's fallback and baseline, which no rule keeps away."""
        return self._with_values(there, (self._where(there),), there.place.answers, is_alone=is_alone)

    def _with_values(
        self, there: There, key: tuple[object, ...], offerables: tuple[Offerable, ...], *, is_alone: bool
    ) -> Valued:
        rates, scores = there.inputs.rates, there.scored.scores
        of_rates, valued, offers = self._valued
        if of_rates is not rates or len(valued) >= REMEMBERED:
            valued, offers = {}, {}
            self._valued = (rates, valued, offers)
        whole = (key, scores.segment, scores.stage, is_alone)
        if (found := valued.get(whole)) is None:
            known = offers.setdefault((key[0], scores.segment, scores.stage, is_alone), {})
            found = valued[whole] = tuple(
                [
                    _offered(there, offerable, one, known, is_alone=is_alone)
                    for offerable, one in zip(offerables, self._said(there, key, offerables), strict=True)
                ]
            )
        return found

    def _said(self, there: There, key: tuple[object, ...], offerables: tuple[Offerable, ...]) -> Said:
        if (found := self._judged.get(key)) is None:
            if len(self._judged) >= REMEMBERED:
                self._judged.clear()
            judge = _judged if len(key) > 1 else _rendered
            found = self._judged[key] = tuple(judge(there, offerable) for offerable in offerables)
        return found

    def _whens_of(self, place: Place) -> tuple[Expression, ...]:
        """The distinct rules of a place: what is compiled from one text is one expression."""
        name = (place.name, place.channel_name)
        if (found := self._whens.get(name)) is None:
            whens = dict.fromkeys(one.when for one in place.offerables if one.when is not None)
            found = self._whens[name] = tuple(whens)
        return found

    def _verdict(self, when: Expression, there: There) -> bool | str:
        """Whether a rule holds, or what it needs that nobody knows: by the values that it looks at."""
        known = self._verdicts.setdefault(when, {})
        values = [there.values.get(name) for name in when.names]
        key = (*values, *map(type, values))
        try:
            if (found := known.get(key)) is not None:
                return found
        except TypeError:  # a list: its verdict is not remembered
            return _verdict(when, there)
        if len(known) >= REMEMBERED:
            known.clear()
        found = known[key] = _verdict(when, there)
        return found

    @staticmethod
    def _where(there: There) -> tuple[object, ...]:
        return there.place.name, there.place.channel_name, there.locale, there.session_open


def _verdict(when: Expression, there: There) -> bool | str:
    """Whether a rule holds, or what it needs that nobody knows."""
    try:
        return when.evaluate(there.values) is True
    except UnknownName as unknown:
        return str(unknown)


def _offered(
    there: There,
    offerable: Offerable,
    said: RenderedMessage | NotRenderable | Suppressed | None,
    known: dict[str, Offer],
    *,
    is_alone: bool,
) -> Offer | Suppressed | None:
    """What was judged as it is offered or kept away; `known` are the offers of this place, segment and stage."""
    if isinstance(said, RenderedMessage):
        offer = known.get(offerable.action.id)
        if offer is None or offer.message is not said:
            offer = known[offerable.action.id] = there.offer(offerable, said, is_alone=is_alone, is_anybodys=True)
        return offer
    return there.on_channel(said, is_alone=is_alone) if isinstance(said, Suppressed) else None


def _judged(there: There, offerable: Offerable) -> RenderedMessage | Suppressed | None:
    if not offerable.slots:
        return there.judged_one(offerable)
    return out_of_season(offerable, at=there.inputs.at) or ruled_out(offerable, there.values)


def _rendered(there: There, offerable: Offerable) -> RenderedMessage | NotRenderable | None:
    return None if offerable.slots else there.rendered(offerable)
