"""Texts that only show values are filled without running a template: they read as the template would write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from features.formatting import Style, day_of
from features.templating import environment, filled, tells_only_the_day

STYLE = Style("hi-IN", "INR", "Asia/Kolkata")
INSTANTS = st.integers(0, 2_200_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, tz=UTC))
PIECES = (
    "Hello ",
    "कल\n",
    "{{ name }}",
    "{{ name|upper }}",
    "{{ at | date }}",
    "{{ at | date('short') }}",
    "{{ n | number }}",
    "{{ 200 | money }}",
    "{{ n | money }}",
    "{{ 'x' }}",
    "{% if n > 3 %}many{% endif %}",
    "{{ voice.name }}",
    "{# a remark #}",
    "{{ n + 1 }}",
    "}",
)
VALUES = st.fixed_dictionaries(
    {
        "name": st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"]), max_size=8),
        "at": INSTANTS,
        "n": st.integers(0, 9_999),
        "voice": st.just({"name": "Asha"}),
        "_style": st.just(STYLE),
    }
)


@given(
    texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=5).map("".join), min_size=1, max_size=3), values=VALUES
)
def test_texts_read_as_their_template_writes_them(texts: list[str], values: dict[str, object]) -> None:
    written = [environment().from_string(text).render(values).strip() if "{" in text else text for text in texts]
    assert filled(tuple(texts), values) == written


def test_a_name_that_nobody_gave_is_as_wrong_as_in_a_template() -> None:
    with pytest.raises(UndefinedError, match="'surname' is undefined"):
        filled(("Hello {{ surname }}",), {"name": "Asha"})


@pytest.mark.parametrize(
    ("text", "is_of_the_day"),
    [
        ("On {{ at | date }}", True),
        ("{{ at | date('full') }} and {{ at|date }}", True),
        ("nothing of it", True),
        ("{{ at }}", False),
        ("{{ at | date }} {{ at.hour }}", False),
        ("{{ n | date(at) }}", False),
        ("{% set at = n %}{{ at | date }}", False),
    ],
)
def test_a_text_tells_the_day_of_an_instant_only_where_it_dates_it(text: str, is_of_the_day: bool) -> None:
    assert tells_only_the_day(text, "at") is is_of_the_day


@given(at=INSTANTS)
def test_the_day_of_an_instant_reads_as_the_instant_does(at: datetime) -> None:
    text = ("{{ at | date }} {{ at | date('short') }}",)
    assert filled(text, {"at": at, "_style": STYLE}) == filled(
        text, {"at": day_of(at, "Asia/Kolkata"), "_style": STYLE}
    )
