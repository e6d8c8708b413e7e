"""What an expression compares a number with decides it, where it does nothing else with that number."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.compared import compared_with
from features.expressions import compile_expression
from features.variable_names import VariableType

VARIABLES = {"n": VariableType.NUMBER, "m": VariableType.NUMBER, "is_known": VariableType.FLAG}

COMPARISONS = st.builds(
    lambda name, sign, number, turned: f"{number} {sign} {name}" if turned else f"{name} {sign} {number}",
    st.sampled_from(["n", "m"]),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.sampled_from(["0.0", "1.0", "2.5"]),
    st.booleans(),
)
RULES = st.recursive(
    COMPARISONS | st.sampled_from(["is_known", "!is_known", "!has_n"]),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner),
    max_leaves=4,
)
NUMBERS = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 1.5, 2.5, 3.0, float("inf")])


@settings(max_examples=150, deadline=None)
@given(text=RULES, first=NUMBERS, second=NUMBERS, m=NUMBERS)
def test_two_numbers_on_the_same_side_of_all_of_it_are_told_the_same(
    text: str, first: float, second: float, m: float
) -> None:
    cuts = compared_with(text, "n")
    assert cuts is not None
    sides = [bisect_left(cuts, one) + bisect_right(cuts, one) for one in (first, second)]
    rule = compile_expression(text, VARIABLES)
    told = [rule.evaluate({"n": one, "m": m, "is_known": True}) for one in (first, second)]
    assert told[0] == told[1] or sides[0] != sides[1]


@pytest.mark.parametrize(
    "text",
    [
        "n + 1.0 > 3.0",
        "n > m",
        "n > -1.0",
        "3.0 < n + 1.0",
        "double(n) > 3.0",
        "n > 1e5",
        "n > 3.0 + m",
        "2.0 * 3.0 < n",
        "n in [1.0, 2.0]",
        "is_known ? n > 1.0 : n > m",
        "n > 1.0 // and more",
        r"n > 1.0 && 'a\'b' == 'n'",
    ],
)
def test_whatever_else_is_done_with_a_number_is_not_read(text: str) -> None:
    assert compared_with(text, "n") is None


def test_what_stands_in_a_text_is_no_name() -> None:
    assert compared_with("intent == 'n + m' && n >= 2.0 && 7.0 > n", "n") == (2.0, 7.0)
    assert compared_with("has_n || is_known", "n") == ()
