"""What Feast knows of a brand is what the code says of it now, whoever was killed while telling it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from features.brand import load_brand
from features.definitions import decision_service, open_store
from features.schema import feature_schema
from features.starting import write_starter
from features.workspace import Workspace

OPENING = """
import os, signal, sys
from pathlib import Path
from features.brand import load_brand
from features.definitions import open_store
from features.workspace import Workspace
shop = Workspace(Path(sys.argv[1]))
open_store(shop, load_brand(shop))
os.kill(os.getpid(), signal.SIGKILL)
"""

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


def test_a_process_that_opens_the_store_leaves_nothing_even_killed_and_clears_the_metrics_of_before(
    shop: Workspace, tmp_path: Path
) -> None:
    stale, temporary = shop.state / "metrics", tmp_path / "temporary"
    for folder in (stale, temporary):
        folder.mkdir(parents=True)
    (stale / "counter_1.db").write_bytes(bytes(8))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS_")}
    ended = subprocess.run(
        [sys.executable, "-c", OPENING, str(shop.root)], check=False, env=environment | {"TMPDIR": str(temporary)}
    )
    assert ended.returncode == -signal.SIGKILL
    assert (shop.state / "online.db").is_file()
    assert not stale.exists()
    assert list(temporary.iterdir()) == []
    assert [path for path in shop.root.rglob("*.db") if path.parent != shop.state] == []
