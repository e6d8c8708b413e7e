"""What a place says to everyone of whom the same holds, worked out once.

A catalogue's rules are asked of each customer, each distinct expression once. What follows from their answers is the
same for all of whom these, the season, the locale, the segment and the stage are the same. Only three things are a
customer's own: a text with slots, which is the same for all whose slots say the same and for all actions that say it,
an incentive's cost by their own likelihood to buy, and what a response model expects of them. Everything that an answer
depends on is in the key under which it is remembered, so remembering changes nothing but the time that it takes.

A memory belongs to one composer, and goes with it and its catalogue; values go with the reading of the rates. Of each
kind no more than `REMEMBERED` are kept, of texts as many as the shelf keeps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

from features.expressions import Expression
from features.rendering import NotRenderable, RenderedMessage
from serving.eligibility import Offerable, Suppressed, out_of_season, ruled_out
from serving.lineup import Lineup, Offers
from serving.offers import Offer, Sayable, Unwritten
from serving.outline import Known, Outline, Slotted
from serving.shelf import RENDERINGS_KEPT
from serving.values import Rates

if TYPE_CHECKING:
    from serving.shelf import Place
    from serving.there import There

REMEMBERED = 1_000

RULINGS_KEPT = 10_000

Text = Sayable | NotRenderable
Said = RenderedMessage | NotRenderable | Suppressed | None  # None: the text has slots
Valued = tuple[Offer | Suppressed | None, ...]  # None: the text has slots, or it cannot be said


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a place's actions for everyone of whom the same holds.

    Attributes:
        lineup: what may be offered.
        suppressed: what is kept away, in the catalogue's order.
    """

    lineup: Lineup
    suppressed: tuple[Suppressed, ...]


class _Found:
    """What was judged of a place's actions, with what became of it for those whose texts and wishes are the same."""

    __slots__ = ("_open", "standings", "told")

    def __init__(self, told: Valued) -> None:
        self.told = told
        self.standings: dict[object, Standing] = {}
        self._open: tuple[bool, ...] | None = None

    def open_among(self, outline: Outline) -> tuple[bool, ...]:
        """Of each of the outline's texts whether any action that says it is still open."""
        if self._open is None:
            self._open = tuple(any(self.told[number] is None for number, _ in one.actions) for one in outline.slotted)
        return self._open


