"""What must hold of one action's expressions and texts: they run on typed samples, and fit every channel they go to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice, product

from jinja2 import TemplateSyntaxError, meta

from features.brand import Brand
from features.catalogue import STAGES, Action
from features.expressions import InvalidExpression, UnknownName, compile_expression
from features.faults import Fault, closest_name
from features.messages import COUPON_CODE
from features.rendering import NotRenderable, gives_out_codes, render
from features.templating import environment
from features.variable_names import VariableType
from features.yaml_file import Location, YamlFile

_LITERALS = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")
# What is shown as a picture: pictographs and flags, and the older signs that are emoji by themselves.
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u231a\u231b\u23e9-\u23fa\u2600-\u26ff\u2705\u270a-\u270d\u2728\u274c\u274e\u2753-\u2757\u2763\u2764"
    "\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55\ufe0f\u20e3]"
)
_MAX_RENDERINGS = 200  # a locale and channel of one action

_SAMPLES: dict[VariableType, tuple[object, ...]] = {
    VariableType.TEXT: ("some text",),
    VariableType.TEXTS: (["some text"],),
    VariableType.NUMBER: (1234567.0, 1.0, 0.5),
    VariableType.FLAG: (True, False),
    VariableType.INSTANT: ("2026-09-30T12:00:00+00:00",),
    VariableType.DATE: ("1990-09-30",),
}


def expression_faults(
    file: YamlFile, at: Location, action: Action, *, brand: Brand, variables: Mapping[str, VariableType]
) -> Iterator[Fault]:
    """The faults of an action's `when` and slots."""
    written: list[tuple[Location, str, VariableType | None]] = [
        ((*at, "slots", name, "expression"), slot.expression, None) for name, slot in action.slots.items()
    ]
    if action.when is not None:
        written.append(((*at, "when"), action.when, VariableType.FLAG))
    for location, text, result in written:
        try:
            compile_expression(text, variables, result=result)
        except InvalidExpression as error:
            yield file.fault(location, error.problem, error.rule, error.closest)
        yield from _literal_faults(file, location, text, brand)


def _literal_faults(file: YamlFile, location: Location, text: str, brand: Brand) -> Iterator[Fault]:
    """A value compared with a name that can never have it: `skin_need == 'drynes'`."""
    for name, known in known_values(brand).items():
        pattern = rf"\b{name}\s*(?:==|!=)\s*(\S+)|(\S+)\s*(?:==|!=|in)\s*{name}\b|\b{name}\s+in\s+(\[[^\]]*\])"
        for found in re.finditer(pattern, text):
            for quoted in _LITERALS.findall(" ".join(part for part in found.groups() if part)):
                value = quoted[0] or quoted[1]
                if value not in known:
                    problem = f"compares '{name}' with '{value}', which it never is."
                    yield file.fault(
                        location, problem, f"It is one of: {', '.join(known)}.", closest_name(value, known)
                    )


def known_values(brand: Brand) -> dict[str, Sequence[str]]:
    """What the variables with a closed list of values can be."""
    traits = {name: trait.choices for name, trait in brand.traits.items() if trait.choices}
    intents = {"intent": brand.intents} if brand.intents else {}
    return {
        **traits,
        **intents,
        "stage": STAGES,
        "channel": tuple(brand.channels),
        "placement": tuple(brand.placements),
    }


def text_faults(
    file: YamlFile, at: Location, action: Action, *, brand: Brand, variables: Mapping[str, VariableType]
) -> Iterator[Fault]:
    """The faults of an action's texts: their form, then what they become on samples of every slot."""
    faults = list(_template_faults(file, at, action)) + list(_emoji_faults(file, at, brand))
    yield from faults
    if not faults:
        yield from _rendering_faults(file, at, action, brand=brand, variables=variables)


def _template_faults(file: YamlFile, at: Location, action: Action) -> Iterator[Fault]:
    slots = list(action.slots)
    always = {"voice", COUPON_CODE} if gives_out_codes(action) else {"voice"}
    for location, text in _texts(file, (*at, "renderings")) + _texts(file, (*at, "templates")):
        if "{" not in text:
            continue
        try:
            taken = _taken_by(text)
        except TemplateSyntaxError as error:
            named = re.findall(r"No filter named '([^']*)'", str(error.message))
            closest = closest_name(named[0], environment().filters) if named else None
            yield file.fault(location, f"is not a template: {str(error.message).rstrip('.')}.", "", closest)
            continue
        for name in sorted(taken - {*slots, *always}):
            rule = f"The action's slots are: {', '.join(slots) or 'none'}; 'voice' is there always, and 'coupon_code' "
            rule += "where its incentive names a pool of coupons."
            yield file.fault(location, f"takes '{name}', which is not a slot.", rule, closest_name(name, slots))


