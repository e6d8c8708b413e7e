"""What a channel and its provider refuse in a message, so that it is not chosen: nothing is ever cut to fit.

A channel's own limits are in brand.yaml; where it names the format of a provider, that provider's limits hold as well,
for the message as `serving.formats` writes it. An address grows when it is stamped with its decision's token: it counts
as long as it may become.

References:
    developers.facebook.com/docs/whatsapp/cloud-api (messages), developers.line.biz/en/reference/messaging-api.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from urllib.parse import quote

from features.brand import Channel
from features.messages import RenderedMessage

WHATSAPP_TEXT, WHATSAPP_WITH_BUTTONS = 4096, 1024  # a caption is as short as a text with buttons
WHATSAPP_BUTTONS, WHATSAPP_ROWS = 3, 10  # more replies than buttons become the rows of a list
WHATSAPP_BUTTON_LABEL, WHATSAPP_ROW_LABEL = 20, 24
WHATSAPP_PARAMETER = 1024  # where the template has more than its body, which a static part may be that we do not know
LINE_TEXT, LINE_REPLIES, LINE_LABEL, LINE_BUTTON_LABEL = 5000, 13, 20, 20
LINE_ITEMS = 11  # a carousel has twelve bubbles, of which the first says the message
LINE_URL, LINE_IMAGE_URL = 1000, 2000
LINE_BUBBLE, LINE_CAROUSEL = 30_000, 50_000  # bytes of JSON
_LINE_AROUND = 800  # bytes of a bubble beside what it says
WHATSAPP_BUTTON_PAYLOAD, WHATSAPP_ROW_PAYLOAD, LINE_PAYLOAD = 256, 200, 300
LONGEST_TOKEN = 512  # characters: of the payload of a button, on every channel
LONGEST_DECISION_ID = 64  # that a client may give; a further placement of the same question adds its number to it
_BESIDE_WHAT_IT_SAYS = 2 + 1 + LONGEST_DECISION_ID + len(".50") + 10  # bytes of a token: form, slot, id, signature
ROOM_FOR_A_TOKEN = 250  # the address of our redirect and the token

_TEMPLATE_NAME = re.compile(r"[a-z0-9_]{1,512}")
_TEMPLATE_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Za-z]{2,4})?")
_NOT_IN_A_PARAMETER = re.compile(r"[\n\r\t]| {5}")


def over_limits(message: RenderedMessage, limits: Channel) -> Iterator[str]:
    """Each limit of the channel that the message passes, with both numbers."""
    if len(message.text) > limits.body_limit:
        yield f"hook and body are {len(message.text)} characters, {limits.body_limit} at most"
    if len(message.suggested_replies) > limits.buttons_limit:
        yield f"{len(message.suggested_replies)} suggested replies, {limits.buttons_limit} at most"
    for reply in message.suggested_replies:
        if len(reply) > limits.button_label_limit:
            yield f"suggested reply '{reply}' is {len(reply)} characters, {limits.button_label_limit} at most"
    yield from _payloads(message, at_most=LONGEST_TOKEN, where="any channel")
    if limits.format is not None:
        yield from _OF_PROVIDERS[limits.format](message)


def whatsapp_text(message: RenderedMessage) -> str:
    """The words of a WhatsApp message: items with their addresses, and the link where no button can hold it."""
    items = [
        "\n".join((" · ".join(filter(None, (item["title"], item.get("price")))), item["url"])) for item in message.items
    ]
    link = message.link
    led = [f"{link['label']}: {link['url']}"] if link and not is_button(message) else []
    return "\n\n".join((message.text, *items, *led))


def is_button(message: RenderedMessage) -> bool:
    """Whether a WhatsApp message shows its link as a button: it shows replies or a link, never both."""
    return message.link is not None and not message.replies and not is_sound(message)


def is_sound(message: RenderedMessage) -> bool:
    """Whether the message comes with sound only, for which a chat shows neither text nor buttons."""
    return message.media is not None and message.media["kind"] == "audio"


def _whatsapp(message: RenderedMessage) -> Iterator[str]:
    if message.template is not None:
        yield from _approved(message, message.template)
        return
    if is_sound(message):
        yield "a sound goes with no text on WhatsApp: link to it"
    if message.media and len(message.replies) > WHATSAPP_BUTTONS:
        yield f"a {message.media['kind']} goes with {WHATSAPP_BUTTONS} suggested replies on WhatsApp at most"
    n_replies = len(message.replies)
    has_buttons = bool(n_replies or message.link or message.media)
    addresses = [item["url"] for item in message.items]
    if message.link and not is_button(message):
        addresses.append(message.link["url"])
    length = len(whatsapp_text(message)) + sum(_stamped(url) - len(url) for url in addresses)
    most = WHATSAPP_WITH_BUTTONS if has_buttons else WHATSAPP_TEXT
    if length > most:
        yield f"the text with its links is {length} characters on WhatsApp, {most} at most"
    if n_replies > WHATSAPP_ROWS:
        yield f"{n_replies} suggested replies on WhatsApp, {WHATSAPP_ROWS} at most"
    yield from _twice(message)
    label = WHATSAPP_ROW_LABEL if n_replies > WHATSAPP_BUTTONS else WHATSAPP_BUTTON_LABEL
    yield from _labels(message, at_most=label, where="WhatsApp")
    is_list = n_replies > WHATSAPP_BUTTONS
    longest = WHATSAPP_ROW_PAYLOAD if is_list else WHATSAPP_BUTTON_PAYLOAD
    yield from _payloads(message, at_most=longest, where="WhatsApp")
    if message.link and is_button(message):
        yield from _too_long("the link's label", message.link["label"], at_most=WHATSAPP_BUTTON_LABEL, where="WhatsApp")


def _twice(message: RenderedMessage) -> Iterator[str]:
    """What two buttons say alike: their payloads would be the same, and WhatsApp wants each once."""
    said = [
        str(reply.get("refuses") or f"{reply['trait']} = {reply['value']}")
        for reply in message.replies
        if "refuses" in reply or {"trait", "value"} <= reply.keys()
    ]
    for meaning, times in Counter(said).items():
        if times > 1:
            yield f"{times} suggested replies say '{meaning}', one at most on WhatsApp"


def _approved(message: RenderedMessage, template: Mapping[str, object]) -> Iterator[str]:
    name, parameters = str(template["name"]), template["parameters"]
    if not _TEMPLATE_NAME.fullmatch(name):
        yield f"template name '{name}' is not of small letters, digits and underscores, as WhatsApp has them"
    if not _TEMPLATE_LANGUAGE.fullmatch(str(template["language"])):
        yield f"template language '{template['language']}' is none of WhatsApp, which writes en, en_US"
    if "header" in template and (message.media is None or is_sound(message)):
        yield "the template has a header, but the rendering has neither picture nor video for it"
    if "buttons" in template and not message.replies:
        yield "the template has buttons, but the rendering has no suggested replies for them"
    if "buttons" in template:
        yield from _payloads(message, at_most=WHATSAPP_BUTTON_PAYLOAD, where="WhatsApp")
    if "buttons" in template and len(message.replies) > WHATSAPP_ROWS:
        yield f"{len(message.replies)} buttons of a template on WhatsApp, {WHATSAPP_ROWS} at most"
    for parameter in parameters if isinstance(parameters, list) else ():
        if not parameter or _NOT_IN_A_PARAMETER.search(parameter):
            yield f"template parameter '{parameter}' is empty, or holds a line break, a tab or five spaces in a row"
        if (length := len(parameter)) > WHATSAPP_PARAMETER:
            told = f"template parameter '{parameter:.40}…' is {length} characters"
            yield f"{told} on WhatsApp, {WHATSAPP_PARAMETER} at most"


def _line(message: RenderedMessage) -> Iterator[str]:
    if (length := units(message.text)) > LINE_TEXT:
        yield f"the text is {length} characters on LINE, {LINE_TEXT} at most"
    if len(message.replies) > LINE_REPLIES:
        yield f"{len(message.replies)} suggested replies on LINE, {LINE_REPLIES} at most"
    yield from _labels(message, at_most=LINE_LABEL, where="LINE")
    yield from _payloads(message, at_most=LINE_PAYLOAD, where="LINE")
    if message.media and message.media["kind"] != "image":
        yield f"a {message.media['kind']} cannot be shown on LINE: link to it"
    if len(message.items) > LINE_ITEMS:
        yield f"{len(message.items)} items on LINE, {LINE_ITEMS} at most"
    if message.link:
        yield from _too_long("the link's label", message.link["label"], at_most=LINE_BUTTON_LABEL, where="LINE")
    for url in ([message.link["url"]] if message.link else []) + [item["url"] for item in message.items]:
        if (longest := _stamped(url)) > LINE_URL:
            yield f"the address '{url}' may become {longest} characters with its token, {LINE_URL} at most on LINE"
    for url in images_of(message):
        if not url.startswith("https://") or len(url) > LINE_IMAGE_URL:
            yield f"the picture '{url}' has no https address of {LINE_IMAGE_URL} characters at most, as LINE needs"
    yield from _too_large(message)


def _too_large(message: RenderedMessage) -> Iterator[str]:
    """The JSON of cards, which LINE limits; a text alone has its characters counted only."""
    sizes = list(_line_sizes(message))
    for number, size in enumerate(sizes):
        if size > LINE_BUBBLE:
            card = f"item {number}" if number else "the message"
            yield f"{card} may become {size} bytes on LINE, {LINE_BUBBLE} at most"
    if sum(sizes) > LINE_CAROUSEL:
        yield f"the message with its items may become {sum(sizes)} bytes on LINE, {LINE_CAROUSEL} at most"


def _line_sizes(message: RenderedMessage) -> Iterator[int]:
    """How large each card may become: the message's own, then those of its items."""
    link, media = message.link, message.media
    if not (message.items or link or media):
        return
    own = [message.hook, message.body, media["url"] if media else "", link["label"] if link else ""]
    yield _in_json(own) + (_stamped(link["url"]) if link else 0)
    for item in message.items:
        yield _in_json([item["title"], item.get("price", ""), item.get("image", "")]) + _stamped(item["url"])


