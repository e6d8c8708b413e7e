"""Where a visit came from, as it is read from what a page or a server says."""

from __future__ import annotations

from urllib.parse import unquote_plus

import pytest

from serving.ingest import declared, touches
from tests.serving.judged_calls import judged, taken, tracked

SITE = "https://www.shop.example/soap"


@pytest.mark.parametrize(
    ("context", "source", "campaign"),
    [
        ({"campaign": {"source": "google", "medium": "cpc", "name": "spring"}}, "google / cpc", "spring"),
        ({"campaign": {"source": "newsletter"}}, "newsletter", None),
        ({"campaign": {"name": "spring"}}, "unknown", "spring"),
        ({"page": {"url": f"{SITE}?utm_source=ig&utm_medium=story&utm_campaign=may"}}, "ig / story", "may"),
        ({"page": {"url": SITE, "search": "?gclid=abc"}}, "google / cpc", None),
        ({"page": {"url": f"{SITE}?fbclid=abc#top"}}, "facebook / social", None),
        ({"page": {"url": SITE, "referrer": "https://www.google.co.in/"}}, "google / organic", None),
        ({"page": {"url": SITE, "referrer": "https://blog.example/a?mail=me"}}, "blog.example / referral", None),
        ({"page": {"url": SITE, "referrer": "https://shop.example/"}}, None, None),
        ({"page": {"url": SITE, "referrer": ""}}, "unknown", None),
        ({"page": {"url": "http://[", "referrer": "http://["}}, "unknown", None),
        (
            {"referral": {"ctwa_clid": "c1", "source_id": "ad-7"}, "channel": "whatsapp"},
            "whatsapp / click_to_chat",
            "ad-7",
        ),
        ({"ref": "poster-3"}, "chat / click_to_chat", "poster-3"),
        ({"page": 5, "campaign": "x", "referrer": []}, "unknown", None),
        (None, "unknown", None),
    ],
)
def test_a_visit_says_where_it_came_from(context: object, source: str | None, campaign: str | None) -> None:
    columns = taken({"type": "page", "context": context})
    assert (columns.get("source"), columns.get("campaign")) == (source, campaign)


def test_what_else_a_touch_said_is_kept_without_the_referrers_query() -> None:
    page = {"url": f"{SITE}?gclid=abc&utm_term=soap", "referrer": "https://blog.example/a?mail=me@b.example"}
    details = taken({"type": "page", "context": {"page": page}})["properties"]["_touch"]
    assert details == {"term": "soap", "click_id": "gclid:abc", "referrer": "blog.example/a"}


@pytest.mark.parametrize("of", ["url", "search"])
def test_of_an_address_only_what_is_known_is_read_and_no_more_than_it_may_hold(of: str) -> None:
    decoded: list[str] = []

    def noted(text: str) -> str:
        decoded.append(text)
        return unquote_plus(text)

    many = "&".join(f"field{n}={n}" for n in range(90))
    late = "&".join(["x=" + "y" * 3_000, "utm_campaign=late"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(touches, "unquote_plus", noted)
        columns = tracked("Page Viewed", context={"page": {of: f"https://a.example/?{many}&utm_source=x%20y&{late}"}})
    assert (columns["source"], columns.get("campaign"), decoded) == ("x y", None, ["x%20y"])


def test_what_is_kept_in_memory_of_campaigns_and_zones_is_bounded_whoever_sends_them() -> None:
    touches._touches.clear()
    declared._is_zone.cache_clear()
    for n in range(2 * touches._TOUCHES):
        tracked("X", context={"campaign": {"name": f"{n}"}})
        tracked("X", context={"campaign": {"name": f"{n}-" + "x" * 10_000}})
        judged({"type": "identify", "userId": "u", "messageId": "m", "traits": {"time_zone": f"{n}-" + "x" * 10_000}})
    assert 0 < len(touches._touches) <= touches._TOUCHES
    assert max(len(str(one)) for one in touches._touches) < 5 * touches.LONGEST
    assert declared._is_zone.cache_info().currsize == 0


def test_an_event_of_a_server_is_no_visit() -> None:
    assert "source" not in tracked("Order Completed", total=1)
    assert "source" not in tracked("Order Completed", total=1, context={"library": {"name": "x"}, "locale": "en"})