@lru_cache(maxsize=8192)
def _taken_by(text: str) -> frozenset[str]:
    """The names that a template takes; a catalogue is checked anew whenever one of its many texts has changed."""
    tree = environment().parse(text)
    environment().compile(tree)
    return frozenset(meta.find_undeclared_variables(tree))


def _emoji_faults(file: YamlFile, at: Location, brand: Brand) -> Iterator[Fault]:
    """An emoji in a locale whose voice has none."""
    for part in ("renderings", "templates"):
        for locale in (name for name, voice in brand.locales.items() if not voice.emoji):
            for location, text in _texts(file, (*at, part, locale)):
                if found := _EMOJI.search(text):
                    rule = f"brand.yaml says 'emoji: false' for {locale}."
                    yield file.fault(location, f"holds the emoji '{found[0]}'.", rule)


def _texts(file: YamlFile, at: Location) -> list[tuple[Location, str]]:
    value = file.value_at(at)
    if isinstance(value, str):
        return [(at, value)]
    inside: list[str] | list[int] = []
    if isinstance(value, dict):
        inside = list(value)
    elif isinstance(value, list):
        inside = list(range(len(value)))
    return [text for part in inside for text in _texts(file, (*at, part))]


def _rendering_faults(
    file: YamlFile, at: Location, action: Action, *, brand: Brand, variables: Mapping[str, VariableType]
) -> Iterator[Fault]:
    samples = list(slot_samples(action, brand, variables))
    channels = [channel for channel in action.channels if channel in brand.channels]
    for locale in action.renderings:
        for channel in channels:
            windowed = brand.channels[channel].session_window_hours is not None
            ways = (False, True) if windowed and locale in action.templates else (False,)
            for templated, slots in product(ways, samples):
                message = render(action, brand=brand, locale=locale, slots=slots, channel=channel, templated=templated)
                if isinstance(message, NotRenderable):
                    place = (*at, "templates" if templated else "renderings", locale)
                    yield _not_said(file, place, message, channel=channel, slots=slots)
                    break


def _not_said(
    file: YamlFile, place: Location, message: NotRenderable, *, channel: str, slots: Mapping[str, object]
) -> Fault:
    kind, _, detail = message.reason.partition(": ")
    rule = _RULES.get(kind, "Every rendering can be said on every channel of its action.")
    told = f" with {', '.join(f'{key} = {value}' for key, value in slots.items())}" if slots else ""
    return file.fault(place, f"cannot be said on {channel}{told}: {detail or kind}.", rule)


_RULES = {
    "over_limit": "The channel's limits are in brand.yaml; where it names a format, that provider's hold too.",
    "no_web_address": "An address begins with https:// or http://, and a browser can read it.",
    "empty_text": "Bodies, labels, suggested replies and titles of items have words, whatever their slots are.",
    "no_label": "A trait's choices have their labels in brand.yaml.",
    "template_error": "A text has to render for every value that its slots can have.",
}


def slot_samples(action: Action, brand: Brand, variables: Mapping[str, VariableType]) -> Iterator[Mapping[str, object]]:
    """Values of an action's slots, so that every sample of each appears; one empty sample where there are no slots."""
    known = known_values(brand)
    each: dict[str, list[object]] = {}
    for name, slot in action.slots.items():
        each[name] = [] if slot.default is None else [slot.default]
        try:
            expression = compile_expression(slot.expression, variables)
        except InvalidExpression:
            return  # told as a fault of the expression
        of_variables = {needed: _samples_of(needed, variables, known) for needed in expression.names}
        for values in _aligned(of_variables):
            try:
                each[name].append(expression.evaluate(values))
            except UnknownName:
                continue
    yield from islice(_aligned(each), _MAX_RENDERINGS)


def _samples_of(
    name: str, variables: Mapping[str, VariableType], known: Mapping[str, Sequence[str]]
) -> Sequence[object]:
    kind = variables[name]
    if name in known:
        return [list(known[name])] if kind is VariableType.TEXTS else known[name]
    return _SAMPLES[kind]


def _aligned(each: Mapping[str, Sequence[object]]) -> Iterator[dict[str, object]]:
    """Every value of each at least once, side by side."""
    filled = {name: values for name, values in each.items() if values}
    for number in range(max(map(len, filled.values()), default=1)):
        yield {name: values[number % len(values)] for name, values in filled.items()}
