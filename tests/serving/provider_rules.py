"""What WhatsApp and LINE refuse in a message's body, as far as their documentation says.

Written after the documentation and independent of the code that is tested: it counts and looks by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import urlsplit


class RefusedError(Exception):
    """The provider refuses the body, and says why."""


def need(holds: object, why: str) -> None:
    if not holds:
        raise RefusedError(why)


def only(part: object, *names: str) -> dict[str, Any]:
    need(isinstance(part, dict), f"{part!r} is no object")
    mapping = cast("dict[str, Any]", part)
    need(set(mapping) <= set(names), f"unknown fields {sorted(set(mapping) - set(names))}")
    return mapping


def text_of(part: Mapping[str, Any], name: str, *, at_most: int, utf16: bool = False) -> str:
    value = part.get(name)
    need(isinstance(value, str) and value.strip(), f"{name} is missing")
    length = len(cast("str", value).encode("utf-16-le")) // 2 if utf16 else len(cast("str", value))
    need(length <= at_most, f"{name} has {length} characters, {at_most} at most")
    return cast("str", value)


def web(url: object, *, schemes: tuple[str, ...] = ("http", "https"), at_most: int = 2000) -> None:
    need(isinstance(url, str) and len(url) <= at_most, f"{url!r} is too long")
    parts = urlsplit(cast("str", url))
    need(parts.scheme in schemes and parts.hostname, f"{url!r} is no address of {schemes}")


# -- WhatsApp Cloud API ---------------------------------------------------------------------------------------------


def whatsapp_accepts(body: object) -> None:
    """Raises RefusedError where the Cloud API's /messages would answer 400."""
    kind = cast("dict[str, Any]", body).get("type") if isinstance(body, dict) else None
    known = {"text", "image", "video", "interactive", "template"}
    need(kind in known, f"type {kind!r}")
    message = only(
        body, "messaging_product", "recipient_type", "to", "type", str(kind), "context", "biz_opaque_callback_data"
    )
    need(message.get("messaging_product") == "whatsapp", "messaging_product")
    need(message.get("recipient_type", "individual") == "individual", "recipient_type")
    need(re.fullmatch(r"\+?[0-9]{6,15}", str(message.get("to"))), "to is no phone number")
    need(len(message.get("biz_opaque_callback_data", "")) <= 512, "biz_opaque_callback_data is too long")
    _WHATSAPP[str(kind)](message[str(kind)])


def _whatsapp_text(part: object) -> None:
    text_of(only(part, "body", "preview_url"), "body", at_most=4096)


def _whatsapp_media(part: object) -> None:
    media = only(part, "link", "id", "caption")
    web(media.get("link"))
    if "caption" in media:
        text_of(media, "caption", at_most=1024)


def _whatsapp_interactive(part: object) -> None:
    said = only(part, "type", "header", "body", "footer", "action")
    text_of(only(said.get("body"), "text"), "text", at_most=1024)
    header = said.get("header")
    if header is not None:
        kinds = ("text",) if said["type"] == "list" else ("text", "image", "video", "document")
        need(header.get("type") in kinds, f"header of type {header.get('type')}")
        if header["type"] == "text":
            text_of(header, "text", at_most=60)
        else:
            web(only(header[header["type"]], "link").get("link"))
    {"button": _buttons, "list": _rows, "cta_url": _cta}[said["type"]](said.get("action"))


def _buttons(action: object) -> None:
    buttons = only(action, "buttons")["buttons"]
    need(1 <= len(buttons) <= 3, f"{len(buttons)} buttons")
    replies = [only(only(button, "type", "reply")["reply"], "id", "title") for button in buttons]
    _distinct([(text_of(r, "id", at_most=256), text_of(r, "title", at_most=20)) for r in replies])


def _rows(action: object) -> None:
    listed = only(action, "button", "sections")
    text_of(listed, "button", at_most=20)
    need(len(listed["sections"]) == 1, "several sections need titles")
    rows = only(listed["sections"][0], "title", "rows")["rows"]
    need(1 <= len(rows) <= 10, f"{len(rows)} rows")
    _distinct([(text_of(row, "id", at_most=200), text_of(row, "title", at_most=24)) for row in rows])


def _distinct(pairs: list[tuple[str, str]]) -> None:
    for values in zip(*pairs, strict=True):
        need(len(set(values)) == len(values), f"{values} are not unique")


def _cta(action: object) -> None:
    leads = only(action, "name", "parameters")
    need(leads["name"] == "cta_url", "name")
    text_of(leads["parameters"], "display_text", at_most=20)
    web(leads["parameters"].get("url"))


