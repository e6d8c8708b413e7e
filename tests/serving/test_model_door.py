from __future__ import annotations

import threading

from features.brand import load_brand
from features.schema import feature_schema
from features.workspace import Workspace
from serving.models import ModelDoor
from tests.serving.tiny_models import promote_segments


def test_the_watcher_survives_a_folder_that_cannot_be_read_for_a_while(shop: Workspace) -> None:
    schema = feature_schema(load_brand(shop), shop)
    artifacts = shop.artifacts
    door = ModelDoor(artifacts, schema)
    aside = artifacts.with_name("aside")
    if artifacts.exists():
        artifacts.rename(aside)
    artifacts.write_text("a file where the folder was: looking into it raises NotADirectoryError")
    door.watch(every_seconds=0.01)
    threading.Event().wait(0.1)
    artifacts.unlink()
    version = promote_segments(artifacts, schema)
    for _ in range(500):
        if door.served.versions:
            break
        threading.Event().wait(0.01)
    door.close()
    assert door.served.versions == {"segments": version}
