"""The sandbox in which the catalogue's texts become words: Jinja with money, numbers, dates and labels of a locale."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template, meta, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from features.formatting import Style

_BETWEEN = "\x1e"  # the record separator, which no text holds


class LabelMissingError(Exception):
    """A choice of a trait has no label in the message's locale."""


Named = Context | Mapping[str, Any]  # what a text may name, by name


@pass_context
def _money(context: Named, amount: float) -> str:
    return _style_of(context).money(amount)


@pass_context
def _number(context: Named, value: float) -> str:
    return _style_of(context).number(value)


@pass_context
def _date(context: Named, instant: date | datetime | str | int, width: str = "long") -> str:
    return _style_of(context).date(instant, width)


@pass_context
def _label(context: Named, choice: object, trait: str) -> str:
    """What a choice of a trait is called in the message's locale; several are listed."""
    if isinstance(choice, list | tuple):
        return ", ".join(_label(context, each, trait) for each in choice)
    brand, locale = context["_brand"], context["_locale"]
    label = brand.traits[trait].labels.get(choice, {}).get(locale)
    if label is None:
        raise LabelMissingError(f"{trait}.{choice} in {locale}")
    return str(label)


def _style_of(context: Named) -> Style:
    style: Style = context["_style"]
    return style


_OURS: dict[str, Callable[..., str]] = {"money": _money, "number": _number, "date": _date, "label": _label}


@lru_cache(maxsize=1)
def environment() -> ImmutableSandboxedEnvironment:
    """The sandbox in which every text is rendered: unknown names are errors, nothing is escaped, nothing is loaded."""
    sandbox = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
    sandbox.filters |= _OURS
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


def shown_only_by(text: str, name: str, filters: Collection[str]) -> bool:
    """Whether the text only shows what is called that, and only through one of these filters."""
    tree = environment().parse(text)
    shown = [part for output in tree.find_all(nodes.Output) for part in output.nodes]
    filtered = [part.node for part in shown if isinstance(part, nodes.Filter) and part.name in filters]
    return _n_named(tree.find_all(nodes.Name), name) == _n_named(filtered, name)


def _n_named(parts: Iterable[nodes.Node | None], name: str) -> int:
    return sum(isinstance(part, nodes.Name) and part.name == name for part in parts)


Step = tuple[Callable[..., str], tuple[object, ...]]  # a filter of ours, and what it is given beside the value


class _Shown(NamedTuple):
    """A part of a text that shows a value, by filters of ours or as it is."""

    name: str  # empty for a constant
    constant: object
    steps: tuple[Step, ...]


class _Compiled(NamedTuple):
    """Texts that hold something to fill, as one.

    Attributes:
        template: None where no text does.
        places: which of the texts do.
        known: what every template knows.
        parts: all of it, where it only shows values: then nothing has to be run to fill it.
    """

    template: Template | None
    places: tuple[int, ...]
    known: dict[str, object]
    parts: tuple[str | _Shown, ...] | None


@lru_cache(maxsize=8192)
def _compiled(texts: tuple[str, ...]) -> _Compiled:
    places = tuple(number for number, text in enumerate(texts) if "{" in text)
    if not places:
        return _Compiled(None, (), {}, None)
    joined = _BETWEEN.join(texts[number] for number in places)
    template = environment().from_string(joined)
    known = dict(template.globals)
    return _Compiled(template, places, known, _parts_of(joined, known))


def _parts_of(text: str, known: Container[str]) -> tuple[str | _Shown, ...] | None:
    """The text in parts that are there or are shown; None where it does anything else."""
    parts: list[str | _Shown] = []
    for output in environment().parse(text).body:
        if not isinstance(output, nodes.Output):
            return None
        for node in output.nodes:
            part = node.data if isinstance(node, nodes.TemplateData) else _shown(node)
            if part is None or (isinstance(part, _Shown) and part.name in known):
                return None
            parts.append(part)
    return tuple(parts)


def _shown(node: nodes.Expr) -> _Shown | None:
    steps: list[Step] = []
    inner: nodes.Expr | None = node
    while isinstance(inner, nodes.Filter):
        constants = [one.value for one in inner.args if isinstance(one, nodes.Const)]
        if (
            inner.name not in _OURS
            or len(constants) < len(inner.args)
            or inner.kwargs
            or inner.dyn_args
            or inner.dyn_kwargs
        ):
            return None
        steps.append((_OURS[inner.name], tuple(constants)))
        inner = inner.node
    if isinstance(inner, nodes.Name):
        return _Shown(inner.name, None, tuple(reversed(steps)))
    return _Shown("", inner.value, tuple(reversed(steps))) if isinstance(inner, nodes.Const) and steps else None


def filled(texts: tuple[str, ...], values: dict[str, object]) -> list[str]:
    """The texts with the values in them: rendered as one, since most of the time goes into starting to render."""
    template, places, known, shown = _compiled(texts)
    written = list(texts)
    if template is None:
        return written
    if shown is not None and all(isinstance(part, str) or not part.name or part.name in values for part in shown):
        whole = "".join([part if isinstance(part, str) else _as_shown(part, values) for part in shown])
    else:
        # As `template.render`, which makes what every template knows anew each time: that costs more than the text.
        whole = "".join(template.root_render_func(template.new_context({**known, **values}, shared=True)))
    parts = whole.split(_BETWEEN)
    if len(parts) != len(places):
        raise ValueError("a value holds the separator of texts, U+001E")
    for place, part in zip(places, parts, strict=True):
        written[place] = part.strip()
    return written


def _as_shown(part: _Shown, values: dict[str, object]) -> str:
    value = values[part.name] if part.name else part.constant
    for show, given in part.steps:
        value = show(values, value, *given)
    return str(value)
