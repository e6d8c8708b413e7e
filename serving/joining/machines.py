"""Whether a click or an opened picture is a person's: by what the request says of itself, and by how soon it comes.

Mail proxies fetch pictures that nobody may have looked at, scanners follow links before the message is delivered, chats
fetch a page to draw its preview. They are kept, marked, and counted for nothing.

References:
    Apple's Mail Privacy Protection fetches as `Mozilla/5.0` and nothing else; Gmail's proxy as `GoogleImageProxy`; LINE
    draws previews as `line-poker` (its browser, `Line/`, is a person); `CUBOT` is a phone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FASTEST_SECONDS = 2.0
"""A person has to be told, look and move a finger; a scanner follows every link as the message arrives."""

PREFETCH = "prefetch"
NO_USER_AGENT = "no_user_agent"
MAIL_PROXY = "mail_proxy"
SCANNER = "scanner"
PREVIEW = "preview"
BOT = "bot"
PROGRAM = "program"

_KINDS = (
    (MAIL_PROXY, r"^mozilla/5\.0$|googleimageproxy|yahoomailproxy|slack-imgproxy|duckduckgo-image-proxy|protonmail"),
    (
        SCANNER,
        r"barracuda|mimecast|proofpoint|safelinks|urldefense|bitdefender|symantec|trendmicro|fortiguard|"
        r"cloudmark|google-safety|scanner",
    ),
    (
        PREVIEW,
        r"facebookexternalhit|line-poker|^whatsapp/|skypeuripreview|kakaotalk-scrap|bingpreview|^viber|embedly|"
        r"iframely|preview",
    ),
    (
        BOT,
        r"(?<!cu)bot\b|(?<!cu)bot/|mediapartners-google|apis-google|googleother|facebookcatalog/|crawler|spider|slurp|"
        r"yeti/|headlesschrome|phantomjs|lighthouse|pingdom",
    ),
    (
        PROGRAM,
        r"^(curl|wget|python|httpx|aiohttp|go-http-client|java|libwww|axios|node|undici|okhttp|ruby|php|perl)\b|"
        r"python-requests|python-urllib|apache-httpclient|scrapy|guzzlehttp|postmanruntime|^httpie/|"
        r"^microsoft office existence discovery",
    ),
)
_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in _KINDS)
_EARLY_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_EARLY = re.compile(r"prefetch|prerender|preview")


def machine_in(headers: Mapping[str, str]) -> str | None:
    """What kind of machine a request's headers give away, or None where they may be a person's.

    Args:
        headers: by their lower-case names.
    """
    if any(_EARLY.search(headers.get(name, "").lower()) for name in _EARLY_HEADERS):
        return PREFETCH
    return machine_called(headers.get("user-agent", ""))


def machine_called(user_agent: str) -> str | None:
    """What kind of machine calls itself so, or None where it may be a person's browser or app."""
    said = user_agent.strip().lower()
    if not said:
        return NO_USER_AGENT
    return next((kind for kind, pattern in _PATTERNS if pattern.search(said)), None)


def is_too_fast(occurred_us: int, *, since_us: int) -> bool:
    """Whether nobody can have read a message that came at `since_us`; both in microseconds since the epoch."""
    return 0 <= occurred_us - since_us < FASTEST_SECONDS * 1_000_000
