"""What the caller knows right now, laid over what is stored: for one decision, never written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from features.brand import Brand, Trait
from features.faults import closest_name
from features.locales import is_of_a_language
from features.schema import FeatureSchema
from serving.refusals import WrongField, shown, unknown_name
from serving.schemas import TraitValue

LARGEST_NUMBER = 1e15  # far below what a float32, or the log of one, can hold
_EPOCH_DAY = date(1970, 1, 1)


def trait_faults(traits: Mapping[str, TraitValue], brand: Brand) -> list[WrongField]:
    """Everything wrong with the traits of a request: unknown names, wrong types, values that are no choice."""
    faults = []
    for name, value in traits.items():
        pointer = f"/context/traits/{name}"
        if name not in brand.traits:
            faults.append(unknown_name(pointer, name, kind="trait", names=list(brand.traits)))
        elif rule := _broken_rule(value, brand.traits[name]):
            faults.append(WrongField(pointer, f"is {shown(value)!r}, but {rule}"))
    return faults


def locale_faults(locale: str | None, brand: Brand) -> list[WrongField]:
    """What is wrong with a well-formed locale: no language. One that the brand does not speak is not: it falls back."""
    if locale is None or is_of_a_language(locale, brand):
        return []
    closest = closest_name(locale, brand.locales)
    hint = f" Closest: '{closest}'." if closest else ""
    rule = (
        f"there is no language '{locale.partition('-')[0]}', as '{locale}' has it.{hint} The brand speaks: "
        f"{', '.join(sorted(brand.locales))}; of any other language send its own code, and what it reads falls back."
    )
    return [WrongField("/locale", rule)]


def _broken_rule(value: TraitValue, trait: Trait) -> str | None:
    choices = ", ".join(trait.choices)
    rules: dict[str, tuple[bool, str]] = {
        "choice": (value in trait.choices, f"it must be one of: {choices}."),
        "choices": (
            isinstance(value, list) and set(value) <= set(trait.choices),
            f"it must be a list of these: {choices}.",
        ),
        "number": (
            isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST_NUMBER,
            f"it must be a number between -{LARGEST_NUMBER:g} and {LARGEST_NUMBER:g}.",
        ),
        "boolean": (isinstance(value, bool), "it must be true or false."),
        "date": (_day(value) is not None, "it must be a date such as '1990-04-23'."),
        "text": (isinstance(value, str), "it must be a text."),
    }
    holds, rule = rules[trait.type]
    return None if holds else rule


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def lay_over(
    vector: npt.NDArray[np.float32],
    instants: npt.NDArray[np.int64],
    traits: Mapping[str, TraitValue],
    *,
    brand: Brand,
    schema: FeatureSchema,
    at_us: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Copies of a customer's row with the traits of this request in it, declared at this instant.

    Args:
        vector: (len(schema.numeric),).
        instants: (len(schema.instants),), µs.
        traits: without faults, as `trait_faults` says.
        brand: whose traits they are.
        schema: which name lies where.
        at_us: now, µs since the epoch.
    """
    vector, instants = vector.copy(), instants.copy()
    columns, moments = _places(schema.numeric), _places(schema.instants)
    for name, value in traits.items():
        for column, number in _as_numbers(name, value, brand.traits[name]).items():
            vector[columns[column]] = number
        if (moment := moments.get(f"trait_{name}_at")) is not None:
            instants[moment] = at_us
    return vector, instants


@lru_cache(maxsize=16)
def _places(names: tuple[str, ...]) -> dict[str, int]:
    return {name: place for place, name in enumerate(names)}


def _as_numbers(name: str, value: TraitValue, trait: Trait) -> dict[str, float]:
    if trait.type == "choices" and isinstance(value, list):
        return {f"trait_{name}_{choice}": float(choice in value) for choice in trait.choices}
    if trait.type == "choice":
        return {f"trait_{name}": float(trait.choices.index(str(value)))}
    if (day := _day(value)) is not None and trait.type == "date":
        return {f"trait_{name}": float((day - _EPOCH_DAY).days)}
    if isinstance(value, bool | int | float):
        return {f"trait_{name}": float(value)}
    return {}
