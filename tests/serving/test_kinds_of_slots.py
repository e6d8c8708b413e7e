"""Of which kind a slot's value is, told without making it: as what is made of it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.expressions import compile_expression
from features.surely_said import DAY, NUMBER, ordinary_kind
from features.variable_names import VariableType
from serving.contact.windows import to_us
from serving.outline import UNKNOWN, Known
from serving.shelf import evaluated

VARIABLES = {"n": VariableType.NUMBER, "at": VariableType.INSTANT, "need": VariableType.TEXT}
TEXTS = ("n", "at", "need", "int(n / 10.0)")
NUMBERS = st.floats(allow_infinity=False) | st.none() | st.integers(-5, 5) | st.just(True)
INSTANTS = st.integers(to_us(datetime(1600, 1, 1, tzinfo=UTC)), to_us(datetime(2500, 1, 1, tzinfo=UTC))) | st.none()


@given(st.sampled_from(TEXTS), NUMBERS, INSTANTS, st.sampled_from([None, "dry", 4.0]))
def test_a_kind_is_that_of_what_is_made(text: str, number: Any, instant: Any, need: Any) -> None:
    expression, values = compile_expression(text, VARIABLES), {"n": number, "at": instant, "need": need}
    made = evaluated(expression, values)
    kind = Known(evaluated, expression).kind(values)
    expected = UNKNOWN if made is None else ordinary_kind(made)
    at_the_edge = isinstance(made, datetime) and made.year in (1900, 2198, 2199)
    assert kind == expected or (at_the_edge and kind == DAY)


@pytest.mark.parametrize(
    ("values", "text", "kind"),
    [
        ({"n": 3.5}, "n", NUMBER),
        ({"n": 1e15}, "n", None),
        ({"n": float("nan")}, "n", UNKNOWN),
        ({}, "n", UNKNOWN),
        ({"at": to_us(datetime(2026, 3, 1, tzinfo=UTC))}, "at", DAY),
        ({"at": to_us(datetime(1899, 12, 31, tzinfo=UTC))}, "at", None),
        ({"at": to_us(datetime(2200, 1, 1, tzinfo=UTC))}, "at", None),
        ({"need": "dry"}, "need", None),
    ],
)
def test_what_is_not_ordinary_is_not_taken_for_it(values: dict[str, object], text: str, kind: str | None) -> None:
    assert Known(evaluated, compile_expression(text, VARIABLES)).kind(values) == kind
