"""An action's message for one locale and channel, or why it cannot be said.

Texts are Jinja templates in a sandbox, compiled once a process. A slot that is not known takes its declared
default; without one the message cannot be rendered: never "Hi ,". Nothing is cut to fit: a message over its channel's
limits cannot be rendered either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from features.brand import Brand, Channel, Voice
from features.catalogue import Action, Item, Rendering, Reply
from features.expressions import has_value
from features.formatting import Style
from features.locales import formatting_locale, locale_chain
from features.message_limits import over_limits
from features.messages import COUPON_CODE, COUPON_STAND_IN, RenderedMessage, with_coupon
from features.templating import LabelMissingError, filled, tells_only_the_day
from features.web_addresses import web_address

__all__ = [
    "COUPON_STAND_IN",
    "NotRenderable",
    "RenderedMessage",
    "gives_out_codes",
    "locale_chain",
    "render",
    "with_coupon",
]

OUTSIDE_SESSION_WINDOW = "outside_session_window"


class NotSayableError(Exception):
    """What a text became cannot be said, for the reason that it names."""


@dataclass(frozen=True, slots=True)
class NotRenderable:
    """Why an action cannot be said here: `slot_unknown: <slot>`, `outside_session_window`, `over_limit: …` …."""

    reason: str


def render(
    action: Action,
    *,
    brand: Brand,
    locale: str | None,
    slots: Mapping[str, object],
    channel: str,
    templated: bool = False,
    style: Style | None = None,
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
        style: how numbers and dates are written; as people of the locale do where it is None.
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
    values["_style"], values["_locale"], values["_brand"] = style or _style(brand, locale, used), used, brand
    if gives_out_codes(action):
        values[COUPON_CODE] = COUPON_STAND_IN
    try:
        message = _written(action, used, values, limits=limits, templated=needs_template)
        empty = next(_empty_parts(message), None)
        over = "; ".join(over_limits(message, limits))
    except NotSayableError as wrong:
        return NotRenderable(str(wrong))
    except LabelMissingError as missing:
        return NotRenderable(f"no_label: {missing}")
    except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
        return NotRenderable(f"template_error: {error}")
    if empty is not None:
        return NotRenderable(f"empty_text: {empty}")
    return NotRenderable(f"over_limit: {over}") if over else message


def _empty_parts(message: RenderedMessage) -> Iterator[str]:
    """Each part that a customer would find without words."""
    if not message.body.strip():
        yield "the body"
    if message.link is not None and not message.link["label"].strip():
        yield "the label of the link"
    for number, text in enumerate(message.suggested_replies, start=1):
        if not text.strip():
            yield f"suggested reply {number}"
    for number, item in enumerate(message.items, start=1):
        if not item["title"].strip():
            yield f"the title of item {number}"


def _written(
    action: Action, used: str, values: dict[str, object], *, limits: Channel, templated: bool
) -> RenderedMessage:
    rendering = action.renderings[used]
    template = action.templates[used] if templated else None
    media, link = rendering.media, rendering.link
    written = filled((*texts_of(rendering), *(template.parameters if template else ())), values)
    "".join(written).encode()  # half a sign of a slot is an error here, and not where the message is sent
    texts = iter(written)
    hook, body, subject = next(texts), next(texts), next(texts)
    shown = {"url": _address(next(texts)), "kind": media.kind, "alt": next(texts)} if media else None
    leads_to = {"url": _address(next(texts)), "label": next(texts)} if link else None
    replies = tuple(_said_by(reply, next(texts)) for reply in rendering.suggested_replies)
    items = tuple(_shoppable(item, texts) for item in rendering.items)
    approved: dict[str, Any] | None = None
    if template is not None:
        approved = template.model_dump(exclude={"parameters"}, exclude_none=True) | {"parameters": list(texts)}
    if not limits.buttons_limit:
        replies = ()
    labels = tuple(reply["text"] for reply in replies)
    return RenderedMessage(
        used,
        hook,
        body,
        shown,
        leads_to,
        labels,
        approved,
        replies=replies,
        items=items,
        subject=subject if subject.strip() else _first_line(hook) or _first_line(body),
    )


def _first_line(text: str) -> str:
    return next((line for each in text.splitlines() if (line := each.strip())), "")


def _said_by(reply: str | Reply, text: str) -> dict[str, Any]:
    if isinstance(reply, str):
        return {"text": text}
    said = {"trait": reply.trait, "value": reply.value, "refuses": reply.refuses}
    return {"text": text} | {name: value for name, value in said.items() if value is not None}


def _shoppable(item: Item, texts: Iterator[str]) -> dict[str, str]:
    needed = {"title": next(texts), "url": _address(next(texts))}
    image, price = next(texts), next(texts)
    known = {"image": _address(image) if image.strip() else "", "price": price, "product_id": item.product_id or ""}
    return needed | {name: value for name, value in known.items() if value}


def _address(text: str) -> str:
    if (address := web_address(text)) is None:
        raise NotSayableError(f"no_web_address: {text!r}")
    return address


def texts_of(rendering: Rendering) -> Iterator[str]:
    """Every text of a rendering, in the order in which a message takes them."""
    yield from (rendering.hook, rendering.body, rendering.subject)
    if rendering.media is not None:
        yield from (rendering.media.url, rendering.media.alt)
    if rendering.link is not None:
        yield from (rendering.link.url, rendering.link.label)
    yield from (reply if isinstance(reply, str) else reply.text for reply in rendering.suggested_replies)
    for item in rendering.items:
        yield from (item.title, item.url, item.image or "", item.price)


def day_slots(action: Action) -> frozenset[str]:
    """The slots of which every text of the action tells the day only: two instants of one day read the same."""
    texts = [text for rendering in action.renderings.values() for text in texts_of(rendering)]
    texts += [text for template in action.templates.values() for text in template.parameters]
    filled_in = [text for text in texts if "{" in text]
    return frozenset(name for name in action.slots if all(tells_only_the_day(text, name) for text in filled_in))


def gives_out_codes(action: Action) -> bool:
    """Whether each decision for this action takes a code from a pool of coupons, which its texts may name."""
    return action.incentive is not None and action.incentive.coupons is not None


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
