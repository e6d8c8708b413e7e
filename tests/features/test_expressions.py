"""What expressions give, refuse and do not know."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.expressions import Expression, InvalidExpression, UnknownName, compile_expression
from features.variable_names import VariableType

VARIABLES = {
    "n_orders": VariableType.NUMBER,
    "stage": VariableType.TEXT,
    "skin_need": VariableType.TEXT,
    "interests": VariableType.TEXTS,
    "birthday": VariableType.DATE,
    "last_order_at": VariableType.INSTANT,
    "is_known": VariableType.FLAG,
}


def evaluated(text: str, **values: object) -> object:
    return compile_expression(text, VARIABLES).evaluate(values)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("n_orders >= 2.0", {"n_orders": 2}, True),
        ("n_orders >= 2", {"n_orders": np.float32(1.0)}, False),
        ("int(n_orders / 10.0)", {"n_orders": 125.0}, 12),
        ("stage == 'loyalty' ? 'yes' : 'no'", {"stage": "loyalty"}, "yes"),
        ("'makeup' in interests", {"interests": ("makeup",)}, True),
        ("interests.exists(x, x == 'makeup')", {"interests": ["skincare"]}, False),
        ("birthday.getMonth() == 2", {"birthday": date(2000, 3, 5)}, True),
        ("birthday", {"birthday": "2000-03-05"}, date(2000, 3, 5)),
        ("last_order_at", {"last_order_at": "2000-03-05T01:00:00Z"}, datetime(2000, 3, 5, 1, tzinfo=UTC)),
        ("last_order_at", {"last_order_at": 1_000_000}, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ("birthday > timestamp('2000-01-01T00:00:00Z')", {"birthday": "2000-03-05"}, True),
        ("is_known", {"is_known": "false"}, False),
        ("is_known", {"is_known": np.True_}, True),
        ("!is_known", {"is_known": False}, True),
    ],
)
def test_an_expression_gives_its_value(text: str, values: dict[str, object], expected: object) -> None:
    assert evaluated(text, **values) == expected


ANYTHING = st.none() | st.booleans() | st.floats() | st.integers(-(2**60), 2**60) | st.text(max_size=6)


@pytest.mark.parametrize("name", ["n_orders", "last_order_at", "birthday"])
@given(value=ANYTHING | st.dates() | st.datetimes() | st.just("2000-03-05T01:00:00+05:30"))
def test_a_name_alone_gives_what_cel_gives_for_it(name: str, value: object) -> None:
    by_cel = compile_expression(f"true ? {name} : {name}", VARIABLES)

    def given_by(expression: Expression) -> tuple[object, object]:
        try:
            found = expression.evaluate({name: value})
        except UnknownName as unknown:
            return UnknownName, unknown.name
        except (ValueError, OverflowError) as fault:  # an instant that no calendar has
            return type(fault), str(fault)
        if isinstance(found, datetime):
            found = found.replace(fold=0)
        day = found.date() if name == "birthday" and isinstance(found, datetime) else found
        return type(day), repr(day)

    assert given_by(compile_expression(name, VARIABLES)) == given_by(by_cel)


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan")])
def test_what_is_not_known_is_named(value: object) -> None:
    with pytest.raises(UnknownName) as raised:
        evaluated("n_orders >= 2.0", n_orders=value)
    assert raised.value.name == "n_orders"


def test_what_the_result_does_not_depend_on_may_be_unknown() -> None:
    assert evaluated("!is_known || n_orders == 0.0", is_known=False) is True


def test_what_the_result_depends_on_may_not() -> None:
    with pytest.raises(UnknownName):
        evaluated("!is_known || n_orders == 0.0", is_known=True)


@pytest.mark.parametrize(("need", "expected"), [("acne", True), (None, False), (math.nan, False)])
def test_has_says_whether_something_is_known(need: object, expected: bool) -> None:
    assert evaluated("has_skin_need", skin_need=need) is expected


def test_a_variable_may_itself_begin_with_has() -> None:
    expression = compile_expression("has_gift > 0.0", {"has_gift": VariableType.NUMBER})
    assert expression.evaluate({"has_gift": 1}) is True


def test_names_are_what_has_to_be_given() -> None:
    expression = compile_expression("has_skin_need && interests.exists(x, x == stage)", VARIABLES)
    assert expression.names == {"skin_need", "interests", "stage"}


@pytest.mark.parametrize(
    ("text", "told", "closest"),
    [
        ("n_ordes > 1.0", "'n_ordes', which does not exist", "n_orders"),
        ("has_skin_ned", "'has_skin_ned', which does not exist", "has_skin_need"),
        ("n_orders + 1 > 2.0", "mixes types", None),
        ("stage == 'loyalty' && is_known && n_orders + 1 > 2.0", "mixes types", None),
        ("n_orders > 100.0 && n_orders + 1 > 2.0", "mixes types", None),
        ("stage + n_orders == ''", "mixes types", None),
        ("round(n_orders) > 1.0", "calls 'round', which CEL does not have", None),
        ("n_orders >", "does not parse", None),
        ("", "does not parse", None),
        ("interests[7] == 'a'", "fails for", None),
        ("interests", "gives list of texts", None),
    ],
)
def test_a_wrong_expression_is_refused_when_it_is_loaded(text: str, told: str, closest: str | None) -> None:
    with pytest.raises(InvalidExpression, match=told) as raised:
        compile_expression(text, VARIABLES, result=VariableType.FLAG)
    assert raised.value.closest == closest


def test_a_condition_has_to_be_true_or_false() -> None:
    with pytest.raises(InvalidExpression, match="has to be true or false"):
        compile_expression("n_orders", VARIABLES, result=VariableType.FLAG)


def test_many_variables_are_all_varied() -> None:
    variables = {f"v{number}": VariableType.NUMBER for number in range(9)}
    tests = " && ".join(f"v{number} > 5.0" for number in range(1, 9))
    with pytest.raises(InvalidExpression, match="mixes types"):
        compile_expression(f"v0 > 5.0 ? v0 + 1 > 0.0 : ({tests})", variables)


def test_a_value_of_the_wrong_type_is_not_known() -> None:
    with pytest.raises(UnknownName):
        evaluated("stage == 'loyalty'", stage=3)


def test_an_expression_is_compiled_once() -> None:
    assert compile_expression("n_orders > 1.0", VARIABLES) is compile_expression("n_orders > 1.0", VARIABLES)


def test_any_horizon_up_to_a_year_may_be_named_where_next_purchase_may() -> None:
    known = {"purchase_propensity": VariableType.NUMBER}
    text = "expected_orders_45d > 1.5 && has_purchase_propensity_365d"
    expression = compile_expression(text, known, result=VariableType.FLAG)
    assert expression.names == {"expected_orders_45d", "purchase_propensity_365d"}
    assert expression.evaluate({"expected_orders_45d": 2.0, "purchase_propensity_365d": 0.9}) is True
    for unknown in ("expected_orders_366d", "expected_orders_0d", "expected_orders_045d", "expected_order_45d"):
        with pytest.raises(InvalidExpression, match="does not exist"):
            compile_expression(f"{unknown} > 1.0", known)
    with pytest.raises(InvalidExpression, match="does not exist"):
        compile_expression("expected_orders_45d > 1.0", {"segment": VariableType.TEXT})
