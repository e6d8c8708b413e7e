"""Expressions that only compare: as CEL says, and what is left to CEL."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.cel_loading import load_cel
from features.expressions import UnknownName, compile_expression
from features.plain_expressions import plain
from features.variable_names import VariableType

cel = load_cel()

TYPES: dict[str, VariableType | None] = {
    "n_orders": VariableType.NUMBER,
    "stage": VariableType.TEXT,
    "is_known": VariableType.FLAG,
    "has_stage": None,
}
NUMBERS, TEXTS = st.sampled_from((-1.5, 0.0, 1.0, 2.5)), st.sampled_from(("", "loyalty", "ลูกค้า", "a"))


def _listed(literals: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(literals, min_size=1, max_size=3).map(lambda some: f"in [{', '.join(some)}]")


def _compared(signs: tuple[str, ...], literals: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.builds("{} {}".format, st.sampled_from(signs), literals), _listed(literals))


ALL_SIGNS, EQUALITY = ("==", "!=", "<", "<=", ">", ">="), ("==", "!=")
QUOTED = st.one_of(TEXTS.map("'{}'".format), TEXTS.map('"{}"'.format))
FLAGS = st.sampled_from(("true", "false"))
LEAVES = st.one_of(
    _compared(ALL_SIGNS, NUMBERS.map(str)).map("n_orders {}".format),
    _compared(EQUALITY, QUOTED).map("stage {}".format),
    st.sampled_from(("is_known", "has_stage", "!is_known", "!!has_stage")),
    _compared(EQUALITY, FLAGS).map("is_known {}".format),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("{} && {}".format, inner, inner),
        st.builds("{}||{}".format, inner, inner),
        inner.map("({})".format),
        inner.map("!({})".format),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(text=EXPRESSIONS, n_orders=NUMBERS, stage=TEXTS, is_known=st.booleans(), has_stage=st.booleans())
def test_a_plain_expression_gives_what_cel_gives(
    text: str, n_orders: float, stage: str, is_known: bool, has_stage: bool
) -> None:
    values = {"n_orders": n_orders, "stage": stage, "is_known": is_known, "has_stage": has_stage}
    found = plain(text, TYPES)
    assert found is not None
    assert found(values) is cel.compile(text).execute(cel.Context(variables=values))


@pytest.mark.parametrize(
    "text",
    [
        "n_orders + 1.0 > 2.0",
        "n_orders >= 2",  # a whole number: CEL may convert it or refuse it
        "n_orders > 1.0e3",
        "stage < 'm'",
        "stage == 'it\\'s'",
        "stage.startsWith('l')",
        "!is_known in [true, false]",
        "!is_known == false",
        "is_known == true == false",
        "(n_orders > 1.0) == is_known",
        "is_known ? true : false",
        "stage in [stage]",
        "n_orders",
        "true",
    ],
)
def test_what_is_more_than_comparing_is_left_to_cel(text: str) -> None:
    types = TYPES if text != "n_orders" else TYPES | {"n_orders": VariableType.DATE}
    assert plain(text, types) is None


def test_what_an_unknown_makes_of_a_plain_expression_is_left_to_cel() -> None:
    variables = {"n_orders": VariableType.NUMBER, "stage": VariableType.TEXT}
    either = compile_expression("stage == 'loyalty' || n_orders > 1.0", variables)
    assert either.evaluate({"stage": "loyalty"}) is True
    with pytest.raises(UnknownName):
        either.evaluate({"stage": "awareness"})


def test_a_name_alone_gives_its_value() -> None:
    found = compile_expression("stage", {"stage": VariableType.TEXT})
    assert found.evaluate({"stage": "loyalty", "n_orders": 1.0}) == "loyalty"