def _in_json(texts: list[str]) -> int:
    """Bytes of a card that says these, with letters beyond ASCII as escapes, which many senders write."""
    return _LINE_AROUND + len(json.dumps(texts))


def images_of(message: RenderedMessage) -> list[str]:
    """The addresses of the message's pictures: its own, then those of its items."""
    own = [message.media["url"]] if message.media and message.media["kind"] == "image" else []
    return own + [item["image"] for item in message.items if "image" in item]


def _email(message: RenderedMessage) -> Iterator[str]:
    if re.search(r"[\x00-\x1f\x7f\u2028\u2029]", message.subject):
        yield f"the subject '{message.subject}' holds a line break or a control character"


def _labels(message: RenderedMessage, *, at_most: int, where: str) -> Iterator[str]:
    for label, times in Counter(message.suggested_replies).items():
        if not label:
            yield f"a suggested reply is empty on {where}"
        if times > 1:
            yield f"suggested reply '{label}' stands {times} times, once at most on {where}"
        yield from _too_long(f"suggested reply '{label}'", label, at_most=at_most, where=where)


def _payloads(message: RenderedMessage, *, at_most: int, where: str) -> Iterator[str]:
    """Each reply whose token may become longer than what comes back whole."""
    for reply in message.replies:
        trait, value = reply.get("trait"), reply.get("value")
        if trait and value is not None and (length := longest_payload(trait, value)) > at_most:
            yield (
                f"the value '{value!s:.40}' of suggested reply '{reply['text']}' makes a payload of {length} "
                f"characters on {where}, {at_most} at most"
            )


