"""Marketers read features by what they mean, in their own language."""

from __future__ import annotations

import re

import pytest

from features.brand import Brand, load_brand
from features.meanings import said_of
from features.schema import feature_schema
from features.starting import write_starter
from features.workspace import Workspace

THAI = re.compile("[\u0e00-\u0e7f]")
DEVANAGARI = re.compile("[\u0900-\u097f]")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("meanings") / "shop"
    write_starter(folder)
    return Workspace(folder)


@pytest.fixture(scope="module")
def brand(shop: Workspace) -> Brand:
    return load_brand(shop)


def test_every_input_of_a_model_has_a_name_in_each_language_and_no_two_the_same(shop: Workspace, brand: Brand) -> None:
    schema = feature_schema(brand, shop)
    own = {column for view in schema.own for column in view.columns}
    names = [name for name in schema.model_inputs if name not in own]
    assert len(names) > 100
    for language, script in (("en", None), ("hi", DEVANAGARI), ("th", THAI)):
        said = [said_of(name, language=language, brand=brand) for name in names]
        assert len(set(said)) == len(names)
        assert not [one for one in said if "_" in one or (script and not script.search(one))]


@pytest.mark.parametrize(
    ("feature", "said"),
    [
        ("n_orders", "orders"),
        ("n_orders_7d", "orders, last 7 days"),
        ("revenue_30d", "money spent, last 30 days"),
        ("trait_skin_need", "what they told us: skin need"),
        ("trait_skin_need_age_days", "days since they told us: skin need"),
        ("trait_interests_makeup", "what they told us: interests, make-up"),
        ("n_sets_bought", "sets bought"),
        ("within 30 days", "within 30 days"),
    ],
)
def test_a_feature_is_said_in_words(feature: str, said: str, brand: Brand) -> None:
    assert said_of(feature, language="en", brand=brand) == said
