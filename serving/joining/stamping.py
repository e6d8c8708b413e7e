"""A message with the token of its decision in everything that a customer may press.

Design. A pure function of the message and the decision's id. With the public address of this server links lead through
its redirect, which counts the click; without one, the token goes with the link to the shop, whose events bring it back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import lru_cache, partial
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from features.messages import RenderedMessage
from serving.joining.hosts import host_led_to
from serving.joining.tokens import ITEM, LINK, OPEN, REFUSES, REPLY, UNSUBSCRIBE, TokenMint, answer_of

PARAMETER = "rapport_token"
REDIRECT, PIXEL, LEAVE = "/r/", "/o/", "/u/"
_WEB = ("http", "https")


def stamp(
    message: RenderedMessage,
    *,
    decision_id: str,
    slot: int,
    mint: TokenMint,
    public_url: str | None,
    hosts: Collection[str] | None = None,
) -> RenderedMessage:
    """The message with a `payload` in each reply and a token in each link, and its open and unsubscribe addresses.

    Args:
        message: rendered, with its coupon code in it.
        decision_id: of the decision that says it.
        slot: in the decision's list, from 0.
        mint: makes the tokens.
        public_url: where customers reach this server, such as https://r.example.com; None where they do not.
        hosts: that the redirect leads to; a link to another one keeps its address, with the token in its query. None:
            whichever the message names.
    """
    pressed = _pressed(message, mint=mint, public_url=public_url, hosts=hosts)
    tokens = iter(mint.tokens(decision_id, slot, pressed.whats))
    replies = tuple([reply | {"payload": next(tokens)} for reply in message.replies])
    items = tuple([item | {"url": way(next(tokens))} for item, way in zip(message.items, pressed.ways, strict=False)])
    link = message.link and message.link | {"url": pressed.ways[-1](next(tokens))}
    opened, left = ("", "") if public_url is None else _own_urls(next(tokens), next(tokens), public_url)
    return RenderedMessage(
        message.locale,
        message.hook,
        message.body,
        message.media,
        link,
        message.suggested_replies,
        message.template,
        replies,
        items,
        message.subject,
        opened,
        left,
    )


class _Pressed(NamedTuple):
    """What of a message may be pressed, whichever decision says it."""

    message: RenderedMessage
    asked: tuple[object, ...]
    whats: tuple[bytes, ...]  # of the replies, the items, the link, the picture and the way out
    ways: tuple[Callable[[str], str], ...]  # the address of each item, then of the link, by its token


_KEPT = 4_096
_known: dict[int, _Pressed] = {}  # by the message, which many decisions say; it is held, so its id stays its own


def _pressed(
    message: RenderedMessage, *, mint: TokenMint, public_url: str | None, hosts: Collection[str] | None
) -> _Pressed:
    asked = (mint, public_url, hosts)
    found = _known.get(id(message))
    if found is None or found.message is not message or found.asked != asked:
        if len(_known) >= _KEPT:
            _known.clear()
        found = _known[id(message)] = _found_pressed(message, mint=mint, public_url=public_url, hosts=hosts)
    return found


def _found_pressed(
    message: RenderedMessage, *, mint: TokenMint, public_url: str | None, hosts: Collection[str] | None
) -> _Pressed:
    said = [(f"{ITEM}:{number}", item["url"]) for number, item in enumerate(message.items)]
    if message.link:
        said.append((LINK, message.link["url"]))
    whats = [_reply_says(reply, number) for number, reply in enumerate(message.replies)]
    for what, url in said:
        host = _host_through(url, public_url=public_url, hosts=hosts)
        whats.append(what if host is None else f"{what}:{mint.mark_of(host)}")
    if public_url is not None:
        whats += [OPEN, UNSUBSCRIBE]
    ways = tuple(partial(_tracked, url, public_url=public_url, hosts=hosts) for _, url in said)
    return _Pressed(message, (mint, public_url, hosts), tuple(what.encode() for what in whats), ways)


def _tracked(url: str, token: str, *, public_url: str | None, hosts: Collection[str] | None) -> str:
    return tracked_url(url, token=token, public_url=public_url, hosts=hosts)


def _own_urls(opened: str, left: str, public_url: str) -> tuple[str, str]:
    """The addresses of this server that an e-mail names: the picture that says it was opened, and the way out."""
    base = public_url.rstrip("/")
    return f"{base}{PIXEL}{opened}.gif", f"{base}{LEAVE}{left}"


def tracked_url(url: str, *, token: str, public_url: str | None, hosts: Collection[str] | None = None) -> str:
    """An address with a token on its way: through our redirect where it may lead there, else in its query.

    What is no web address (tel:, mailto:, an app's own) stays as it is.
    """
    parted = _parted(url)
    if parted is None:
        return url
    if public_url is not None and _host_through(url, public_url=public_url, hosts=hosts) is not None:
        return f"{public_url.rstrip('/')}{REDIRECT}{token}?to={parted.quoted}"
    return f"{parted.before}{PARAMETER}={token}{parted.after}"


def _host_through(url: str, *, public_url: str | None, hosts: Collection[str] | None) -> str | None:
    """The host that an address leads to through our redirect; None where it goes there itself."""
    parted = _parted(url) if public_url is not None else None
    if parted is None or parted.host is None:
        return None
    return parted.host if hosts is None or parted.host in hosts else None


class _Parted(NamedTuple):
    """An address: the host that the redirect reads in it, if any, what stands around a last parameter, all quoted."""

    host: str | None
    before: str
    after: str
    quoted: str


@lru_cache(maxsize=4_096)
def _parted(url: str) -> _Parted | None:
    """The parts of an address; None of no web address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in _WEB or not parts.hostname:
        return None
    address, sign, fragment = url.partition("#")
    joint = "" if address.endswith(("?", "&")) else "&" if parts.query else "?"
    return _Parted(host_led_to(url), f"{address}{joint}", f"{sign}{fragment}", quote(url, safe=""))


forget_addresses = _parted.cache_clear
"""Lets go of the addresses that were taken apart: a customer's words may stand in one."""


def _reply_says(reply: dict[str, Any], number: int) -> str:
    if reply.get("refuses"):
        return f"{REFUSES}:{reply['refuses']}"
    if reply.get("trait") and reply.get("value") is not None:
        return answer_of(reply["trait"], reply["value"])
    return f"{REPLY}:{number}"