class _Values:
    """What rests on one reading of the rates: what is offered by its judgements, and each offer by itself."""

    def __init__(self, rates: Rates | None) -> None:
        self.rates = rates
        self.valued: dict[object, _Found] = {}
        self.offers: dict[object, dict[str, Offer]] = {}
        self.n_standings = 0


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
        self._outlines: dict[tuple[str, str], Outline] = {}
        self._judged: dict[object, tuple[Said, ...]] = {}
        self._texts: dict[object, RenderedMessage | NotRenderable] = {}
        self._read: dict[object, RenderedMessage | NotRenderable] = {}
        self._sure: dict[object, str] = {}
        self._known: dict[tuple[object, Expression], Known] = {}
        self._rulings: dict[object, int] = {}
        self._numbers: dict[tuple[object, ...], int] = {}
        self._next_number = count()
        self._values = _Values(None)  # swapped whole: threads may share them

    def competing(self, there: There, *, is_alone: bool) -> tuple[Offers, tuple[Suppressed, ...]]:
        """The place's actions that may be offered, and those that are kept away."""
        where, outline = self._where(there), self._outline(there.place)
        season = bisect_right(self._boundaries, there.inputs.at)
        key = (where, season, self._ruling(outline, where[:2], there.values))
        values, found = self._with_values(there, key, there.place.offerables, is_alone=is_alone)
        texts = [
            self._written(there, where, slotted) if is_open else None
            for slotted, is_open in zip(outline.slotted, found.open_among(outline), strict=True)
        ]
        said = tuple([text if isinstance(text, NotRenderable) else None for text in texts])
        scores, alike = there.scored.scores, (said, there.only, there.never)
        if (standing := found.standings.get(alike)) is None:
            if values.n_standings >= REMEMBERED:
                self._values = _Values(values.rates)
            values.n_standings += 1
            standing = found.standings[alike] = self._standing(there, values, found.told, texts, is_alone=is_alone)
        own = standing.lineup.values_for(scores.purchase_propensity)
        return Offers(standing.lineup, own, texts), standing.suppressed  # type: ignore[arg-type]  # of what is offered

    def _ruling(self, outline: Outline, place: tuple[object, ...], values: Mapping[str, object]) -> int:
        """A number for what the place's rules say of these values: the same where they say the same."""
        signature = outline.signatures.of(values)
        rest = tuple([verdict(values) for verdict in outline.verdicts[outline.n_signed :]])
        key = (place, signature, rest)
        try:
            if (found := self._rulings.get(key)) is not None:
                return found
        except TypeError:  # a list in the place of a text
            return self._number_of(tuple([verdict(values) for verdict in outline.verdicts]))
        if len(self._rulings) >= RULINGS_KEPT:
            self._rulings.clear()
        verdicts = tuple([verdict(values) for verdict in outline.verdicts])
        found = self._rulings[key] = self._number_of(verdicts)
        return found

    def _number_of(self, verdicts: tuple[object, ...]) -> int:
        if (found := self._numbers.get(verdicts)) is None:
            if len(self._numbers) >= RULINGS_KEPT:
                self._numbers.clear()  # none is given out twice
            found = self._numbers[verdicts] = next(self._next_number)
        return found

    def answers(self, there: There, *, is_alone: bool) -> Valued:
        """As `judged`, of the placement's fallback and baseline, which no rule keeps away; None: the text has slots."""
        return self._with_values(there, (self._where(there),), there.place.answers, is_alone=is_alone)[1].told

    def known(
        self,
        of: Callable[[Expression, Mapping[str, object]], object],
        expression: Expression,
        values: Mapping[str, object],
    ) -> object:
        """What is made of an expression, by the values that it looks at."""
        return self._asked(of, expression)(values)

    def _asked(self, of: Callable[[Expression, Mapping[str, object]], object], expression: Expression) -> Known:
        if (found := self._known.get((of, expression))) is None:
            found = self._known[of, expression] = Known(of, expression)
        return found

    def _standing(
        self,
        there: There,
        values: _Values,
        found: Valued,
        texts: Sequence[Text | None],
        *,
        is_alone: bool,
    ) -> Standing:
        """What becomes of each action, by what was judged of it and by whether its text can be said."""
        outline, told = self._outline(there.place), list(found)
        offers = self._offers(values, there, is_alone=is_alone)
        own: dict[int, int] = {}
        for group, (slotted, text) in enumerate(zip(outline.slotted, texts, strict=True)):
            for number, offerable in slotted.actions:
                if told[number] is None:
                    told[number], own[number] = there.offered(offerable, text, offers=offers, is_alone=is_alone), group
        for number, offerable in enumerate(there.place.offerables):
            if (not_wanted := there.not_wanted(offerable, is_alone=is_alone)) is not None:
                told[number] = not_wanted
        numbers = [number for number, one in enumerate(told) if isinstance(one, Offer)]
        lineup = Lineup(
            [one for one in told if isinstance(one, Offer)],
            priced=[place for place, number in enumerate(numbers) if number in outline.priced],
            texts=[own.get(number) for number in numbers],
        )
        return Standing(lineup, tuple([one for one in told if isinstance(one, Suppressed)]))

    def _with_values(
        self, there: There, key: tuple[object, ...], offerables: tuple[Offerable, ...], *, is_alone: bool
    ) -> tuple[_Values, _Found]:
        """What was judged as it is offered or kept away, with all that rests on the same rates."""
        scores, values = there.scored.scores, self._values
        if values.rates is not there.inputs.rates or len(values.valued) >= REMEMBERED:
            values = self._values = _Values(there.inputs.rates)
        whole = (key, scores.segment, scores.stage, is_alone)
        if (found := values.valued.get(whole)) is None:
            known = self._offers(values, there, is_alone=is_alone)
            told = [
                there.offered(offerable, one, offers=known, is_alone=is_alone)
                for offerable, one in zip(offerables, self._said(there, key, offerables), strict=True)
            ]
            found = values.valued[whole] = _Found(tuple(told))
        return values, found

    def _offers(self, values: _Values, there: There, *, is_alone: bool) -> dict[str, Offer]:
        """The offers of this place, segment and stage, by action."""
        scores = there.scored.scores
        return values.offers.setdefault((self._where(there), scores.segment, scores.stage, is_alone), {})

    def _said(self, there: There, key: tuple[object, ...], offerables: tuple[Offerable, ...]) -> tuple[Said, ...]:
        if (found := self._judged.get(key)) is None:
            if len(self._judged) >= REMEMBERED:
                self._judged.clear()
            judge = _judged if len(key) > 1 else _rendered
            found = self._judged[key] = tuple(judge(there, offerable) for offerable in offerables)
        return found

    def _written(self, there: There, where: tuple[object, ...], slotted: Slotted) -> Text:
        """The text of actions that say the same, by what their slots say; where it can surely be said, still unwritten.

        Most of what competes is not drawn, and to write a text takes longer than all else that is done for it.
        """
        if slotted.reads is not None:
            return self._alike(there, where, slotted, slotted.reads)
        kinds = slotted.kinds(there.values)
        alike = (where, slotted.first.action.id, kinds)
        if locale := self._sure.get(alike):
            return Unwritten(locale, partial(self._written_now, there, where, slotted))
        text = self._written_now(there, where, slotted)
        if locale is None and all(kind is not None for _, kind in kinds):
            if len(self._sure) >= RENDERINGS_KEPT:
                self._sure.clear()
            is_sure = isinstance(text, RenderedMessage) and there.is_surely_said(
                slotted.first, self._slots(there, slotted)
            )
            self._sure[alike] = text.locale if isinstance(text, RenderedMessage) and is_sure else ""
        return text

    def _alike(self, there: There, where: tuple[object, ...], slotted: Slotted, reads: Sequence[str]) -> Text:
        """The text of slots that look at a few texts and flags, by those."""
        seen = [there.values.get(name) for name in reads]
        key = (where, slotted.first.action.id, *seen, *map(type, seen))
        try:
            if (found := self._read.get(key)) is not None:
                return found
        except TypeError:  # a list in the place of a text
            return self._written_now(there, where, slotted)
        if len(self._read) >= RENDERINGS_KEPT:
            self._read.clear()
        found = self._read[key] = self._written_now(there, where, slotted)
        return found

    def _slots(self, there: There, slotted: Slotted) -> Mapping[str, object]:
        """What the slots say, where it is known, as far as the texts tell it."""
        said = zip(slotted.names, [one(there.values) for one in slotted.said], strict=True)
        return there.shelf.as_told(slotted.first, {name: value for name, value in said if value is not None})

    def _written_now(
        self, there: There, where: tuple[object, ...], slotted: Slotted
    ) -> RenderedMessage | NotRenderable:
        first, slots = slotted.first, self._slots(there, slotted)
        key = (where, first.action.id, *slots.items(), *map(type, slots.values()))
        try:
            if (found := self._texts.get(key)) is not None:
                return found
        except TypeError:  # a list: its text is not remembered here
            return there.written(first, slots)
        if len(self._texts) >= RENDERINGS_KEPT:
            self._texts.clear()
        found = self._texts[key] = there.written(first, slots)
        return found

    def _outline(self, place: Place) -> Outline:
        name = (place.name, place.channel_name)
        if (found := self._outlines.get(name)) is None:
            found = self._outlines[name] = Outline.of(place, self._asked)
        return found

    @staticmethod
    def _where(there: There) -> tuple[object, ...]:
        return there.place.name, there.place.channel_name, there.locale, there.session_open


def _judged(there: There, offerable: Offerable) -> Said:
    if not offerable.slots:
        return there.judged_one(offerable)
    return out_of_season(offerable, at=there.inputs.at) or ruled_out(offerable, there.values)


def _rendered(there: There, offerable: Offerable) -> Said:
    return None if offerable.slots else there.rendered(offerable)
