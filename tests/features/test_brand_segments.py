from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import Brand, load_brand
from features.brand_checks import read_brand
from features.brand_segments import BrandSegments, brand_segments
from features.checking import check_workspace
from features.faults import InvalidFile
from features.schema import FeatureSchema, feature_schema
from features.starting import write_starter
from features.workspace import Workspace

SEGMENTS = """
segments:
  lapsed_regulars:
    when: n_orders >= 3.0 && days_since_last_order > 90.0
    label: {en: Lapsed regulars, hi: छूटे हुए नियमित}
  careful_skin:
    when: skin_need == 'dryness' || 'skincare' in interests
  hopefuls:
    when: stage == 'consideration' && purchase_propensity_30d > 0.2
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    write_starter(tmp_path / "shop")
    return Workspace(tmp_path / "shop")


def with_segments(shop: Workspace, text: str = SEGMENTS) -> tuple[Brand, FeatureSchema]:
    lines = shop.brand_file.read_text(encoding="utf-8")
    shop.brand_file.write_text(lines.partition("\nsegments:")[0] + "\n" + text, encoding="utf-8")
    brand = load_brand(shop)
    return brand, feature_schema(brand, shop)


def rules(shop: Workspace) -> BrandSegments:
    return brand_segments(*with_segments(shop))


def test_a_customer_is_in_every_segment_whose_condition_holds(shop: Workspace) -> None:
    known = {"n_orders": 4.0, "days_since_last_order": 120.0, "skin_need": "acne", "interests": ["skincare"]}
    assert rules(shop).of(known) == ["lapsed_regulars", "careful_skin"]
    assert rules(shop).of(known | {"days_since_last_order": 20.0}) == ["careful_skin"]


def test_what_is_not_known_of_a_customer_holds_of_none(shop: Workspace) -> None:
    assert rules(shop).of({"n_orders": 4.0, "days_since_last_order": float("nan")}) == []
    assert rules(shop).of({"skin_need": "dryness"}) == ["careful_skin"]


def test_a_condition_may_not_ask_for_what_only_a_request_knows(shop: Workspace) -> None:
    brand, schema = with_segments(shop, "\nsegments: {chatters: {when: channel == 'whatsapp'}}\n")
    with pytest.raises(InvalidFile, match="'channel' is not known when everybody is scored"):
        brand_segments(brand, schema)


def test_a_misspelt_feature_is_said_so_by_check_with_its_line(shop: Workspace) -> None:
    with_segments(shop, "\nsegments:\n  big:\n    when: n_ordrs > 3.0\n")
    report = check_workspace(shop)
    (fault,) = [fault for _, fault in report.faults]
    assert (fault.where, fault.closest) == ("segments.big.when", "n_orders")
    assert report.status == "FAIL"


def test_a_label_is_in_a_locale_of_the_brand(shop: Workspace) -> None:
    with_segments(shop)
    assert check_workspace(shop).faults == ()
    text = shop.brand_file.read_text(encoding="utf-8").replace("{en: Lapsed regulars", "{fr: Fidèles")
    shop.brand_file.write_text(text, encoding="utf-8")
    _, faults = read_brand(shop.brand_file)
    assert [fault.where for fault in faults] == ["segments.lapsed_regulars.label.fr"]


def test_a_file_of_names_that_is_wrong_is_told_by_check(shop: Workspace) -> None:
    assert "segments.yaml is right" not in [result.name for result in check_workspace(shop).results]
    (shop.root / "segments.yaml").write_text("s1: {en: Quiet}\ns2: {en: Quiet}\n", encoding="utf-8")
    report = check_workspace(shop)
    assert [(path.name, fault.line) for path, fault in report.faults] == [("segments.yaml", 2)]
    (shop.root / "segments.yaml").write_text("s1: {en: Quiet}\n", encoding="utf-8")
    assert check_workspace(shop).faults == ()
