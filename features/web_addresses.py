"""A web address as every provider and browser takes it: ASCII, without blanks."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, urlsplit

_AS_IT_IS = re.compile(
    r"https?://[A-Za-z0-9._~-]+(:[0-9]{1,5})?([/?#]([A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]|%[0-9A-Fa-f]{2})*)?"
)
_PARTS = re.compile(r"(https?)://([^/?#\\]+)(.*)", re.IGNORECASE | re.DOTALL)
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEPT = "%:/?#@!$&'()*+,;=[]~"


@lru_cache(maxsize=4_096)
def web_address(text: str) -> str | None:
    """An address with what no address may hold percent-encoded; what is encoded already stays as it is.

    Args:
        text: as a template wrote it; blanks around it are left out.

    Returns:
        The address; None where it is none of http or https, or no browser could read it.
    """
    text = text.strip()
    if _AS_IT_IS.fullmatch(text):
        return text
    found = _PARTS.fullmatch(text)
    if found is None or _UNSEEN.search(text):
        return None
    scheme, authority, rest = found.groups()
    try:
        authority = authority if authority.isascii() else authority.encode("idna").decode()
        parts = urlsplit(f"{scheme}://{authority}")
        is_read = bool(parts.hostname) and parts.port != 0
        said = quote(_LONE_PERCENT.sub("%25", rest), safe=_KEPT)
    except ValueError:  # UnicodeError too: half of a sign, or no name of a host
        return None
    return f"{scheme.lower()}://{authority}{said}" if is_read and not re.search(r"[\s<>\"^`{|}%]", authority) else None
