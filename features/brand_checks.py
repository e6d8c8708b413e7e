"""What must hold inside `brand.yaml` beyond the shape of each part.

Every rule reads the plain data, so that one misshapen part does not hide the faults of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from babel.core import Locale as BabelLocale
from babel.core import UnknownLocaleError, get_global
from babel.numbers import list_currencies

from features.brand import Brand, EventNames
from features.contact_checks import contact_policy_faults
from features.experiment_checks import experiment_faults
from features.faults import Fault, closest_name
from features.link_checks import link_host_faults, mail_button_faults
from features.occasion_checks import occasion_faults
from features.validation import shown, validate
from features.variable_names import OF_ANY_HORIZON, RESERVED_NAMES
from features.yaml_file import Location, YamlFile, read_yaml


def read_brand(path: Path) -> tuple[Brand | None, list[Fault]]:
    """The brand in that file, or None, and every fault, in the order of the file's lines."""
    file = read_yaml(path)
    brand, faults = validate(file, Brand)
    return brand, in_order([*file.faults, *faults, *brand_faults(file)])


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults by line, each once."""
    return sorted(dict.fromkeys(faults), key=lambda fault: (fault.line or 0, fault.where))


def brand_faults(file: YamlFile) -> Iterator[Fault]:
    """The faults of names that refer to other names, and of names that the world defines."""
    from features.question_checks import placement_question_faults  # which reads the file by this module's functions

    yield from _world_faults(file)
    yield from _locale_faults(file)
    yield from _trait_faults(file)
    yield from _placement_faults(file)
    yield from _horizon_faults(file)
    yield from _moment_faults(file)
    yield from _segment_faults(file)
    yield from occasion_faults(file)
    yield from experiment_faults(file)
    yield from link_host_faults(file)
    yield from mail_button_faults(file)
    yield from placement_question_faults(file)
    yield from contact_policy_faults(file)


def unknown_name(file: YamlFile, location: Location, *, known: Iterable[str], what: str) -> Iterator[Fault]:
    """A fault where the text at that location is not one of the known names."""
    name = file.value_at(location)
    known = list(known)
    if isinstance(name, str) and name not in known:
        rule = f"{what} {'are' if len(known) != 1 else 'is'}: {', '.join(known) or 'none'}."
        yield file.fault(location, f"names '{name}', which does not exist.", rule, closest_name(name, known))


def keys_at(file: YamlFile, location: Location) -> list[str]:
    """The keys of the mapping at that location; none where it is not a mapping."""
    value = file.value_at(location)
    return [str(key) for key in value] if isinstance(value, dict) else []


def items_at(file: YamlFile, location: Location) -> list[Location]:
    """The locations of the items of the list at that location."""
    value = file.value_at(location)
    return [(*location, index) for index in range(len(value))] if isinstance(value, list) else []


def _world_faults(file: YamlFile) -> Iterator[Fault]:
    zone = file.value_at(("time_zone",))
    if isinstance(zone, str) and not _is_zone(zone):
        rule = "It is a name of the IANA time zone database, like Asia/Kolkata."
        yield file.fault(
            ("time_zone",), f"has the value {shown(zone)}.", rule, closest_name(zone, available_timezones())
        )
    currency = file.value_at(("currency",))
    if isinstance(currency, str) and currency not in (known := list_currencies()):
        rule = "It is an ISO 4217 code, like INR or THB."
        closest = closest_name(currency.upper(), known)
        yield file.fault(("currency",), f"has the value {shown(currency)}.", rule, closest)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def _locale_faults(file: YamlFile) -> Iterator[Fault]:
    locales = keys_at(file, ("locales",))
    yield from unknown_name(file, ("default_locale",), known=locales, what="The brand's locales")
    for name in locales:
        yield from _spoken(file, ("locales", name), name)
        formatting = file.value_at(("locales", name, "formatting_locale"))
        if isinstance(formatting, str):
            yield from _spoken(file, ("locales", name, "formatting_locale"), formatting)
    for trait in keys_at(file, ("traits",)):
        places: list[Location] = [("traits", trait, "question")]
        places += [("traits", trait, "labels", choice) for choice in keys_at(file, ("traits", trait, "labels"))]
        for place in places:
            for name in keys_at(file, place):
                if name not in locales:
                    rule = f"The brand's locales are: {', '.join(locales)}."
                    yield file.fault(
                        (*place, name), "is not one of the brand's locales.", rule, closest_name(name, locales)
                    )


def _spoken(file: YamlFile, location: Location, name: str) -> Iterator[Fault]:
    try:
        BabelLocale.parse(name, sep="-")
    except (UnknownLocaleError, ValueError):
        known = [each.replace("_", "-") for each in get_global("likely_subtags") if len(each) < 8]
        rule = "Babel, which formats money and dates, has to know it."
        yield file.fault(location, f"has the locale {shown(name)}.", rule, closest_name(name, known))


def _trait_faults(file: YamlFile) -> Iterator[Fault]:
    purposes = file.value_at(("purposes",))
    known_purposes = purposes if isinstance(purposes, list) else list(Brand.model_fields["purposes"].default)
    for name in keys_at(file, ("traits",)):
        at: Location = ("traits", name)
        yield from unknown_name(file, (*at, "purpose"), known=known_purposes, what="The brand's purposes")
        if name in RESERVED_NAMES | _feature_names() or name.startswith(("has_", "trait_", *OF_ANY_HORIZON)):
            rule = "Expressions already know something by that name, or by its beginning: choose another."
            yield file.fault(at, "is not free as the name of a trait.", rule)
        choices, kind = file.value_at((*at, "choices")), file.value_at((*at, "type"))
        listed = choices if isinstance(choices, list) else []
        if kind in ("choice", "choices") and len(listed) < 2:
            yield file.fault(
                (*at, "choices"), f"has {len(listed)} choices.", f"A trait of type {kind} needs two or more."
            )
        if kind in ("number", "date", "boolean", "text") and listed:
            yield file.fault((*at, "choices"), "is given.", f"A trait of type {kind} has no choices.")
        for index, choice in enumerate(listed):
            if choice in listed[:index]:
                yield file.fault((*at, "choices", index), f"has {shown(choice)} again.", "A choice stands once.")
        for label in keys_at(file, (*at, "labels")):
            if label not in listed:
                rule = f"The choices are: {', '.join(map(str, listed)) or 'none'}."
                closest = closest_name(label, map(str, listed))
                yield file.fault((*at, "labels", label), "labels a choice that does not exist.", rule, closest)


@lru_cache(maxsize=1)
def _feature_names() -> frozenset[str]:
    from features.columns import BEHAVIOUR, INSTANTS, RECENT
    from features.schema import RATIOS, age_name

    stored = [column.name for column in (*BEHAVIOUR, *RECENT, *INSTANTS, *RATIOS)]
    return frozenset((*stored, *(age_name(column.name) for column in INSTANTS)))


def _placement_faults(file: YamlFile) -> Iterator[Fault]:
    channels = keys_at(file, ("channels",))
    for name in keys_at(file, ("placements",)):
        for place in items_at(file, ("placements", name, "channels")):
            yield from unknown_name(file, place, known=channels, what="The brand's channels")


def _horizon_faults(file: YamlFile) -> Iterator[Fault]:
    horizons = file.value_at(("horizons_days",))
    if not isinstance(horizons, list) or not all(isinstance(days, int) for days in horizons):
        return
    if any(days < 1 for days in horizons) or sorted(set(horizons)) != horizons:
        rule = "They are whole days of at least 1, each once, the shortest first."
        yield file.fault(("horizons_days",), f"has the value '{horizons}'.", rule)


def _segment_faults(file: YamlFile) -> Iterator[Fault]:
    locales = keys_at(file, ("locales",))
    for name in keys_at(file, ("segments",)):
        for locale in keys_at(file, ("segments", name, "label")):
            if locale not in locales:
                rule = f"The brand's locales are: {', '.join(locales)}."
                at: Location = ("segments", name, "label", locale)
                yield file.fault(at, "is not one of the brand's locales.", rule, closest_name(locale, locales))


_WAITS = ("wait_minutes", "wait_hours", "wait_days")


def _moment_faults(file: YamlFile) -> Iterator[Fault]:
    triggers = list(dict.fromkeys([*EventNames.model_fields, *keys_at(file, ("goals",))]))
    placements = keys_at(file, ("placements",))
    for name in keys_at(file, ("moments",)):
        at: Location = ("moments", name)
        yield from unknown_name(file, (*at, "after", "event"), known=triggers, what="What it can come after")
        said = keys_at(file, (*at, "after"))
        if isinstance(file.value_at((*at, "after")), dict) and len({"event", "event_name"} & set(said)) != 1:
            rule = "It names one event: `event`, by a name of `events` or `goals`, or `event_name`, as it comes."
            yield file.fault((*at, "after"), f"holds {', '.join(said) or 'nothing'}.", rule)
        if isinstance(file.value_at(at), dict) and not set(_WAITS) & set(keys_at(file, at)):
            yield file.fault(at, "does not say how long it waits.", f"It needs one of: {', '.join(_WAITS)}.")
        yield from unknown_name(file, (*at, "placement"), known=placements, what="The brand's placements")
        placement = file.value_at((*at, "placement"))
        if isinstance(placement, str) and file.value_at(("placements", placement, "initiated_by")) == "customer":
            rule = "A moment is the brand speaking first: a placement with `initiated_by: brand`."
            yield file.fault((*at, "placement"), f"names '{placement}', where the customer speaks first.", rule)
