"""The redirect leads to the brand's own hosts, however an address is dressed up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import Item, Link, Rendering
from serving.joining.hosts import host_led_to, link_hosts
from tests.serving.tiny_world import a_brand, a_catalogue, an_action

HOSTS = frozenset(("shop.example", "दुकान.example"))


def test_hosts_are_those_of_links_and_items_and_the_brand_s_own() -> None:
    linked = Rendering(
        body="x",
        link=Link(url="https://Shop.example/{{ need }}", label="Go"),
        items=(Item(title="Soap", url="http://items.example:8080/1"),),
    )
    thai = Rendering(body="x", link=Link(url="https://ไทย.example/", label="Go"))
    by_slot = Rendering(body="x", link=Link(url="https://{{ need }}.example/", label="Go"))
    catalogue = a_catalogue(
        an_action("a", renderings={"en": linked}), an_action("b", renderings={"en": by_slot, "th": thai})
    )
    brand = a_brand(link_hosts=("Partner.example",))
    assert link_hosts(brand, catalogue) == {"shop.example", "items.example", "partner.example", "xn--o3cw4h.example"}


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "http://shop.example/sale?x=1#top",
        "https://SHOP.example:8443/",
        "https://shop.example?x=https://evil.example/",
        "https://दुकान.example/क्रीम",
    ],
)
def test_the_brand_s_addresses_are_led_to(url: str) -> None:
    assert host_led_to(url) in HOSTS


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://evil.example/shop.example",
        "https://shop.example@evil.example/",
        "https://evil.example\\@shop.example/",
        "https://shop.example\\.evil.example/",
        "https://user@shop.example/",
        "//shop.example/",
        "javascript://shop.example/%0aalert(1)",
        "data:text/html,shop.example",
        "ftp://shop.example/",
        "http\u017f://shop.example/",  # a long s: no scheme, so a browser reads a path of this server
        "https:///shop.example/",
        "https:shop.example",
        " https://shop.example/",
        "https://shop.example/\r\nSet-Cookie: a=b",
        "https://shop.example\t.evil.example/",
        "https://xn--shop.example/",
        "https://shop.example/" + "a" * 4_096,
        "",
    ],
)
def test_any_other_address_is_not(url: str) -> None:
    assert host_led_to(url) not in HOSTS


@given(st.text(alphabet="shop.example/\\@:?#evil \t", max_size=40))
def test_what_is_led_to_has_the_host_right_behind_the_scheme(rest: str) -> None:
    url = f"https://{rest}"
    if host_led_to(url) in HOSTS:
        assert rest.startswith("shop.example")
        assert rest[12:13] in ("", "/", "?", "#", ":")
