"""A message as the body of a POST to the LINE Messaging API's /message/push or /message/reply.

References: developers.line.biz/en/reference/messaging-api (message objects, Flex Messages, action objects).
"""

from __future__ import annotations

from typing import Any

from features.messages import RenderedMessage

LONGEST_ALTERNATIVE = 400  # what the list of talks and a notification show; LINE takes more, and shows less


def written(message: RenderedMessage) -> dict[str, Any]:
    """The body without `to` or `replyToken`: a text, or a bubble where there is a picture, a link or items."""
    bubble = _bubble(message)
    items = [_item(item) for item in message.items]
    said: dict[str, Any] = {"type": "text", "text": message.text}
    if items or message.link or _has_picture(message):
        contents = {"type": "carousel", "contents": [bubble, *items]} if items else bubble
        said = {"type": "flex", "altText": _alternative(message), "contents": contents}
    if message.replies:
        said["quickReply"] = {"items": [{"type": "action", "action": _answer(reply)} for reply in message.replies]}
    return {"messages": [said]}


def _has_picture(message: RenderedMessage) -> bool:
    return message.media is not None and message.media["kind"] == "image"


def _bubble(message: RenderedMessage) -> dict[str, Any]:
    words = [_text(message.hook, size="lg", weight="bold")] if message.hook else []
    words.append(_text(message.body))
    bubble: dict[str, Any] = {"type": "bubble"}
    if message.media is not None and _has_picture(message):
        bubble["hero"] = _picture(message.media["url"])
    bubble["body"] = _box(words)
    if message.link is not None:
        action = {"type": "uri", "label": message.link["label"], "uri": message.link["url"]}
        bubble["footer"] = _box([{"type": "button", "style": "primary", "action": action}])
    return bubble


def _item(item: dict[str, str]) -> dict[str, Any]:
    words = [_text(item["title"], weight="bold")]
    if "price" in item:
        words.append(_text(item["price"]))
    hero = {"hero": _picture(item["image"])} if "image" in item else {}
    return {"type": "bubble", **hero, "body": _box(words), "action": {"type": "uri", "uri": item["url"]}}


def _box(contents: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "box", "layout": "vertical", "spacing": "md", "contents": contents}


def _text(text: str, **look: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "wrap": True, **look}


def _picture(url: str) -> dict[str, Any]:
    return {"type": "image", "url": url, "size": "full", "aspectRatio": "20:13", "aspectMode": "cover"}


def _answer(reply: dict[str, Any]) -> dict[str, Any]:
    """What pressing a reply sends: its payload, with its words shown in the talk; the words alone without one."""
    label = reply["text"]
    if payload := reply.get("payload"):
        return {"type": "postback", "label": label, "data": payload, "displayText": label}
    return {"type": "message", "label": label, "text": label}


def _alternative(message: RenderedMessage) -> str:
    text = message.text
    return text if len(text) <= LONGEST_ALTERNATIVE else text[: LONGEST_ALTERNATIVE - 1].rstrip() + "…"
