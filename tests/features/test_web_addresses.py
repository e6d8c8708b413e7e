"""Addresses as providers take them: encoded once, and none that no browser could read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.web_addresses import web_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://shop.example/s?q=dry skin", "https://shop.example/s?q=dry%20skin"),
        ("https://shop.example/a%20b?x=%E0%B8%81&y=1#top", "https://shop.example/a%20b?x=%E0%B8%81&y=1#top"),
        ("https://shop.example/ครีม", "https://shop.example/%E0%B8%84%E0%B8%A3%E0%B8%B5%E0%B8%A1"),
        ("https://shop.example/s?q=50% off\\", "https://shop.example/s?q=50%25%20off%5C"),
        ("HTTPS://ไทย.example:8443", "https://xn--o3cw4h.example:8443"),
        ("  https://shop.example\n", "https://shop.example"),
        ("https://shop.example/[a]?b=\"<c>'", "https://shop.example/[a]?b=%22%3Cc%3E'"),
    ],
)
def test_what_no_address_may_hold_is_encoded_and_what_is_encoded_stays(text: str, address: str) -> None:
    assert web_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop.example",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://shop example/",
        "https://shop.example:port/",
        "https://[::1/",
        "https://shop.example/a\nb",
        "https://shop.example/\ud800",
        "https://{{ host }}/",
        f"https://{'ร' * 80}.example/",
    ],
)
def test_what_no_browser_reads_is_no_web_address(text: str) -> None:
    assert web_address(text) is None


@given(st.text(max_size=20))
def test_an_address_is_ascii_without_blanks_and_encoding_it_again_changes_nothing(rest: str) -> None:
    address = web_address(f"https://shop.example/{rest}")
    if address is not None:
        assert address.isascii()
        assert " " not in address
        assert web_address(address) == address
