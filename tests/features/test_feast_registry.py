"""What Feast knows of a brand is what the code says of it now, whoever was killed while telling it."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.brand import load_brand
from features.definitions import decision_service, open_store
from features.schema import feature_schema
from features.starting import write_starter
from features.workspace import Workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    write_starter(tmp_path / "shop")
    return Workspace(tmp_path / "shop")


def registered(shop: Workspace) -> tuple[set[str], set[str]]:
    """The views and the services, as a process that opens the store finds them."""
    store = open_store(shop, load_brand(shop))
    return {one.name for one in store.list_feature_views()}, {one.name for one in store.list_feature_services()}


def test_what_a_brand_no_longer_has_is_no_longer_there(shop: Workspace) -> None:
    views, services = registered(shop)
    assert "sets_bought" in views
    (shop.root / "features" / "sets_bought.sql").unlink()
    fewer, others = registered(shop)
    assert views - fewer == {"sets_bought"}
    assert others == {decision_service(feature_schema(load_brand(shop), shop))}
    assert not others & services, "another schema is another service"


def test_a_registry_that_was_half_written_is_written_anew(shop: Workspace) -> None:
    whole = registered(shop)
    (shop.state / "feast_registry.new").write_bytes(b"half of it")
    (shop.state / "feast_applied").unlink()
    assert registered(shop) == whole
    (shop.state / "feast_registry.pb").unlink()
    assert registered(shop) == whole


def test_a_registry_is_written_once(shop: Workspace) -> None:
    registered(shop)
    before = (shop.state / "feast_registry.pb").read_bytes()
    registered(shop)
    assert (shop.state / "feast_registry.pb").read_bytes() == before
