"""The catalogue made ready for decisions: compiled once, and laid out by placement and channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from features.brand import Brand, Channel, Placement
from features.catalogue import Action, Catalogue
from features.expressions import Expression, UnknownName, compile_expression
from features.formatting import day_of
from features.question_actions import QUESTION, with_questions
from features.rendering import NotRenderable, RenderedMessage, day_slots, render
from features.surely_said import is_surely_said
from features.variable_names import VariableType
from serving.eligibility import NOT_RENDERABLE, Offerable, Suppressed, as_utc, out_of_season, ruled_out
from training.artifact import ActionFeatures, features_of

CHAT = "chat"


@dataclass(frozen=True, slots=True)
class Place:
    """One placement on one channel: who speaks first, and what could be said there."""

    name: str
    placement: Placement
    channel_name: str
    channel: Channel
    offerables: tuple[Offerable, ...]
    answers: tuple[Offerable, ...]  # the placement's fallback and baseline
    names: frozenset[str]  # variables that any of them may ask for
    goal_value: float  # the mean margin of a reached goal, by the values of the offerables
    questions: tuple[Offerable, ...] = ()  # that may be asked here
    off_script: Offerable | None = None  # what answers an intent that the brand does not know
    features: tuple[ActionFeatures, ...] = ()  # as a response model sees them: `nothing`, then the offerables


class Shelf:
    """Every place of a brand, and what has been rendered there already.

    The same action with the same slots in one locale reads the same for everyone, so it is rendered once.
    """

    def __init__(self, brand: Brand, catalogue: Catalogue, *, variables: Mapping[str, VariableType]) -> None:
        self._brand = brand
        self._rendered: dict[tuple[str, str, str, bool, str], RenderedMessage | NotRenderable] = {}
        actions = with_questions(catalogue, brand).actions
        self.offerables = {action.id: _compiled(action, variables) for action in actions}
        self._places = {
            (name, channel): self._place(name, placement, channel)
            for name, placement in brand.placements.items()
            for channel in placement.channels
        }

    def place(self, placement: str, channel: str) -> Place:
        """The place of that name; KeyError where the brand has none."""
        return self._places[placement, channel]

    def forget(self) -> None:
        """Lets go of what was rendered."""
        self._rendered.clear()

    def _place(self, name: str, placement: Placement, channel_name: str) -> Place:
        here = [
            offerable
            for offerable in self.offerables.values()
            if name in offerable.action.placements and channel_name in offerable.action.channels
        ]
        offerables = tuple(offerable for offerable in here if offerable.action.kind != QUESTION)
        questions = tuple(offerable for offerable in here if offerable.action.asks in placement.questions)
        off_script = self.offerables[placement.off_script] if placement.off_script else None
        answers = tuple(self.offerables[action_id] for action_id in (placement.fallback, placement.baseline))
        values = [offerable.action.value for offerable in offerables]
        return Place(
            name=name,
            placement=placement,
            channel_name=channel_name,
            channel=self._brand.channels[channel_name],
            offerables=offerables,
            answers=answers,
            names=frozenset().union(*(offerable.names for offerable in (*here, *answers))),
            goal_value=sum(values) / len(values) if values else 0.0,
            questions=questions,
            off_script=off_script,
            features=(features_of(None), *(features_of(one.action) for one in offerables)),  # its channels together
        )

    def rendered(
        self,
        offerable: Offerable,
        place: Place,
        *,
        locale: str,
        values: Mapping[str, object],
        session_open: bool,
    ) -> RenderedMessage | NotRenderable:
        """The message as the customer would read it, or why it cannot be said.

        Args:
            offerable: the action.
            place: where it would be said.
            locale: as asked, or the customer's; the brand's chain of fallbacks follows it.
            values: the variables that are known.
            session_open: whether the caller says that a chat session is open.
        """
        slots = slot_values(offerable, partial(evaluated, values=values))
        return self.written(offerable, place, locale=locale, slots=slots, session_open=session_open)

    def written(
        self, offerable: Offerable, place: Place, *, locale: str, slots: Mapping[str, object], session_open: bool
    ) -> RenderedMessage | NotRenderable:
        """As `rendered`, with the slots whose values are known; what tells the day only reads the same all day."""
        slots = self.as_told(offerable, slots)
        templated = needs_template(place, session_open=session_open)
        key = (offerable.action.id, locale, place.channel_name, templated, repr(slots))
        if (message := self._rendered.get(key)) is None:
            if len(self._rendered) >= RENDERINGS_KEPT:
                self._rendered.clear()
            message = self._rendered[key] = render(
                offerable.action,
                brand=self._brand,
                locale=locale,
                slots=slots,
                channel=place.channel_name,
                templated=templated,
            )
        return message

    def is_surely_said(
        self, offerable: Offerable, place: Place, *, locale: str, slots: Mapping[str, object], session_open: bool
    ) -> bool:
        """Whether what can be said with these slots, as they are told, can be said with any ordinary ones."""
        return is_surely_said(
            offerable.action,
            brand=self._brand,
            locale=locale,
            slots=slots,
            channel=place.channel_name,
            templated=needs_template(place, session_open=session_open),
        )

    def as_told(self, offerable: Offerable, slots: Mapping[str, object]) -> Mapping[str, object]:
        """The values of slots as far as its texts tell them: an instant of which they tell the day only is that day."""
        if not offerable.days:
            return slots
        zone = self._brand.time_zone
        return {
            name: day_of(value, zone) if name in offerable.days and isinstance(value, datetime) else value
            for name, value in slots.items()
        }

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
        """The message where the action may be offered, else the first of the catalogue's rules that keeps it away."""
        found = out_of_season(offerable, at=at) or ruled_out(offerable, values)
        if found is not None:
            return found
        message = self.rendered(offerable, place, locale=locale, values=values, session_open=session_open)
        return message if isinstance(message, RenderedMessage) else not_renderable(offerable, message)


RENDERINGS_KEPT = 10_000  # slots may hold what the caller said


def needs_template(place: Place, *, session_open: bool) -> bool:
    """Whether only a template may be sent: the brand speaks first on a chat channel whose session is closed."""
    return (
        place.placement.initiated_by == "brand"
        and place.channel.kind == CHAT
        and place.channel.session_window_hours is not None
        and not session_open
    )


def _compiled(action: Action, variables: Mapping[str, VariableType]) -> Offerable:
    return Offerable(
        action=action,
        when=compile_expression(action.when, variables, result=VariableType.FLAG) if action.when else None,
        slots={name: compile_expression(slot.expression, variables) for name, slot in action.slots.items()},
        valid_from=as_utc(action.valid_from),
        valid_until=as_utc(action.valid_until),
        days=day_slots(action),
    )


def not_renderable(offerable: Offerable, why: NotRenderable) -> Suppressed:
    """An action whose message cannot be said."""
    return Suppressed(offerable.action.id, NOT_RENDERABLE, detail=why.reason)


def slot_values(offerable: Offerable, evaluate: Callable[[Expression], object]) -> dict[str, object]:
    """The slots whose value is known; the renderer puts a default in the place of the others, or refuses.

    Args:
        offerable: the action.
        evaluate: what an expression gives for the customer; None where it needs what nobody knows.
    """
    found = {name: evaluate(expression) for name, expression in offerable.slots.items()}
    return {name: value for name, value in found.items() if value is not None}


def evaluated(expression: Expression, values: Mapping[str, object]) -> object:
    """What an expression gives for these variables; None where it needs what nobody knows."""
    try:
        return expression.evaluate(values)
    except UnknownName:
        return None
