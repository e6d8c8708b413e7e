"""Money is written as Babel writes it, whoever writes it."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.formatting import Style, _money_by_babel
from features.writing_money import learnt

LOCALES = ("en-IN", "hi-IN", "th-TH", "de-CH", "fr-FR", "es-ES", "pt-PT", "pl-PL", "ar-EG", "fa-IR", "he-IL", "my-MM")
CURRENCIES = ("INR", "THB", "EUR", "CHF", "JPY", "KWD")
amounts = st.one_of(
    st.floats(-1e15, 1e15).map(lambda amount: round(amount, 2)),
    st.integers(-(10**12), 10**12),
    st.decimals(-1000, 1000, places=4),
)


@given(st.sampled_from(LOCALES), st.sampled_from(CURRENCIES), amounts)
def test_an_amount_is_written_as_babel_writes_it(locale: str, currency: str, amount: float) -> None:
    told = Style(locale, currency, "UTC").money(amount)
    assert told == _money_by_babel(str(amount), currency, locale)


@pytest.mark.parametrize(
    ("locale", "currency", "told"), [("en-IN", "INR", "-₹1,23,456.50"), ("de-DE", "EUR", "-123.456,50\xa0€")]
)
def test_what_is_learnt_of_a_locale_writes_without_babel(locale: str, currency: str, told: str) -> None:
    writing = learnt(partial(_money_by_babel, currency=currency, locale=locale))
    assert writing is not None
    assert writing.written("-123456.5") == told


def test_nothing_is_learnt_of_a_currency_without_hundredths() -> None:
    assert learnt(partial(_money_by_babel, currency="JPY", locale="ja-JP")) is None


@pytest.mark.parametrize("amount", ["1e+16", "1.234", "nan", "007", "", "١"])
def test_what_is_no_plain_amount_is_left_to_babel(amount: str) -> None:
    writing = learnt(partial(_money_by_babel, currency="INR", locale="en-IN"))
    assert writing is not None
    assert writing.written(amount) is None
