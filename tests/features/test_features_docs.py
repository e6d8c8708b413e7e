"""docs/features.md names every feature."""

from __future__ import annotations

import re

from features.brand import Brand
from features.feature_docs import PATH, written
from features.schema import feature_schema
from features.workspace import Workspace


def test_the_tables_are_those_of_the_code() -> None:
    text = PATH.read_text("utf-8")
    assert written(text) == text, "run: python -m features.feature_docs"


def test_every_feature_of_the_starter_is_documented(starter: tuple[Workspace, Brand]) -> None:
    workspace, brand = starter
    documented = set(re.findall(r"^\| `([^`]+)` \|", PATH.read_text("utf-8"), flags=re.M))
    own = {name for view in feature_schema(brand, workspace).own for name in view.columns}
    names = {column.name for column in feature_schema(brand, workspace).columns} - own
    general = {re.sub(r"_(7|30|90|365)d$", "", name) for name in names if not name.startswith("trait_")}
    ratios = {name for name in names if name in documented}
    assert general - {re.sub(r"_(7|30|90|365)d$", "", name) for name in ratios} <= documented
