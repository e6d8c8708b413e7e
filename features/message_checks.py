"""What must hold of a message's buttons and coupon codes: they say what the brand knows, in every language."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from jinja2 import TemplateSyntaxError

from features.brand import Brand, Trait
from features.catalogue import Action, Rendering, Reply
from features.faults import Fault, closest_name
from features.messages import COUPON_CODE
from features.rendering import gives_out_codes, texts_of
from features.templating import names_in, takes_as_it_is
from features.yaml_file import Location, YamlFile


def message_faults(file: YamlFile, at: Location, action: Action, *, brand: Brand) -> Iterator[Fault]:
    """The faults of what an action's buttons declare, and of the languages in which its coupon code is not said."""
    for locale, rendering in action.renderings.items():
        for number, reply in enumerate(rendering.suggested_replies):
            if isinstance(reply, Reply):
                yield from _reply_faults(file, (*at, "renderings", locale, "suggested_replies", number), reply, brand)
    yield from _same_meanings(file, at, action)
    if gives_out_codes(action):
        yield from _code_faults(file, at, action, brand)


def _reply_faults(file: YamlFile, at: Location, reply: Reply, brand: Brand) -> Iterator[Fault]:
    if reply.trait is not None and reply.refuses is not None:
        yield file.fault(at, "declares a trait and refuses.", "A button says one thing: make it two.")
    if (reply.trait is None) != (reply.value is None):
        missing = "value" if reply.value is None else "trait"
        yield file.fault((*at, missing), "is missing.", "A button that declares a trait names the trait and its value.")
    if reply.trait is None:
        return
    trait = brand.traits.get(reply.trait)
    if trait is None:
        rule = f"The brand's traits are: {', '.join(brand.traits) or 'none'}."
        closest = closest_name(reply.trait, brand.traits)
        yield file.fault((*at, "trait"), f"names '{reply.trait}', which does not exist.", rule, closest)
    elif reply.value is not None and (broken := _broken_rule(reply.value, trait)):
        closest = closest_name(str(reply.value), trait.choices)
        yield file.fault((*at, "value"), f"has the value '{reply.value}'.", broken, closest)


def _broken_rule(value: str | float | bool, trait: Trait) -> str | None:
    if trait.type in ("choice", "choices"):
        return None if value in trait.choices else f"The choices of this trait are: {', '.join(trait.choices)}."
    if trait.type == "number":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return None if is_number else "This trait is a number."
    if trait.type == "boolean":
        return None if isinstance(value, bool) else "This trait is true or false."
    if trait.type == "date":
        return None if isinstance(value, str) and _is_day(value) else "This trait is a date, such as '1990-04-23'."
    return None if isinstance(value, str) else "This trait is a text."


def _is_day(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _same_meanings(file: YamlFile, at: Location, action: Action) -> Iterator[Fault]:
    """A button that means something must mean it in every language: an answer must not depend on who reads it."""
    meant = {locale: _meanings(rendering) for locale, rendering in action.renderings.items()}
    first = next(iter(meant))
    for locale, meanings in meant.items():
        for meaning in sorted(meant[first] - meanings):
            problem = f"has no suggested reply for {meaning}, which {first} has."
            yield file.fault((*at, "renderings", locale), problem, "Buttons mean the same in every language.")
        for meaning in sorted(meanings - meant[first]):
            problem = f"has no suggested reply for {meaning}, which {locale} has."
            yield file.fault((*at, "renderings", first), problem, "Buttons mean the same in every language.")


def _meanings(rendering: Rendering) -> set[str]:
    replies = [reply for reply in rendering.suggested_replies if isinstance(reply, Reply)]
    declared = {f"{reply.trait} = {reply.value}" for reply in replies if reply.trait is not None}
    return declared | {f"refuses: {reply.refuses}" for reply in replies if reply.refuses is not None}


def _code_faults(file: YamlFile, at: Location, action: Action, brand: Brand) -> Iterator[Fault]:
    """A code that some language leaves out, or that a text changes before it is there."""
    if COUPON_CODE in action.slots:
        rule = f"'{COUPON_CODE}' is the code of the incentive's pool: call the slot otherwise."
        yield file.fault((*at, "slots", COUPON_CODE), "hides the coupon's code.", rule)
    for place, texts in _read_by_somebody(at, action, brand):
        try:
            saying = [text for text in texts if COUPON_CODE in names_in(text)]
        except TemplateSyntaxError:
            continue  # told as a fault of the text
        if not saying:
            rule = "Each decision gives out a code of its own: who gets it has to read it, in a text or a link."
            yield file.fault(place, f"does not say {{{{ {COUPON_CODE} }}}}.", rule)
        for text in saying:
            if not takes_as_it_is(text, COUPON_CODE):
                problem = f"changes the coupon's code, in '{text}'."
                rule = f"A text shows {{{{ {COUPON_CODE} }}}} as it is; the one filter for it is urlencode."
                yield file.fault(place, problem, rule)


def _read_by_somebody(at: Location, action: Action, brand: Brand) -> Iterator[tuple[Location, tuple[str, ...]]]:
    """The texts of each rendering; of each template with parameters, which is read where a session may be over."""
    for locale, rendering in action.renderings.items():
        yield (*at, "renderings", locale), tuple(texts_of(rendering))
    channels = [brand.channels[channel] for channel in action.channels if channel in brand.channels]
    if any(channel.session_window_hours is not None for channel in channels):
        for locale, template in action.templates.items():
            if template.parameters and locale in action.renderings:
                yield (*at, "templates", locale, "parameters"), template.parameters
