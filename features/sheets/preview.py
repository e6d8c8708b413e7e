"""Every action as its reader sees it: drawn for each locale and channel, as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from babel.core import Locale

from features.action_checks import slot_samples
from features.brand import Brand, load_brand
from features.catalogue import Action, Catalogue, load_catalogue
from features.faults import CallersMistake, closest_hint
from features.locales import locale_chain
from features.question_actions import with_questions
from features.rendering import NotRenderable, RenderedMessage, render
from features.sheets.preview_page import page
from features.sheets.reading import load_sheet
from features.variable_names import VariableType
from features.variables import feature_variables, variables_of
from features.workspace import Workspace

Shape = Literal["bubble", "email", "card"]
SHAPES: Mapping[str, Shape] = {"email": "email", "web": "card"}  # of a kind of channel; every other is a bubble
SAMPLES_SHOWN = 2


@dataclass(frozen=True, slots=True)
class Drawing:
    """One message on one channel.

    Attributes:
        shape: as what it is drawn.
        message: what is read; None where it cannot be said there.
        problem: why it cannot.
        length: its characters, of at most `limit`.
        template: the approved template that takes its place outside the session window, with its parameters filled in.
    """

    channel: str
    shape: Shape
    message: RenderedMessage | None
    problem: str
    length: int
    limit: int
    template: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """One action in one locale, with one sample of its slots."""

    locale: str
    language: str
    direction: str
    reads: str  # the locale that is really read, where this one has no rendering
    slots: tuple[tuple[str, str], ...]
    drawings: tuple[Drawing, ...]


@dataclass(frozen=True, slots=True)
class DrawnAction:
    """One action with every drawing of it."""

    action: Action
    facts: tuple[tuple[str, str], ...]
    drawn: tuple[Drawn, ...]


def write_preview(
    workspace: Workspace,
    out: Path,
    *,
    actions: Sequence[str] | None = None,
    locales: Sequence[str] | None = None,
    workbook: Path | None = None,
) -> str:
    """Writes the page; gives what it shows, in words.

    Args:
        workspace: whose catalogue.
        out: the page.
        actions: ids of those to draw; all where none is named.
        locales: of the brand's; all where none is named.
        workbook: draw what it says, instead of catalogue.yaml.

    Raises:
        CallersMistake: an action or locale that there is not.
        InvalidFile: the catalogue is wrong.
    """
    brand = load_brand(workspace)
    catalogue = load_sheet(workbook, workspace, brand) if workbook else load_catalogue(workspace, brand)
    drawn = draw(catalogue, brand, workspace, actions=actions, locales=locales)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(brand.name, drawn), encoding="utf-8")
    drawings = [drawing for each in drawn for one in each.drawn for drawing in one.drawings]
    unsaid = sum(drawing.message is None for drawing in drawings)
    told = f", {unsaid} of which cannot be said" if unsaid else ""
    return f"{len(drawn)} actions, {len(drawings)} drawings{told}"


def draw(
    catalogue: Catalogue,
    brand: Brand,
    workspace: Workspace,
    *,
    actions: Sequence[str] | None = None,
    locales: Sequence[str] | None = None,
) -> list[DrawnAction]:
    """Every asked action in every asked locale on each of its channels; questions that are asked are actions too."""
    known = {action.id: action for action in with_questions(catalogue, brand).actions}
    _refuse_unknown(actions or (), known, kind="action")
    _refuse_unknown(locales or (), brand.locales, kind="locale")
    variables = variables_of(brand, feature_variables(brand, workspace))
    return [
        DrawnAction(
            action=action,
            facts=tuple(_facts(action)),
            drawn=tuple(
                drawn for locale in locales or brand.locales for drawn in _drawn(action, locale, brand, variables)
            ),
        )
        for action in map(known.__getitem__, actions or known)
    ]


def _drawn(action: Action, locale: str, brand: Brand, variables: Mapping[str, VariableType]) -> Iterator[Drawn]:
    reads = next((each for each in locale_chain(locale, brand) if each in action.renderings), "")
    language = Locale.parse(locale, sep="-")
    words = language.get_display_name("en") or locale
    if reads != locale:
        yield Drawn(locale, words, language.text_direction, reads or "nothing", (), ())
        return
    channels = [channel for channel in action.channels if channel in brand.channels]
    for slots in islice(slot_samples(action, brand, variables), SAMPLES_SHOWN):
        yield Drawn(
            locale=locale,
            language=words,
            direction=language.text_direction,
            reads="",
            slots=tuple((name, str(value)) for name, value in slots.items()),
            drawings=tuple(_drawing(action, channel, locale, slots, brand) for channel in channels),
        )


def _drawing(action: Action, channel: str, locale: str, slots: Mapping[str, object], brand: Brand) -> Drawing:
    limits = brand.channels[channel]
    message = render(action, brand=brand, locale=locale, slots=slots, channel=channel)
    template: Mapping[str, object] | None = None
    if limits.session_window_hours is not None and locale in action.templates:
        outside = render(action, brand=brand, locale=locale, slots=slots, channel=channel, templated=True)
        template = outside.template if isinstance(outside, RenderedMessage) else None
    said = message if isinstance(message, RenderedMessage) else None
    return Drawing(
        channel=channel,
        shape=SHAPES.get(limits.kind, "bubble"),
        message=said,
        problem=message.reason if isinstance(message, NotRenderable) else "",
        length=len(said.text) if said else 0,
        limit=limits.body_limit,
        template=template,
    )


def _facts(action: Action) -> Iterator[tuple[str, str]]:
    """What a marketer wants to know beside the words."""
    yield "kind", action.kind
    yield "stage", action.stage
    yield "goal", f"{action.goal}, worth {action.value:g}; expected after {action.expected_rate:.1%} of decisions"
    yield "placements", ", ".join(action.placements)
    if action.when:
        yield "when", action.when
    if action.valid_from or action.valid_until:
        days = [f"{each:%Y-%m-%d %H:%M %Z}" if each else "…" for each in (action.valid_from, action.valid_until)]
        yield "valid", " – ".join(days)
    if action.incentive:
        given = action.incentive
        coded = f", codes of {given.coupons}" if given.coupons else ""
        yield "incentive", f"{given.kind} {given.value:g}, costs {given.cost:g} when redeemed{coded}"
    if action.tags:
        yield "tags", ", ".join(action.tags)


def _refuse_unknown(asked: Sequence[str], known: Mapping[str, object], *, kind: str) -> None:
    for name in asked:
        if name not in known:
            raise CallersMistake(
                f"Asked to draw the {kind} '{name}', which there is not.{closest_hint(name, known)} "
                f"There are: {', '.join(known)}."
            )
