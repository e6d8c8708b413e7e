"""The page's words, numbers, money and dates in one language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, format_percent

from features.brand import Brand
from features.faults import CallersMistake

LANGUAGES = ("en", "hi", "th")
_BUDDHIST_ERA = 543
UNKNOWN = "–"
MINUS = "\N{MINUS SIGN}"


@cache
def messages() -> Mapping[str, Mapping[str, str]]:
    """The table of the page's own words, by key and language."""
    table: dict[str, dict[str, str]] = yaml.safe_load(
        files("experiments.report").joinpath("templates", "messages.yaml").read_text("utf-8")
    )
    return table


def page_language(asked: str | None, brand: Brand) -> str:
    """The language of the page: what was asked, else the brand's default, else English.

    Raises:
        CallersMistake: a locale was asked for in whose language the page has no words.
    """
    if asked is not None:
        language = asked.replace("_", "-").split("-")[0].lower()
        if language in LANGUAGES and asked.replace("_", "-").lower() != "hi-latn":
            return language
        raise CallersMistake(
            f"Asked for the report in '{asked}', but its own words exist in {', '.join(LANGUAGES)}. "
            f"Leave the locale out for the brand's own."
        )
    default = brand.default_locale.split("-")[0]
    return default if default in LANGUAGES else "en"


class Words:
    """Says keys, numbers, money and dates in one language, for one brand."""

    def __init__(self, language: str, brand: Brand) -> None:
        self.language = language
        self.brand = brand
        # India writes 1,00,000 in English too, and its customers count in lakhs.
        is_indian = language == "en" and brand.currency == "INR"
        self._locale = {"en": "en_IN" if is_indian else "en_GB", "hi": "hi_IN", "th": "th_TH"}[language]
        voice = next((one for name, one in brand.locales.items() if name.split("-")[0] == language), None)
        self._is_buddhist = voice is not None and voice.calendar == "buddhist"
        self._zone = ZoneInfo(brand.time_zone)

    def __call__(self, key: str, **facts: object) -> str:
        """The text of one key with its facts filled in, in the singular where `n` is 1 and there is one."""
        table = messages()
        if facts.get("n") in (1, "1") and f"{key}_one" in table:
            key = f"{key}_one"
        return table[key][self.language].format(**facts)

    def has(self, key: str) -> bool:
        """Whether the page has words for that key."""
        return key in messages()

    def text_of(self, texts: Mapping[str, str], default: str = "") -> str:
        """One of the brand's own texts: in this language, else in its default locale, else in any."""
        for locale, text in texts.items():
            if locale.split("-")[0] == self.language and locale != "hi-Latn":
                return text
        return texts.get(self.brand.default_locale) or next(iter(texts.values()), default)

    def number(self, value: float | None, *, digits: int = 0) -> str:
        """12,345 or 1.25; a dash where it is unknown, as for shares and money."""
        if value is None:
            return UNKNOWN
        return self._signed_minus(format_decimal(round(value, digits), self._pattern(digits), locale=self._locale))

    def percent(self, value: float | None, *, digits: int | None = None) -> str:
        """A share in per cent, with one decimal where it is below ten per cent."""
        if value is None:
            return UNKNOWN
        shown = digits if digits is not None else (1 if abs(value) < 0.0995 and value else 0)
        return self._signed_minus(format_percent(value, self._pattern(shown) + "%", locale=self._locale))

    def signed_percent(self, value: float) -> str:
        """+12.3%."""
        return self._plus(value, self.percent(value, digits=1))

    def points(self, value: float) -> str:
        """A difference of two rates in percentage points: +1.9."""
        return self._plus(value, self.number(value * 100, digits=1))

    def change(self, value: int) -> str:
        """+120 or −35."""
        return self._plus(value, self.number(value))

    def money(self, value: float | None) -> str:
        """An amount in the brand's currency, without its small coins from a hundred on."""
        if value is None:
            return UNKNOWN
        text: str = format_currency(
            value,
            self.brand.currency,
            locale=self._locale,
            currency_digits=False,
            format="¤" + self._pattern(0 if abs(value) >= 99.5 or value == 0 else 2),
        )
        return self._signed_minus(text)

    def signed_money(self, value: float) -> str:
        """+₹1,20,000."""
        return self._plus(value, self.money(value))

    def day(self, day: date) -> str:
        """29 Mar 2026; in Thai with the Buddhist year where the brand's voice says so."""
        year = day.year + _BUDDHIST_ERA if self._is_buddhist else day.year
        return f"{format_date(day, 'd MMM', locale=self._locale)} {year}"

    def short_day(self, day: date) -> str:
        """29 Mar, for the axis of a chart."""
        text: str = format_date(day, "d MMM", locale=self._locale)
        return text

    def instant(self, instant: datetime) -> str:
        """29 Mar 2026, 14:05, where the brand's clocks are."""
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        local = aware.astimezone(self._zone)
        return f"{self.day(local.date())}, {format_time(local, 'HH:mm', locale=self._locale)}"

    def local_day(self, instant: datetime) -> str:
        """The day of an instant where the brand's clocks are."""
        return self.day(instant.astimezone(self._zone).date())

    def _pattern(self, digits: int) -> str:
        whole = "#,##,##0" if self._locale.endswith("_IN") else "#,##0"
        return whole + ("." + "0" * digits if digits else "")

    @staticmethod
    def _plus(value: float, text: str) -> str:
        return f"+{text}" if value > 0 else text

    @staticmethod
    def _signed_minus(text: Any) -> str:
        return str(text).replace("-", MINUS)
