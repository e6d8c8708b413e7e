"""A message as the body of a POST to the WhatsApp Cloud API's /messages.

References: developers.facebook.com/docs/whatsapp/cloud-api/reference/messages.
"""

from __future__ import annotations

from typing import Any

from features.message_limits import WHATSAPP_BUTTONS, is_button, whatsapp_text
from features.messages import RenderedMessage

OPENS_THE_LIST = "☰"  # the button in front of more than three replies; a sign, since it has to be read in any language


def written(message: RenderedMessage) -> dict[str, Any]:
    """The body without `to`: an approved template, an interactive message, a picture with a caption, or a text."""
    if message.template is not None:
        return _body("template", _template(message, message.template))
    if message.replies or is_button(message):
        return _body("interactive", _interactive(message))
    if message.media is not None:
        kind, caption = message.media["kind"], whatsapp_text(message)
        return _body(kind, {"link": message.media["url"], "caption": caption})
    has_links = bool(message.items or message.link)
    return _body("text", {"preview_url": has_links, "body": whatsapp_text(message)})


def _body(kind: str, said: dict[str, Any]) -> dict[str, Any]:
    return {"messaging_product": "whatsapp", "recipient_type": "individual", "type": kind, kind: said}


def _template(message: RenderedMessage, template: dict[str, Any]) -> dict[str, Any]:
    components: list[dict[str, Any]] = []
    if "header" in template and message.media is not None:
        kind = message.media["kind"]
        components.append({"type": "header", "parameters": [{"type": kind, kind: {"link": message.media["url"]}}]})
    if template["parameters"]:
        filled = [{"type": "text", "text": parameter} for parameter in template["parameters"]]
        components.append({"type": "body", "parameters": filled})
    if "buttons" in template:
        components += [_quick_reply(number, reply) for number, reply in enumerate(message.replies)]
    named = {"name": template["name"], "language": {"code": template["language"]}}
    return named | ({"components": components} if components else {})


def _quick_reply(number: int, reply: dict[str, Any]) -> dict[str, Any]:
    payload = {"type": "payload", "payload": payload_of(reply)}
    return {"type": "button", "sub_type": "quick_reply", "index": str(number), "parameters": [payload]}


def payload_of(reply: dict[str, Any]) -> str:
    """What WhatsApp sends back where the reply is pressed: the token of its decision, else its words."""
    return str(reply.get("payload") or reply["text"])


def _interactive(message: RenderedMessage) -> dict[str, Any]:
    header = _header(message)
    return {**header, "body": {"text": whatsapp_text(message)}} | _action(message)


def _header(message: RenderedMessage) -> dict[str, Any]:
    if message.media is None:
        return {}
    kind = message.media["kind"]
    return {"header": {"type": kind, kind: {"link": message.media["url"]}}}


def _action(message: RenderedMessage) -> dict[str, Any]:
    if message.link is not None and not message.replies:
        shown = {"display_text": message.link["label"], "url": message.link["url"]}
        return {"type": "cta_url", "action": {"name": "cta_url", "parameters": shown}}
    said = [{"id": payload_of(reply), "title": reply["text"]} for reply in message.replies]
    if len(said) > WHATSAPP_BUTTONS:
        return {"type": "list", "action": {"button": OPENS_THE_LIST, "sections": [{"rows": said}]}}
    return {"type": "button", "action": {"buttons": [{"type": "reply", "reply": each} for each in said]}}
