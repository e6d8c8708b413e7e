"""A rollback on the command line is what two workers of a running service decide with, within five seconds."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from features.brand import load_brand
from features.command_line import run_verb
from features.schema import feature_schema
from features.workspace import Workspace
from tests.serving import tiny_models
from training.artifact import CHAMPION_FILE, NEXT_PURCHASE, SEGMENTS
from training.promotion import LOG_FILE, promote

ASKED_TIMES = 16  # on connections of their own, so that both workers answer some
WITHIN_SECONDS = 5.0
FIRST_LOAD_WITHIN_SECONDS = 30.0  # LightGBM is imported then

Versions = tuple[str | None, str | None]


@pytest.fixture
def shop(served_shop: tuple[str, Workspace]) -> Iterator[tuple[str, Workspace]]:
    """The server that all tests share, without any model afterwards, as before."""
    address, workspace = served_shop
    yield address, workspace
    for name in (CHAMPION_FILE, LOG_FILE):
        (workspace.artifacts / name).unlink(missing_ok=True)
    until_all_decide_with(address, (None, None), within=FIRST_LOAD_WITHIN_SECONDS)


def decided_with(address: str) -> Versions:
    """The versions of both models that one worker decided with."""
    body = {"customer_id": "served-rollback", "placement": "web_banner", "channel": "web", "dry_run": True}
    request = urllib.request.Request(
        f"{address}/v1/decisions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        versions: dict[str, Any] = json.load(answer)["versions"]
    return versions.get(SEGMENTS), versions.get(NEXT_PURCHASE)


def until_all_decide_with(address: str, versions: Versions, *, within: float) -> None:
    """Asks round after round; the first round in which all say these versions has begun in time."""
    until = time.monotonic() + within
    while True:
        begun = time.monotonic()
        said = [decided_with(address) for _ in range(ASKED_TIMES)]
        if all(one == versions for one in said):
            break
        assert begun < until, said
        time.sleep(0.1)


def test_a_rollback_takes_effect_in_every_worker_within_five_seconds(shop: tuple[str, Workspace]) -> None:
    address, workspace = shop
    schema = feature_schema(load_brand(workspace), workspace)
    segments = tiny_models.promote_segments(workspace.artifacts, schema)
    before, after = (
        tiny_models.promote_next_purchase(workspace.artifacts, schema, as_of=day)
        for day in ("2026-03-01", "2026-03-08")
    )
    for version in (before, after):
        promote(workspace.artifacts, NEXT_PURCHASE, version, schema=schema, force=True)
    until_all_decide_with(address, (segments, after), within=FIRST_LOAD_WITHIN_SECONDS)

    run_verb("models", "rollback", "next-purchase", "--workspace", str(workspace.root))
    until_all_decide_with(address, (segments, before), within=WITHIN_SECONDS)
