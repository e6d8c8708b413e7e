"""Money, numbers and dates as people of one locale write them, by Babel."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

from babel.core import Locale, UnknownLocaleError, get_global
from babel.dates import format_date, get_date_format, tokenize_pattern, untokenize_pattern
from babel.languages import get_official_languages
from babel.numbers import NumberPattern, format_decimal, get_currency_symbol, parse_pattern

from features.writing_money import MoneyWriting, learnt

BUDDHIST_ERA_BEGINS = 543  # years before the common era
_ERAS = {"th": "พ.ศ."}
_OTHER_ERA = "BE"


@dataclass(frozen=True, slots=True)
class Style:
    """Whose way of writing: a locale that Babel knows, with the brand's currency, time zone and calendar."""

    locale: str
    currency: str
    time_zone: str
    calendar: str = "gregorian"

    def money(self, amount: float | int | Decimal | str) -> str:
        """An amount in the brand's currency, without decimals where it is whole: ₹1,00,000."""
        return _money(str(0 if amount == 0 else amount), self.currency, self.locale)  # "-0.0" equals "0.0"

    def number(self, value: float | int | Decimal) -> str:
        """A number with the locale's groups and decimal sign, three decimals at most."""
        return _number(str(0 if value == 0 else value), self.locale)

    def date(self, instant: dt.date | dt.datetime | str | int, width: str = "long") -> str:
        """The day of an instant in the brand's time zone; naive datetimes are UTC, integers are its microseconds.

        Args:
            instant: a date, a datetime, an ISO 8601 text or microseconds since 1970.
            width: short, medium, long or full.
        """
        return _date(day_of(instant, self.time_zone), width, self.calendar, self.locale)


def day_of(instant: dt.date | dt.datetime | str | int, time_zone: str) -> dt.date:
    """The day of an instant in a time zone, as `Style.date` tells it.

    Raises:
        TypeError: it is no instant, as a decimal number of a text's slot is none.
        ValueError: it is a text that is none.
    """
    if isinstance(instant, str):
        instant = dt.datetime.fromisoformat(instant) if len(instant) > 10 else dt.date.fromisoformat(instant)
    elif isinstance(instant, int):
        instant = dt.datetime.fromtimestamp(instant / 1e6, tz=dt.UTC)
    if not isinstance(instant, dt.date):
        raise TypeError(f"{instant!r} is no date")
    if not isinstance(instant, dt.datetime):
        return instant
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=dt.UTC)
    return aware.astimezone(ZoneInfo(time_zone)).date()


def is_formattable(locale: str) -> bool:
    """Whether Babel knows how people of that locale write."""
    try:
        _babel(locale)
    except (UnknownLocaleError, ValueError):
        return False
    return True


@lru_cache(maxsize=256)
def _babel(locale: str) -> Locale:
    return Locale.parse(locale, sep="-")


@lru_cache(maxsize=4096)  # a catalogue's amounts are few
def _money(amount: str, currency: str, locale: str) -> str:
    writing = _money_writing(currency, locale)
    written = None if writing is None else writing.written(amount)
    return _money_by_babel(amount, currency, locale) if written is None else written


@lru_cache(maxsize=256)
def _money_writing(currency: str, locale: str) -> MoneyWriting | None:
    return learnt(partial(_money_by_babel, currency=currency, locale=locale))


def _money_by_babel(amount: str, currency: str, locale: str) -> str:
    value = Decimal(amount)
    is_whole = value == value.to_integral_value()
    pattern = _money_pattern(locale, is_whole)
    written = str(pattern.apply(value, _babel(locale), currency=currency, currency_digits=not is_whole))
    return written.replace(get_currency_symbol(currency, _babel(locale)), _narrow_symbol(currency, locale))


@lru_cache(maxsize=4096)
def _number(value: str, locale: str) -> str:
    return str(format_decimal(Decimal(value), locale=_babel(locale)))


@lru_cache(maxsize=4096)
def _date(day: dt.date, width: str, calendar: str, locale: str) -> str:
    pattern = width if calendar != "buddhist" else _buddhist_pattern(locale, width, day.year)
    return str(format_date(day, pattern, _babel(locale)))


@lru_cache(maxsize=256)
def _money_pattern(locale: str, is_whole: bool) -> NumberPattern:
    standard = _babel(locale).currency_formats["standard"]
    pattern = parse_pattern(standard.pattern)
    if is_whole:
        pattern.frac_prec = (0, 0)
    return pattern


@lru_cache(maxsize=256)
def _narrow_symbol(currency: str, locale: str) -> str:
    """The sign that a currency has at home, where the locale only knows its code: ฿ for THB."""
    symbol = get_currency_symbol(currency, _babel(locale))
    if symbol != currency:
        return str(symbol)
    home = currency[:2]  # ISO 4217: the country of the currency
    current = {code for code, _, end, _ in get_global("territory_currencies").get(home, []) if end is None}
    if currency not in current:
        return currency
    return next(
        (
            str(sign)
            for language in get_official_languages(home)
            if (sign := get_currency_symbol(currency, f"{language}_{home}")) != currency
        ),
        currency,
    )


@lru_cache(maxsize=1024)
def _buddhist_pattern(locale: str, width: str, year: int) -> str:
    """The locale's pattern with the Buddhist year written into it, and its era beside a bare year of four digits."""
    tokens = []
    buddhist = str(year + BUDDHIST_ERA_BEGINS)
    era = _ERAS.get(_babel(locale).language, _OTHER_ERA)
    fields = tokenize_pattern(get_date_format(width, _babel(locale)).pattern)
    has_era = any(kind == "field" and value[0] == "G" for kind, value in fields)
    for kind, value in fields:
        if kind == "field" and value[0] == "y":
            short = value[1] == 2
            bare = has_era or short
            text = buddhist[-2:] if short else buddhist if bare else _with_era(buddhist, era)
            tokens.append(("chars", text))
        elif kind == "field" and value[0] == "G":
            tokens.append(("chars", era))
        else:
            tokens.append((kind, value))
    return str(untokenize_pattern(tokens))


def _with_era(year: str, era: str) -> str:
    return f"{era} {year}" if era != _OTHER_ERA else f"{year} {era}"
