"""Kept versions of brand.yaml and catalogue.yaml: the same bytes for ever, checked together, found by their sha256."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.faults import InvalidFile
from features.starting import write_starter
from features.versions import (
    VersionNotKeptError,
    keep_version,
    kept_brand,
    kept_catalogue,
    read_checked,
    sha256_of,
    version_file,
)
from features.workspace import Workspace


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    write_starter(tmp_path / "shop")
    return Workspace(tmp_path / "shop")


def test_a_kept_version_is_read_back_as_it_was_after_the_file_has_changed(shop: Workspace) -> None:
    brand = load_brand(shop)
    catalogue = load_catalogue(shop, brand)
    read_checked(shop).keep(shop)
    was = sha256_of(shop.catalogue_file.read_bytes()), sha256_of(shop.brand_file.read_bytes())
    shop.catalogue_file.write_text("actions: []")
    shop.brand_file.write_text("name: Other")
    assert kept_catalogue(shop, was[0]) == catalogue
    assert kept_brand(shop, was[1]) == brand


def test_versions_name_the_bytes_that_were_checked(shop: Workspace) -> None:
    checked = read_checked(shop)
    assert checked.versions == {
        "brand": sha256_of(shop.brand_file.read_bytes()),
        "catalogue": sha256_of(shop.catalogue_file.read_bytes()),
    }


def test_a_fault_names_the_file_of_the_workspace_and_its_line(shop: Workspace) -> None:
    text = shop.catalogue_file.read_text(encoding="utf-8")
    shop.catalogue_file.write_text(text.replace("goal: subscribe", "goal: subscribed", 1), encoding="utf-8")
    with pytest.raises(InvalidFile) as wrong:
        read_checked(shop)
    assert wrong.value.path == shop.catalogue_file
    (fault,) = wrong.value.faults
    assert text.splitlines()[(fault.line or 0) - 1].strip() == "goal: subscribe"
    assert fault.closest == "subscribe"


def test_a_catalogue_can_be_checked_against_a_brand_that_is_not_the_one_on_disk(shop: Workspace) -> None:
    before = read_checked(shop)
    shop.brand_file.write_text("name: [broken")
    checked = read_checked(shop, brand=(before.brand, before.brand_bytes))
    assert checked == before


def test_keeping_a_version_twice_keeps_one_file_and_no_draft(shop: Workspace) -> None:
    assert keep_version(shop, "catalogue", b"actions: []\n") == keep_version(shop, "catalogue", b"actions: []\n")
    assert len(list(shop.versions.iterdir())) == 1


def test_what_was_never_kept_is_told_with_what_to_do(shop: Workspace) -> None:
    with pytest.raises(VersionNotKeptError, match=r"brand.yaml of version abc, which is not kept in .* backup"):
        kept_brand(shop, "abc")


def test_a_version_whose_bytes_were_changed_is_refused(shop: Workspace) -> None:
    sha256 = keep_version(shop, "brand", shop.brand_file.read_bytes())
    version_file(shop, "brand", sha256).write_text("name: Forged")
    with pytest.raises(VersionNotKeptError, match="has other bytes than its name says"):
        kept_brand(shop, sha256)
