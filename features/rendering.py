"""An action's message for one locale and channel, or why it cannot be said.

Texts are Jinja templates in a sandbox, compiled once a process. A slot that is not known takes its declared
default; without one the message cannot be rendered: never "Hi ,". Nothing is cut to fit: a message over its channel's
limits cannot be rendered either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from features.brand import Brand, Channel, Voice
from features.catalogue import Action, Item, Rendering, Reply
from features.expressions import has_value
from features.formatting import Style
from features.locales import formatting_locale, locale_chain

__all__ = ["COUPON_STAND_IN", "NotRenderable", "RenderedMessage", "locale_chain", "render", "with_coupon"]

OUTSIDE_SESSION_WINDOW = "outside_session_window"
COUPON_CODE = "coupon_code"  # what a text calls the code that its decision gives out
LONGEST_COUPON_CODE = 24
# Stands where the code will: as long as a code may be, so that limits hold, and made of what a URL takes as it is.
COUPON_STAND_IN = "RAPPORT7COUPON7CODE7HERE"
_BETWEEN = "\x1e"  # the record separator, which no text holds


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """What a customer reads, in the locale that was really used.

    Attributes:
        locale: the locale of the texts: where it is not the asked one, this says so.
        hook: the first line; may be empty.
        body: the text.
        media: url, kind and alt, or None.
        link: url and label, or None.
        suggested_replies: labels of the buttons, none where the channel shows none.
        template: name, language, category and parameters of the approved template, where the channel needs one.
        replies: the same buttons with what each says by itself: text, and where given trait and value, or refuses
            (not_now or never); and payload, once it is stamped with the token of its decision.
        items: shoppable things, each with title and url, and where given product_id, image and price as it is written.
        subject: of an e-mail; the hook where the rendering has none of its own; empty where it has neither.
    """

    locale: str
    hook: str
    body: str
    media: dict[str, str] | None
    link: dict[str, str] | None
    suggested_replies: tuple[str, ...]
    template: dict[str, Any] | None
    replies: tuple[dict[str, Any], ...] = ()
    items: tuple[dict[str, str], ...] = ()
    subject: str = ""

    @property
    def text(self) -> str:
        """Hook and body as one text, as chat channels send it; what a body limit counts."""
        return f"{self.hook}\n\n{self.body}" if self.hook else self.body

    def as_dict(self) -> dict[str, Any]:
        """The message as JSON-ready keys and values."""
        lists = {name: list(getattr(self, name)) for name in ("suggested_replies", "replies", "items")}
        return asdict(self) | lists


@dataclass(frozen=True, slots=True)
class NotRenderable:
    """Why an action cannot be said here: `slot_unknown: <slot>`, `outside_session_window`, `over_limit: …` …."""

    reason: str


class _LabelMissingError(Exception):
    """A choice of a trait has no label in the message's locale."""


def render(
    action: Action,
    *,
    brand: Brand,
    locale: str | None,
    slots: Mapping[str, object],
    channel: str,
    templated: bool = False,
) -> RenderedMessage | NotRenderable:
    """The message of an action.

    Args:
        action: what to say.
        brand: who says it.
        locale: the locale asked for; it falls back by `locale_chain`.
        slots: values of the action's slots; an absent, None or NaN one takes its default.
        channel: one of the brand's channels; its limits hold.
        templated: the channel's session window is closed, so that only an approved template may be sent. Without
            meaning for channels that have no window.
    """
    limits = brand.channels[channel]
    needs_template = templated and limits.session_window_hours is not None
    if needs_template and not action.templates:
        return NotRenderable(OUTSIDE_SESSION_WINDOW)
    offered = [each for each in locale_chain(locale, brand) if each in action.renderings]
    used = next((each for each in offered if not needs_template or each in action.templates), None)
    if used is None:
        return NotRenderable(OUTSIDE_SESSION_WINDOW if needs_template else f"no_rendering: {locale}")
    values: dict[str, object] = {"voice": _voice(brand, used)}
    for name, slot in action.slots.items():
        value = slots.get(name)
        value = value if has_value(value) else slot.default
        if value is None:
            return NotRenderable(f"slot_unknown: {name}")
        values[name] = value
    values["_style"], values["_locale"], values["_brand"] = _style(brand, locale, used), used, brand
    if gives_out_codes(action):
        values[COUPON_CODE] = COUPON_STAND_IN
    try:
        message = _written(action, used, values, limits=limits, templated=needs_template)
    except _LabelMissingError as missing:
        return NotRenderable(f"no_label: {missing}")
    except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
        return NotRenderable(f"template_error: {error}")
    over = next(over_limits(message, limits), None)
    return message if over is None else NotRenderable(f"over_limit: {over}")


