"""Which locales stand in for which."""

from __future__ import annotations

import pytest

from features.brand import Brand
from features.locales import formatting_locale, locale_chain


def a_brand(*locales: str, default: str = "en") -> Brand:
    voices = {locale: {"name": "Tiny"} for locale in locales}
    return Brand.model_validate(
        {
            "name": "Tiny",
            "time_zone": "UTC",
            "currency": "INR",
            "default_locale": default,
            "locales": voices,
            "goals": {"order": {"event": "Order Completed"}},
            "channels": {"web": {"kind": "web", "consent": "session", "body_limit": 10}},
            "placements": {
                "w": {"initiated_by": "customer", "channels": ("web",), "baseline": "a", "fallback": "a"},
            },
        }
    )


BRAND = a_brand("en", "hi", "th")


@pytest.mark.parametrize(
    ("asked", "chain"),
    [
        ("hi-IN", ("hi-IN", "hi", "en")),
        ("hi", ("hi", "en")),
        ("HI_in", ("hi-IN", "hi", "en")),
        ("hi-Deva-IN", ("hi-Deva-IN", "hi-Deva", "hi-IN", "hi", "en")),
        ("hi-Latn", ("hi-Latn", "en")),
        ("hi-Latn-IN", ("hi-Latn-IN", "hi-Latn", "en")),
        ("th-TH", ("th-TH", "th", "en")),
        ("en-US", ("en-US", "en")),
        ("fr", ("fr", "en")),
        (None, ("en",)),
        ("", ("en",)),
        ("../../etc", ("en",)),
        ("th_TH.UTF-8", ("th-TH", "th", "en")),
    ],
)
def test_a_locale_falls_back_to_its_parents_then_to_the_default(asked: str | None, chain: tuple[str, ...]) -> None:
    assert locale_chain(asked, BRAND) == chain


def test_hindi_in_latin_letters_never_becomes_devanagari_nor_the_other_way() -> None:
    both = a_brand("en", "hi", "hi-Latn")
    assert locale_chain("hi-Latn-IN", both) == ("hi-Latn-IN", "hi-Latn", "en")
    assert "hi-Latn" not in locale_chain("hi-IN", both)


def test_traditional_chinese_never_becomes_simplified() -> None:
    brand = a_brand("en", "zh", "zh-TW")
    assert locale_chain("zh-HK", brand) == ("zh-HK", "zh-TW", "en")
    assert locale_chain("zh-SG", brand) == ("zh-SG", "zh", "en")


def test_another_territory_of_the_language_is_nearer_than_the_default() -> None:
    assert locale_chain("pt", a_brand("en", "pt-BR")) == ("pt", "pt-BR", "en")


def test_a_regional_default_falls_back_as_well() -> None:
    assert locale_chain("fr", a_brand("en-IN", "en", default="en-IN")) == ("fr", "en-IN", "en")


@pytest.mark.parametrize(
    ("asked", "used", "expected"),
    [
        ("en-US", "en", "en-US"),
        ("hi-IN", "en", "en"),
        ("en", "en", "en"),
        ("hi-IN", "hi", "hi-IN"),
    ],
)
def test_numbers_follow_the_territory_of_the_same_language_only(asked: str, used: str, expected: str) -> None:
    assert formatting_locale(asked, used, BRAND) == expected
