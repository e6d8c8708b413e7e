"""Where the redirect may lead: the hosts of the catalogue's own links and those that brand.yaml lists, no other.

A redirect that led anywhere would lend the brand's name to whoever writes phishing mails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from features.brand import Brand
from features.catalogue import Catalogue, Rendering
from features.web_addresses import web_address

# As a browser reads it too: no user before the host, no backslash (which it takes for a slash), no blank anywhere.
_ADDRESS = re.compile(r"[Hh][Tt][Tt][Pp][Ss]?://([^\s/?#\\@:\[\]]+)(:[0-9]{1,5})?([/?#][^\s\\\x00-\x1f\x7f]*)?")
LONGEST_ADDRESS = 4_096


def link_hosts(brand: Brand, catalogue: Catalogue) -> frozenset[str]:
    """The hosts that a tracked link may lead to, in lower case; a host that a slot fills is not among them."""
    found = (_host_of(url) for action in catalogue.actions for url in _urls_of(action.renderings))
    return frozenset(host for host in found if host) | frozenset(host.lower() for host in brand.link_hosts)


def host_led_to(url: str) -> str | None:
    """The host that an address, read strictly, leads to; None of one that the redirect leads nobody to."""
    if len(url) > LONGEST_ADDRESS:
        return None
    found = _ADDRESS.fullmatch(url)
    return found.group(1).lower() if found is not None else None


def host_shown(url: str) -> str:
    """The host that a refused address seems to have, for a message."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _urls_of(renderings: Mapping[str, Rendering]) -> Iterator[str]:
    for rendering in renderings.values():
        if rendering.link is not None:
            yield rendering.link.url
        yield from (item.url for item in rendering.items)


def _host_of(url: str) -> str | None:
    found = _ADDRESS.match(url)
    host = found.group(1).lower() if found else ""
    return None if "{" in host or "}" in host else host_led_to(web_address(f"https://{host}") or "")
