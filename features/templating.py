"""The sandbox in which the catalogue's texts become words: Jinja with money, numbers, dates and labels of a locale."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache

from jinja2 import StrictUndefined, Template, meta, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from features.formatting import Style

_BETWEEN = "\x1e"  # the record separator, which no text holds


class LabelMissingError(Exception):
    """A choice of a trait has no label in the message's locale."""


@pass_context
def _money(context: Context, amount: float) -> str:
    return _style_of(context).money(amount)


@pass_context
def _number(context: Context, value: float) -> str:
    return _style_of(context).number(value)


@pass_context
def _date(context: Context, instant: date | datetime | str | int, width: str = "long") -> str:
    return _style_of(context).date(instant, width)


@pass_context
def _label(context: Context, choice: object, trait: str) -> str:
    """What a choice of a trait is called in the message's locale; several are listed."""
    if isinstance(choice, list | tuple):
        return ", ".join(_label(context, each, trait) for each in choice)
    brand, locale = context["_brand"], context["_locale"]
    label = brand.traits[trait].labels.get(choice, {}).get(locale)
    if label is None:
        raise LabelMissingError(f"{trait}.{choice} in {locale}")
    return str(label)


def _style_of(context: Context) -> Style:
    style: Style = context["_style"]
    return style


@lru_cache(maxsize=1)
def environment() -> ImmutableSandboxedEnvironment:
    """The sandbox in which every text is rendered: unknown names are errors, nothing is escaped, nothing is loaded."""
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
    sandbox.filters |= {"money": _money, "number": _number, "date": _date, "label": _label}
    return sandbox


def names_in(text: str) -> set[str]:
    """The names that a text takes from outside."""
    return meta.find_undeclared_variables(environment().parse(text)) if "{" in text else set()


def takes_as_it_is(text: str, name: str) -> bool:
    """Whether the text only shows what is called that, or its form for an address, and neither changes nor asks it."""
    tree = environment().parse(text)
    shown = [part for output in tree.find_all(nodes.Output) for part in output.nodes]
    bare = [part.node if isinstance(part, nodes.Filter) and part.name == "urlencode" else part for part in shown]
    return _n_named(tree.find_all(nodes.Name), name) == _n_named(bare, name)


def tells_only_the_day(text: str, name: str) -> bool:
    """Whether all that the text makes of what is called that is the day of an instant, as `| date` does."""
    tree = environment().parse(text)
    days = [part.node for part in tree.find_all(nodes.Filter) if part.name == "date"]
    return _n_named(tree.find_all(nodes.Name), name) == _n_named(days, name)


def _n_named(parts: Iterable[nodes.Node | None], name: str) -> int:
    return sum(isinstance(part, nodes.Name) and part.name == name for part in parts)


@lru_cache(maxsize=8192)
def _compiled(texts: tuple[str, ...]) -> tuple[Template | None, tuple[int, ...], dict[str, object]]:
    """One template of all the texts that hold something to fill, which these are, and what every template knows."""
    filled = tuple(number for number, text in enumerate(texts) if "{" in text)
    joined = _BETWEEN.join(texts[number] for number in filled)
    template = environment().from_string(joined) if filled else None
    return template, filled, dict(template.globals) if template is not None else {}


def filled(texts: tuple[str, ...], values: dict[str, object]) -> list[str]:
    """The texts with the values in them: rendered as one, since most of the time goes into starting to render."""
    template, places, known = _compiled(texts)
    written = list(texts)
    if template is None:
        return written
    # As `template.render`, which makes what every template knows anew each time: that costs more than the text does.
    context = template.new_context({**known, **values}, shared=True)
    parts = "".join(template.root_render_func(context)).split(_BETWEEN)
    if len(parts) != len(places):
        raise ValueError("a value holds the separator of texts, U+001E")
    for place, part in zip(places, parts, strict=True):
        written[place] = part.strip()
    return written
