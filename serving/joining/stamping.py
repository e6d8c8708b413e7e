"""A message with the token of its decision in everything that a customer may press.

Design. A pure function of the message and the decision's id. With the public address of this server links lead through
its redirect, which counts the click; without one, the token goes with the link to the shop, whose events bring it back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from features.messages import RenderedMessage
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

    def token(what: str) -> str:
        return mint.token(decision_id, slot, what)

    def tracked(url: str, what: str) -> str:
        return tracked_url(url, token=token(what), public_url=public_url, hosts=hosts)

    replies = tuple(
        reply | {"payload": token(_reply_says(reply, number))} for number, reply in enumerate(message.replies)
    )
    items = tuple(item | {"url": tracked(item["url"], f"{ITEM}:{n}")} for n, item in enumerate(message.items))
    link = message.link and message.link | {"url": tracked(message.link["url"], LINK)}
    opened, left = ("", "") if public_url is None else own_urls(token, public_url)
    return replace(message, replies=replies, items=items, link=link, open_url=opened, unsubscribe_url=left)


def own_urls(token: Callable[[str], str], public_url: str) -> tuple[str, str]:
    """The addresses of this server that an e-mail names: the picture that says it was opened, and the way out."""
    base = public_url.rstrip("/")
    return f"{base}{PIXEL}{token(OPEN)}.gif", f"{base}{LEAVE}{token(UNSUBSCRIBE)}"


def tracked_url(url: str, *, token: str, public_url: str | None, hosts: Collection[str] | None = None) -> str:
    """An address with a token on its way: through our redirect where it may lead there, else in its query.

    What is no web address (tel:, mailto:, an app's own) stays as it is.
    """
    parted = _parted(url)
    if parted is None:
        return url
    host, before, after, quoted = parted
    if public_url is not None and (hosts is None or host in hosts):
        return f"{public_url.rstrip('/')}{REDIRECT}{token}?to={quoted}"
    return f"{before}{PARAMETER}={token}{after}"


@lru_cache(maxsize=4_096)
def _parted(url: str) -> tuple[str, str, str, str] | None:
    """Host, what stands before a last parameter and behind it, and the whole quoted; None of no web address."""
    parts = urlsplit(url)
    if parts.scheme not in _WEB or not parts.hostname:
        return None
    address, sign, fragment = url.partition("#")
    joint = "" if address.endswith(("?", "&")) else "&" if parts.query else "?"
    return parts.hostname, f"{address}{joint}", f"{sign}{fragment}", quote(url, safe="")


def _reply_says(reply: dict[str, Any], number: int) -> str:
    if reply.get("refuses"):
        return f"{REFUSES}:{reply['refuses']}"
    if reply.get("trait") and reply.get("value") is not None:
        return answer_of(reply["trait"], reply["value"])
    return f"{REPLY}:{number}"