def _whatsapp_template(part: object) -> None:
    template = only(part, "name", "language", "components")
    need(re.fullmatch(r"[a-z0-9_]{1,512}", str(template.get("name"))), "name")
    need(re.fullmatch(r"[a-z]{2,3}(_[A-Za-z]{2,4})?", str(template["language"].get("code"))), "language")
    seen = []
    for component in template.get("components", ()):
        kind = only(component, "type", "sub_type", "index", "parameters")["type"]
        need(component["parameters"], "a component without parameters")
        seen.append((kind, component.get("index")))
        for parameter in component["parameters"]:
            _TEMPLATE_PARAMETERS[kind](component, parameter)
    need(len(set(seen)) == len(seen), "a component twice")


def _body_parameter(_: dict[str, Any], parameter: dict[str, Any]) -> None:
    text = text_of(only(parameter, "type", "text"), "text", at_most=1024)
    need(not re.search(r"[\n\t]| {5}", text), "new-line, tab or more than 4 spaces in a parameter")


def _header_parameter(_: dict[str, Any], parameter: dict[str, Any]) -> None:
    need(parameter["type"] in ("image", "video", "document"), "header")
    web(only(parameter[parameter["type"]], "link")["link"])


def _button_parameter(component: dict[str, Any], parameter: dict[str, Any]) -> None:
    need(component["sub_type"] == "quick_reply" and re.fullmatch("[0-9]", component["index"]), "button")
    text_of(only(parameter, "type", "payload"), "payload", at_most=256)


_TEMPLATE_PARAMETERS = {"body": _body_parameter, "header": _header_parameter, "button": _button_parameter}

_WHATSAPP: dict[str, Callable[[object], None]] = {
    "text": _whatsapp_text,
    "image": _whatsapp_media,
    "video": _whatsapp_media,
    "interactive": _whatsapp_interactive,
    "template": _whatsapp_template,
}

# -- LINE Messaging API ---------------------------------------------------------------------------------------------


def line_accepts(body: object) -> None:
    """Raises RefusedError where the Messaging API's push or reply would answer 400."""
    call = only(body, "to", "replyToken", "messages", "notificationDisabled")
    need(("to" in call) != ("replyToken" in call), "either to or replyToken")
    need(1 <= len(call["messages"]) <= 5, "one to five messages")
    for message in call["messages"]:
        {"text": _line_text, "flex": _line_flex}[message["type"]](message)
        if "quickReply" in message:
            items = only(message["quickReply"], "items")["items"]
            need(1 <= len(items) <= 13, f"{len(items)} quick replies")
            for item in items:
                need(only(item, "type", "action", "imageUrl")["type"] == "action", "item")
                _line_action(item["action"], label=20)


def _line_text(message: dict[str, Any]) -> None:
    text_of(only(message, "type", "text", "quickReply"), "text", at_most=5000, utf16=True)


def _line_flex(message: dict[str, Any]) -> None:
    flex = only(message, "type", "altText", "contents", "quickReply")
    text_of(flex, "altText", at_most=1500, utf16=True)
    need(len(json.dumps(flex["contents"])) <= 50_000, "the container is larger than 50 KB")
    if flex["contents"]["type"] == "carousel":
        bubbles = only(flex["contents"], "type", "contents")["contents"]
        need(1 <= len(bubbles) <= 12, f"{len(bubbles)} bubbles")
    else:
        bubbles = [flex["contents"]]
    for bubble in bubbles:
        need(len(json.dumps(bubble)) <= 30_000, "a bubble is larger than 30 KB")
        need(only(bubble, "type", "size", "hero", "body", "footer", "action")["type"] == "bubble", "bubble")
        for name in ("hero", "body", "footer"):
            if name in bubble:
                _line_component(bubble[name])
        if "action" in bubble:
            _line_action(bubble["action"], label=None)


def _line_component(part: dict[str, Any]) -> None:
    if part["type"] == "box":
        need(part["layout"] in ("vertical", "horizontal", "baseline"), "layout")
        need(part["contents"], "an empty box")
        for inside in part["contents"]:
            _line_component(inside)
    elif part["type"] == "text":
        text_of(only(part, "type", "text", "wrap", "size", "weight"), "text", at_most=5000, utf16=True)
    elif part["type"] == "image":
        web(part["url"], schemes=("https",))
    else:
        need(part["type"] == "button", f"component {part['type']}")
        _line_action(part["action"], label=20)


def _line_action(action: dict[str, Any], *, label: int | None) -> None:
    if label is not None:
        text_of(action, "label", at_most=label)
    if action["type"] == "uri":
        web(action["uri"], at_most=1000)
    elif action["type"] == "postback":
        text_of(only(action, "type", "label", "data", "displayText"), "data", at_most=300)
        text_of(action, "displayText", at_most=300)
    else:
        need(action["type"] == "message", f"action {action['type']}")
        text_of(only(action, "type", "label", "text"), "text", at_most=300)
