"""What an input of the models says of a customer, in words: the features' own meanings, from the feature schema.

What does not depend on the customer is worded once for all of one brand and schema: an explanation names every input.
"""

from __future__ import annotations

import math
import re
from calendar import day_name
from collections.abc import Callable, Mapping, Sequence

from features.brand import Brand
from features.columns import Column
from features.schema import FeatureSchema
from serving.explaining.worth import money_of

Said = Callable[[float], str]

_SINCE = "Days since: "
_NOT_FOR_PEOPLE = re.compile(f"^{_SINCE}|, Monday = 1; the earlier on a tie")
_WHERE_MISSING = re.compile("; missing [^,]*")
_WITHOUT_UNIT = ("number", "index", "ratio", "log ratio")


class Meanings:
    """Words for the inputs of one schema.

    Args:
        schema: whose meanings and units.
        brand: whose money.
    """

    def __init__(self, schema: FeatureSchema, brand: Brand) -> None:
        self._schema, self._brand = schema, brand
        self._columns = {column.name: column for column in schema.columns}
        self._unknown: dict[str, str] = {}
        self._said: dict[str, Said] = {}

    def known(self, inputs: Sequence[float]) -> dict[str, float]:
        """The inputs that are known of a customer, by name.

        Args:
            inputs: `(len(schema.model_inputs),)`, NaN where unknown.
        """
        named = zip(self._schema.model_inputs, inputs, strict=True)
        return {name: value for name, value in named if math.isfinite(value)}

    def of(self, name: str, value: float | None) -> str:
        """What an input says of a customer who has that value; None where it is unknown."""
        if value is None:
            if (unknown := self._unknown.get(name)) is None:
                unknown = self._unknown[name] = self._of_nobody(name)
            return unknown
        if (said := self._said.get(name)) is None:
            said = self._said[name] = self._saying(name)
        return said(value)

    def _of_nobody(self, name: str) -> str:
        column = self._columns.get(name)
        return _as_name(name) if column is None else f"{_NOT_FOR_PEOPLE.sub('', column.meaning)} is unknown"

    def _saying(self, name: str) -> Said:
        """How the values of one input are said."""
        column = self._columns.get(name)
        if column is None:
            named = _as_name(name)
            return lambda _: named
        meaning = _NOT_FOR_PEOPLE.sub("", column.meaning)
        if column.meaning.startswith(_SINCE):
            said: Said = lambda value: f"{meaning} {_counted(value, 'days')} ago"  # noqa: E731
        else:
            said = _with_unit(f"{_WHERE_MISSING.sub('', meaning)} is", column, self._brand)
        choices = self._schema.categories.get(name)
        return said if choices is None else _of_choices(name, choices, said)


def _as_name(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _of_choices(name: str, choices: Sequence[str], otherwise: Said) -> Said:
    """Of a declared trait: the answer that was given."""
    trait = name.removeprefix("trait_").replace("_", " ")
    told: Mapping[int, str] = {
        place: f"They told us {trait}: {choice.replace('_', ' ')}" for place, choice in enumerate(choices)
    }
    return lambda value: told.get(int(value)) or otherwise(value)


def _with_unit(start: str, column: Column, brand: Brand) -> Said:
    """A value with its unit, as people say it."""
    unit = column.unit
    if unit == "currency":
        return lambda value: f"{start} {money_of(brand, value)}"
    if unit == "share":
        return lambda value: f"{start} {value:.0%}"
    if unit == "0 or 1":
        return lambda value: f"{start} {'true' if value else 'false'}"
    if unit in _WITHOUT_UNIT:
        return lambda value: f"{start} {value:,.3g}"
    if unit == "weekday":
        return lambda value: (
            f"{start} {day_name[int(value) - 1]}" if 1 <= value <= len(day_name) else f"{start} {_counted(value, unit)}"
        )
    return lambda value: f"{start} {_counted(value, unit)}"


def _counted(value: float, unit: str) -> str:
    said = f"{value:,.3g}"
    return f"{said} {unit.removesuffix('s') if said == '1' else unit}"
