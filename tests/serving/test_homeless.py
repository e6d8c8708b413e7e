"""A server of somebody who has no home folder, as in a container of any user."""

from __future__ import annotations

import json
import urllib.request

import pytest

from features.workspace import Workspace
from tests.serving.conftest import served


def test_a_server_needs_no_home_and_no_folder_for_temporary_files(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "/proc/nowhere")
    with served(shop) as address:
        body = json.dumps({"customer_id": "asha", "placement": "chat_reply", "channel": "web"}).encode()
        asked = urllib.request.Request(f"{address}/v1/decisions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            assert json.load(answer)["action"]["id"]
