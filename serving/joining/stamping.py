"""A message with the token of its decision in everything that a customer may press.

Design. A pure function of the message and the decision's id. With the public address of this server links lead through
its redirect, which counts the click; without one, the token goes with the link to the shop, whose events bring it back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import lru_cache
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

    def token(what: str) -> str:
        return mint.token(decision_id, slot, what)

    def tracked(url: str, what: str) -> str:
        host = _host_through(url, public_url=public_url, hosts=hosts)
        says = what if host is None else f"{what}:{mint.mark_of(host)}"
        return tracked_url(url, token=token(says), public_url=public_url, hosts=hosts)

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


def _reply_says(reply: dict[str, Any], number: int) -> str:
    if reply.get("refuses"):
        return f"{REFUSES}:{reply['refuses']}"
    if reply.get("trait") and reply.get("value") is not None:
        return answer_of(reply["trait"], reply["value"])
    return f"{REPLY}:{number}"
