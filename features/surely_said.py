"""Whether a message can be said whatever its numbers and dates are, so that it need not be written to know.

A number or a day that a text only shows, as people of the locale write it, can do no more than make the text longer.
So where the text can be said with each of them longer than any ordinary one becomes, it can be said with all of those.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime

from features.brand import Brand
from features.catalogue import Action
from features.formatting import Style
from features.rendering import RenderedMessage, render, texts_of
from features.templating import shown_only_by

NUMBER, DAY = "number", "day"
_FILTERS: Mapping[str, Collection[str]] = {NUMBER: ("number", "money"), DAY: ("date",)}
_BELOW = 1e15
YEARS = range(1900, 2200)
_WIDTHS = ("short", "medium", "long", "full")
_LONGEST = "8" * 80  # no locale of Babel's takes as many units of UTF-16 for an ordinary number, amount or day


class _Longest(Style):
    """Writes every number and date as long as an ordinary one can become."""

    def money(self, amount: object) -> str:
        return _LONGEST

    def number(self, value: object) -> str:
        return _LONGEST

    def date(self, instant: object, width: str = "long") -> str:
        if width not in _WIDTHS:
            raise ValueError(f"nobody knows how long a day becomes in the pattern '{width}'")
        return _LONGEST


_STYLE = _Longest("en", "USD", "UTC")


def ordinary_kind(value: object) -> str | None:
    """Whether a value is an ordinary number or an ordinary day; None where it is neither."""
    kind = type(value)
    if kind is float or kind is int:
        return NUMBER if -_BELOW < value < _BELOW else None  # type: ignore[operator]  # NaN is neither
    if kind is datetime or kind is date:
        return DAY if value.year in YEARS else None  # type: ignore[attr-defined]
    return None


def is_surely_said(
    action: Action,
    *,
    brand: Brand,
    locale: str | None,
    slots: Mapping[str, object],
    channel: str,
    templated: bool = False,
) -> bool:
    """Whether an action that can be said with these slots can be said with any ordinary ones of the same kinds.

    Args:
        action: what to say.
        brand: who says it.
        locale: the locale asked for.
        slots: values with which it can be said, each of an ordinary kind.
        channel: one of the brand's channels; its limits hold.
        templated: as `render` takes it.
    """
    kinds = {name: ordinary_kind(value) for name, value in slots.items()}
    if not all(kind is not None and _is_only_shown(action, name, kind) for name, kind in kinds.items()):
        return False
    longest = render(
        action, brand=brand, locale=locale, slots=slots, channel=channel, templated=templated, style=_STYLE
    )
    return isinstance(longest, RenderedMessage)


def _is_only_shown(action: Action, name: str, kind: str) -> bool:
    """Whether all that is made of a slot is that it is shown, in words and in no address, label or button."""
    for rendering in action.renderings.values():
        words = (rendering.hook, rendering.body, rendering.subject)
        if not all(shown_only_by(text, name, _FILTERS[kind]) for text in words):
            return False
        if not all(shown_only_by(text, name, ()) for text in tuple(texts_of(rendering))[len(words) :]):
            return False
    parameters = [text for template in action.templates.values() for text in template.parameters]
    return all(shown_only_by(text, name, _FILTERS[kind]) for text in parameters)
