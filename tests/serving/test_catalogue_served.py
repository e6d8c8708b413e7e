"""Two workers of a real server follow a changed catalogue, and go on with the last good one where it is broken."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from features.versions import sha256_of
from features.workspace import Workspace

ASKED_TIMES = 12  # on connections of their own, so that both workers answer some
WITHIN_SECONDS = 20


@pytest.fixture
def shop(served_shop: tuple[str, Workspace]) -> Iterator[tuple[str, Workspace]]:
    """The server that all tests share, with its catalogue as it was afterwards."""
    address, workspace = served_shop
    before = workspace.catalogue_file.read_bytes()
    yield address, workspace
    workspace.catalogue_file.write_bytes(before)
    wait_until_all(address, "/v1/catalogue", lambda told: told["versions"]["catalogue"] == sha256_of(before))


def got(address: str, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}{path}", timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def wait_until_all(address: str, path: str, holds: Callable[[dict[str, Any]], bool]) -> None:
    until = time.monotonic() + WITHIN_SECONDS
    while not all(holds(got(address, path)) for _ in range(ASKED_TIMES)):
        assert time.monotonic() < until, got(address, path)
        time.sleep(0.2)


def decided(address: str) -> dict[str, Any]:
    body = {"customer_id": "served-catalogue", "placement": "web_banner", "channel": "web", "dry_run": True}
    request = urllib.request.Request(
        f"{address}/v1/decisions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def test_every_worker_follows_a_changed_catalogue_without_a_restart(shop: tuple[str, Workspace]) -> None:
    address, workspace = shop
    text = workspace.catalogue_file.read_text(encoding="utf-8")
    workspace.catalogue_file.write_text(text.replace("Just looking", "Only looking"), encoding="utf-8")
    now = sha256_of(workspace.catalogue_file.read_bytes())
    wait_until_all(address, "/v1/catalogue", lambda told: told["versions"]["catalogue"] == now)
    # Which worker answers is the kernel's choice: one of them may not have been asked until now.
    until = time.monotonic() + WITHIN_SECONDS
    while not all(decided(address)["versions"]["catalogue"] == now for _ in range(ASKED_TIMES)):
        assert time.monotonic() < until


def test_every_worker_goes_on_with_the_last_good_catalogue_and_says_so(shop: tuple[str, Workspace]) -> None:
    address, workspace = shop
    good = sha256_of(workspace.catalogue_file.read_bytes())
    with workspace.catalogue_file.open("a", encoding="utf-8") as file:
        file.write("nonsense: true\n")
    wait_until_all(address, "/readyz", lambda told: told["refused_files"] == ["catalogue.yaml"])
    assert all(decided(address)["versions"]["catalogue"] == good for _ in range(ASKED_TIMES))
