"""A rule's expression is told in words that say neither more nor less than it does."""

from __future__ import annotations

import pytest

from features.brand import load_brand
from features.schema import feature_schema
from serving.explaining.conditions import Names, in_words
from serving.explaining.naming import names_of
from tests.serving.conftest import starter

WORDED = {
    "!is_known || stage == 'awareness'": "the customer is not known or the funnel stage is 'awareness'",
    "!has_skin_need": "the declared skin need is not known",
    "n_orders == 1.0": "the number of orders is 1",
    "n_orders >= 2.0 && revenue_365d >= 1500.5": (
        "the number of orders is at least 2 and the revenue in the last 365 days is at least 1,500.5 INR"
    ),
    "days_since_last_order > 30.0 && days_since_last_order <= 90.0": (
        "the time since the last order is more than 30 days and the time since the last order is at most 90 days"
    ),
    "1.0 < days_since_last_order": "the time since the last order is more than 1 day",
    "100.0 >= revenue_365d": "the revenue in the last 365 days is at most 100 INR",
    "expected_spend_45d < -1.0": "the spend expected within 45 days is less than -1 INR",
    "n_products_bought > n_orders": "the number of products bought is more than the number of orders",
    "skin_need == 'dryness' || 'skincare' in interests": (
        "the declared skin need is 'dryness' or 'skincare' is among the declared interests"
    ),
    "segment in ['a', 'b'] && (stage != 'x' || is_known)": (
        "the segment is one of ('a', 'b') and (the funnel stage is not 'x' or the customer is known)"
    ),
    "is_known && n_orders > 1.0 || has_birthday && is_known": (
        "(the customer is known and the number of orders is more than 1) or "
        "(the declared birthday is known and the customer is known)"
    ),
    "!('skincare' in interests)": "'skincare' is not among the declared interests",
    "!(segment in ['a'])": "the segment is none of ('a')",
    "!(is_known && has_birthday)": "it is not so that (the customer is known and the declared birthday is known)",
    "is_known == false": "the customer is not known",
    "is_known != false": "the customer is known",
    "size(interests) > 2": "the size of the declared interests is more than 2",
    "!inbound_text.contains('a && b')": "it is not so that (what the customer wrote contains 'a && b')",
    "((is_known))": "the customer is known",
}
AS_WRITTEN = (
    "!is_known == has_birthday",  # binds as (!is_known) == has_birthday
    "is_known == has_birthday == is_known",
    "n_orders > 1.0 ? is_known : has_birthday",
    "interests.exists(x, x == 'a' || x == 'b')",
    "n_orders * 2.0 > 3.0",
    "stage == r'a'",
    "stage == 'it\\'s'",
    "stage == '''a && b'''",
    "is_known // && has_birthday",
    "null == stage",
    "true",
)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Names:
    workspace = starter(tmp_path_factory.mktemp("named") / "shop")
    brand = load_brand(workspace)
    return names_of(brand, feature_schema(brand, workspace))


@pytest.mark.parametrize(("expression", "words"), WORDED.items(), ids=WORDED)
def test_the_usual_shapes_are_said_in_words(names: Names, expression: str, words: str) -> None:
    assert in_words(expression, names) == words


@pytest.mark.parametrize("expression", AS_WRITTEN)
def test_what_has_another_shape_stands_there_as_it_was_written(names: Names, expression: str) -> None:
    assert in_words(expression, names) == f"`{expression}` holds"


def test_only_the_part_that_has_another_shape_is_not_worded(names: Names) -> None:
    told = in_words("is_known && (n_orders*2.0 > 3.0)", names)
    assert told == "the customer is known and `n_orders*2.0 > 3.0` holds"


def test_a_window_is_said_to_look_back_only_where_its_meaning_says_so(names: Names) -> None:
    assert names("n_orders_30d").words == "the number of orders in the last 30 days"
    assert names("order_trend_30d").words == "the order trend 30d"
