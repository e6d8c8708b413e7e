"""A message carries the token of its decision wherever a customer may press."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.faults import CallersMistake
from features.messages import RenderedMessage
from serving.joining.hosts import host_led_to
from serving.joining.stamping import stamp, tracked_url
from serving.joining.tokens import Said, TokenMint
from serving.settings import read_settings

MINT = TokenMint(b"a secret of this test")
SHOP = "https://shop.example/offer?size=2#top"


def a_message(**changes: Any) -> RenderedMessage:
    known: dict[str, Any] = {"locale": "en", "hook": "", "body": "Hello", "media": None, "link": None}
    return RenderedMessage(**known | {"suggested_replies": (), "template": None} | changes)


def stamped(message: RenderedMessage, public_url: str | None = None, hosts: Any = None) -> RenderedMessage:
    return stamp(message, decision_id="d1", slot=2, mint=MINT, public_url=public_url, hosts=hosts)


def test_each_reply_says_what_pressing_it_means() -> None:
    replies = (
        {"text": "Dry", "trait": "need", "value": "dry"},
        {"text": "Not now", "refuses": "not_now"},
        {"text": "Tell me more"},
    )
    said = [MINT.read(reply["payload"]) for reply in stamped(a_message(replies=replies)).replies]
    assert said == [Said("d1", 2, 'answer:["need","dry"]'), Said("d1", 2, "refuses:not_now"), Said("d1", 2, "reply:2")]


def test_a_truth_value_that_is_false_is_declared_too() -> None:
    (reply,) = stamped(a_message(replies=({"text": "No", "trait": "has_pets", "value": False},))).replies
    said = MINT.read(reply["payload"])
    assert said is not None
    assert said.answer == ("has_pets", False)


def test_without_a_public_address_the_link_carries_the_token_to_the_shop() -> None:
    link = stamped(a_message(link={"url": SHOP, "label": "Buy"})).link
    assert link is not None
    parts = urlsplit(link["url"])
    assert (parts.netloc, parts.path, parts.fragment, link["label"]) == ("shop.example", "/offer", "top", "Buy")
    query = parse_qs(parts.query)
    assert query["size"] == ["2"]
    assert MINT.read(query["rapport_token"][0]) == Said("d1", 2, "link")


def test_with_a_public_address_the_link_leads_through_the_redirect() -> None:
    link = stamped(a_message(link={"url": SHOP, "label": "Buy"}), "https://r.example.com/").link
    assert link is not None
    parts = urlsplit(link["url"])
    assert parts.netloc == "r.example.com"
    said = MINT.read(parts.path.removeprefix("/r/"))
    assert said is not None
    assert (said.kind, said.outcome, said.host_mark) == ("link", "clicked", MINT.mark_of("shop.example"))
    assert parse_qs(parts.query) == {"to": [SHOP]}


def test_a_link_to_a_host_that_the_redirect_does_not_serve_goes_there_itself() -> None:
    link = stamped(a_message(link={"url": SHOP, "label": "Buy"}), "https://r.example.com", {"other.example"}).link
    assert link is not None
    assert link["url"].startswith("https://shop.example/offer?size=2&rapport_token=")


def test_each_item_of_a_bundle_has_a_token_of_its_own() -> None:
    items = ({"title": "Soap", "url": "https://shop.example/1"}, {"title": "Scent", "url": "https://shop.example/2"})
    queries = [parse_qs(urlsplit(item["url"]).query) for item in stamped(a_message(items=items)).items]
    assert [MINT.read(query["rapport_token"][0]) for query in queries] == [
        Said("d1", 2, "item:0"),
        Said("d1", 2, "item:1"),
    ]


def test_only_a_server_that_customers_reach_has_addresses_of_its_own() -> None:
    assert stamped(a_message()) == a_message()
    message = stamped(a_message(), "https://r.example.com")
    opened = message.open_url.removeprefix("https://r.example.com/o/").removesuffix(".gif")
    assert MINT.read(opened) == Said("d1", 2, "open")
    left = message.unsubscribe_url.removeprefix("https://r.example.com/u/")
    assert MINT.read(left) == Said("d1", 2, "unsubscribe")


def test_what_is_no_web_address_stays_as_it_is() -> None:
    for url in ("tel:+911234", "mailto:hello@shop.example", "line://ti/p/@shop", "/relative", "https://"):
        assert tracked_url(url, token="t", public_url="https://r.example.com") == url


@pytest.mark.parametrize(
    "url", ["https://shop.example/s?q=dry skin", "https://a@shop.example/", "https://shop.example\\x"]
)
def test_an_address_that_the_redirect_would_refuse_is_not_sent_through_it(url: str) -> None:
    assert host_led_to(url) is None
    assert tracked_url(url, token="t", public_url="https://r.example.com").startswith(url)


@given(st.text(alphabet="abc/?&=#%é+", max_size=30))
def test_the_redirect_is_told_exactly_the_address_of_the_message(rest: str) -> None:
    url = f"https://shop.example/{rest}"
    assert parse_qs(urlsplit(tracked_url(url, token="t", public_url="https://r.example.com")).query) == {"to": [url]}


def test_the_public_address_is_a_server_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_PUBLIC_URL", "https://r.example.com/go/")
    assert read_settings().public_url == "https://r.example.com/go"
    for wrong in ("r.example.com", "ftp://r.example.com", "https://r.example.com/?x=1", "https://a@r.example.com"):
        monkeypatch.setenv("RAPPORT_PUBLIC_URL", wrong)
        with pytest.raises(CallersMistake, match="without a query"):
            read_settings()


def test_the_secret_is_not_shown_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_TOKEN_SECRET", "a very secret secret")
    assert "very secret" not in repr(read_settings())
