"""Where a visit came from: campaign, click id, click-to-chat ref or referrer, as `source` such as "google / cpc"."""

from __future__ import annotations

from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote_plus, urlsplit

from serving.ingest.calls import Context, text_of

UNKNOWN = "unknown"
LONGEST = 256

# Which network puts which parameter into the link of an ad.
CLICK_IDS = {
    "gclid": "google / cpc",
    "gbraid": "google / cpc",
    "wbraid": "google / cpc",
    "dclid": "google / display",
    "msclkid": "bing / cpc",
    "fbclid": "facebook / social",
    "ctwa_clid": "whatsapp / click_to_chat",
    "ttclid": "tiktok / cpc",
    "twclid": "x / cpc",
    "li_fat_id": "linkedin / cpc",
    "sccid": "snapchat / cpc",
    "yclid": "yandex / cpc",
}
_NOTHING = Context()
_TOUCHES = 1_024
_touches: dict[tuple[Any, ...], Touch | None] = {}  # of campaigns; short texts only: whoever sends them fills it
SEARCH_ENGINES = ("google", "bing", "duckduckgo", "yahoo", "baidu", "yandex", "naver", "ecosia")
_PARAMETERS = frozenset((*CLICK_IDS, *(f"utm_{of}" for of in ("source", "medium", "campaign", "term", "content"))))
_LONGEST_ADDRESS = 2_048  # of a query, or of an address without one: what is longer is not looked at


class Touch(NamedTuple):
    """What a call says of where the customer came from.

    Attributes:
        source: such as "google / cpc" or "instagram.com / referral"; "unknown" for a visit that does not say.
        campaign: its name, or the ref of a click to chat.
        details: what else was said: term, content, click_id, referrer, ref.
    """

    source: str
    campaign: str | None = None
    details: dict[str, str] | None = None


def touch_of(context: Context | None, *, is_visit: bool) -> Touch | None:
    """The touch that a call tells of; None where it tells of none.

    Args:
        context: of the call.
        is_visit: whether somebody comes in here, as with a page: then saying nothing is "unknown". A page that was
            reached from another one of the same site is no new touch.
    """
    if context is None:
        return Touch(UNKNOWN) if is_visit else None
    page = context.page if type(context.page) is dict else None
    campaign = context.campaign if type(context.campaign) is dict else None
    if page is None and context.referrer is None and context.referral is None and context.ref is None:
        if campaign is None:
            return Touch(UNKNOWN) if is_visit else None
        return _of_campaign(campaign, is_visit)
    return _found(context, page or {}, campaign or {}, is_visit=is_visit)


def _of_campaign(campaign: dict[str, Any], is_visit: bool) -> Touch | None:
    """Most calls tell of the same few campaigns again and again, and of nothing else."""
    get = campaign.get
    said = (get("source"), get("medium"), get("name"), get("term"), get("content"), is_visit)
    try:
        return _touches[said]
    except (KeyError, TypeError):  # TypeError: something in it is no text
        touch = _found(_NOTHING, {}, campaign, is_visit=is_visit)
    if all(one is None or (type(one) is str and len(one) <= LONGEST) for one in said[:-1]):
        if len(_touches) >= _TOUCHES:
            _touches.clear()
        _touches[said] = touch
    return touch


def _found(context: Context, page: dict[str, Any], campaign: dict[str, Any], *, is_visit: bool) -> Touch | None:
    said = _query(page)
    details = {
        name: found
        for name in ("term", "content")
        if (found := _text(campaign.get(name)) or said.get(f"utm_{name}")) is not None
    }
    source, medium = (_text(campaign.get(of)) or said.get(f"utm_{of}") for of in ("source", "medium"))
    name = _text(campaign.get("name")) or said.get("utm_campaign")
    clicked = next((of for of in CLICK_IDS if of in said), None)
    if clicked is not None:
        details["click_id"] = f"{clicked}:{said[clicked]}"
    ref, chat = _ref(context)
    if ref is not None:
        details["ref"] = ref
    if chat is not None:
        details["click_id"] = f"ctwa_clid:{chat}"
    referrer = _split(_referrer(context, page))
    is_inside = referrer is not None and referrer.hostname == _host(page.get("url"))
    if referrer is not None and not is_inside:
        details["referrer"] = f"{referrer.hostname}{referrer.path}"[:LONGEST]
    if source is not None or medium is not None:
        told = f"{source or UNKNOWN} / {medium}" if medium is not None else f"{source}"
    elif clicked is not None:
        told = CLICK_IDS[clicked]
    elif ref is not None or chat is not None:
        told = f"{_text(context.channel) or 'chat'} / click_to_chat"
    elif referrer is not None and not is_inside:
        told = _by_referrer(str(referrer.hostname))
    elif (is_visit and not is_inside) or name is not None:
        told = UNKNOWN
    else:
        return None
    return Touch(told[:LONGEST], name or ref, details or None)


def _query(page: dict[str, Any]) -> dict[str, str]:
    """Campaign parameters and click ids of the page's address, by their names in small letters."""
    for of in ("search", "url"):
        text = page.get(of)
        if type(text) is str and (found := _parameters(text)):
            return found
    return {}


def _parameters(address: str) -> dict[str, str]:
    query = address.partition("?")[2].partition("#")[0]
    if len(query) > _LONGEST_ADDRESS:
        query = query[:_LONGEST_ADDRESS].rpartition("&")[0]  # half a value is none
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if value and (name := name.lower()) in _PARAMETERS:
            found[name] = unquote_plus(value)[:LONGEST]
    return found


def _ref(context: Context) -> tuple[str | None, str | None]:
    """The ref of a click to chat and its click id, as messaging platforms hand them over."""
    referral = context.referral if type(context.referral) is dict else {}
    ref = _text(context.ref) or _text(referral.get("ref")) or _text(referral.get("source_id"))
    return ref, _text(referral.get("ctwa_clid"))


def _referrer(context: Context, page: dict[str, Any]) -> object:
    if found := page.get("referrer"):
        return found
    return context.referrer.get("url") if type(context.referrer) is dict else context.referrer


def _split(address: object) -> SplitResult | None:
    """An address with a host, whose query may hold what nobody should keep."""
    if type(address) is not str or not address:
        return None
    try:
        found = urlsplit(address[:_LONGEST_ADDRESS])
        return found._replace(netloc=found.hostname.removeprefix("www.")) if found.hostname else None
    except ValueError:
        return None


def _host(address: object) -> str | None:
    found = _split(address)
    return None if found is None else found.hostname


def _by_referrer(host: str) -> str:
    names = host.split(".")
    engine = next((engine for engine in SEARCH_ENGINES if engine in names), None)
    return f"{engine} / organic" if engine is not None else f"{host} / referral"


def _text(value: object) -> str | None:
    found = text_of(value)
    return found.strip() or None if found is not None else None