@lru_cache(maxsize=4_096, typed=True)
def longest_payload(trait: str, value: str | float | bool) -> int:
    """How long the token of a button may become that declares a trait, whatever the id of its decision."""
    return -(-(_BESIDE_WHAT_IT_SAYS + len(answer_of(trait, value).encode())) * 4 // 3)


def answer_of(trait: str, value: str | float | bool) -> str:
    """What the token of a button says that declares a trait."""
    return f"answer:{json.dumps([trait, value], ensure_ascii=False, separators=(',', ':'))}"


def _too_long(what: str, text: str, *, at_most: int, where: str) -> Iterator[str]:
    if (length := len(text) if where == "WhatsApp" else _signs(text)) > at_most:
        yield f"{what} is {length} characters on {where}, {at_most} at most"


def units(text: str) -> int:
    """How long LINE finds a text: in units of UTF-16, of which most emoji take two."""
    return len(text.encode("utf-16-le")) // 2


def _signs(label: str) -> int:
    """How long LINE finds a label at most: in signs as they are read, so that vowels above and below count nothing."""
    return sum(not unicodedata.category(each).startswith("M") for each in label)


def _stamped(url: str) -> int:
    """How long an address may become, where it leads through our redirect."""
    return len(quote(url, safe="")) + ROOM_FOR_A_TOKEN


_OF_PROVIDERS: Mapping[str, Callable[[RenderedMessage], Iterator[str]]] = {
    "whatsapp": _whatsapp,
    "line": _line,
    "email": _email,
}