def _written(
    action: Action, used: str, values: dict[str, object], *, limits: Channel, templated: bool
) -> RenderedMessage:
    rendering = action.renderings[used]
    template = action.templates[used] if templated else None
    media, link = rendering.media, rendering.link
    texts = iter(_filled((*_texts_of(rendering), *(template.parameters if template else ())), values))
    hook, body, subject = next(texts), next(texts), next(texts)
    shown = {"url": next(texts), "kind": media.kind, "alt": next(texts)} if media else None
    leads_to = {"url": next(texts), "label": next(texts)} if link else None
    replies = tuple(_said_by(reply, next(texts)) for reply in rendering.suggested_replies)
    items = tuple(_shoppable(item, texts) for item in rendering.items)
    approved: dict[str, Any] | None = None
    if template is not None:
        approved = template.model_dump(include={"name", "language", "category"}) | {"parameters": list(texts)}
    if not limits.buttons_limit:
        replies = ()
    labels = tuple(reply["text"] for reply in replies)
    return RenderedMessage(
        used, hook, body, shown, leads_to, labels, approved, replies=replies, items=items, subject=subject or hook
    )


def _said_by(reply: str | Reply, text: str) -> dict[str, Any]:
    if isinstance(reply, str):
        return {"text": text}
    said = {"trait": reply.trait, "value": reply.value, "refuses": reply.refuses}
    return {"text": text} | {name: value for name, value in said.items() if value is not None}


def _shoppable(item: Item, texts: Iterator[str]) -> dict[str, str]:
    written = {"title": next(texts), "url": next(texts), "image": next(texts), "price": next(texts)}
    known = written | {"product_id": item.product_id or ""}
    return {name: value for name, value in known.items() if value}


def _texts_of(rendering: Rendering) -> Iterator[str]:
    """Every text of a rendering, in the order in which a message takes them."""
    yield from (rendering.hook, rendering.body, rendering.subject)
    if rendering.media is not None:
        yield from (rendering.media.url, rendering.media.alt)
    if rendering.link is not None:
        yield from (rendering.link.url, rendering.link.label)
    yield from (reply if isinstance(reply, str) else reply.text for reply in rendering.suggested_replies)
    for item in rendering.items:
        yield from (item.title, item.url, item.image or "", item.price)


def gives_out_codes(action: Action) -> bool:
    """Whether each decision for this action takes a code from a pool of coupons, which its texts may name."""
    return action.incentive is not None and action.incentive.coupons is not None


def with_coupon(message: RenderedMessage, code: str) -> RenderedMessage:
    """The message with the decision's own coupon code in every place where its texts name one."""

    def coded(part: Any) -> Any:
        if isinstance(part, str):
            return part.replace(COUPON_STAND_IN, code)
        if isinstance(part, dict):
            return {name: coded(value) for name, value in part.items()}
        return type(part)(map(coded, part)) if isinstance(part, list | tuple) else part

    written = {name: coded(getattr(message, name)) for name in RenderedMessage.__slots__}
    return replace(message, **written)


def over_limits(message: RenderedMessage, limits: Channel) -> Iterator[str]:
    """Each limit of the channel that the message passes, with both numbers."""
    if len(message.text) > limits.body_limit:
        yield f"hook and body are {len(message.text)} characters, {limits.body_limit} at most"
    if len(message.suggested_replies) > limits.buttons_limit:
        yield f"{len(message.suggested_replies)} suggested replies, {limits.buttons_limit} at most"
    for reply in message.suggested_replies:
        if len(reply) > limits.button_label_limit:
            yield f"suggested reply '{reply}' is {len(reply)} characters, {limits.button_label_limit} at most"


def _style(brand: Brand, asked: str | None, used: str) -> Style:
    voice = brand.locales.get(used)
    calendar = voice.calendar if voice is not None else "gregorian"
    return Style(formatting_locale(asked, used, brand), brand.currency, brand.time_zone, calendar)


def _voice(brand: Brand, used: str) -> dict[str, object]:
    """How the brand speaks in the message's locale, as every text may name it."""
    voice = brand.locales.get(used) or Voice(name=brand.name)
    return {
        "name": voice.name,
        "formality": voice.formality,
        "particles": voice.particles,
        "emoji": voice.emoji,
    }


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
        raise _LabelMissingError(f"{trait}.{choice} in {locale}")
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


@lru_cache(maxsize=8192)
def _compiled(texts: tuple[str, ...]) -> tuple[Template | None, tuple[int, ...]]:
    """One template of all the texts that hold something to fill, and which these are."""
    filled = tuple(number for number, text in enumerate(texts) if "{" in text)
    joined = _BETWEEN.join(texts[number] for number in filled)
    return (environment().from_string(joined) if filled else None), filled


def _filled(texts: tuple[str, ...], values: dict[str, object]) -> list[str]:
    """The texts with the values in them: rendered as one, since most of the time goes into starting to render."""
    template, places = _compiled(texts)
    written = list(texts)
    if template is None:
        return written
    parts = template.render(values).split(_BETWEEN)
    if len(parts) != len(places):
        raise ValueError("a value holds the separator of texts, U+001E")
    for place, part in zip(places, parts, strict=True):
        written[place] = part.strip()
    return written
