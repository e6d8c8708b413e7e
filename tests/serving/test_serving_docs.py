"""The requests that docs/serving.md shows are taken by a real server as they stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from features.workspace import Workspace

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"
SHOWN = re.findall(r"^curl -s localhost:3000(\S+)((?: -H '[^']+')*) -d '(.*?)'$", PAGE.read_text("utf-8"), re.S | re.M)


@pytest.mark.parametrize(("path", "headers", "body"), SHOWN)
def test_a_request_of_the_page_is_answered(
    served_shop: tuple[str, Workspace], path: str, headers: str, body: str
) -> None:
    named = dict(header.split(": ", 1) for header in re.findall(r"-H '([^']+)'", headers))
    answer = httpx.post(f"{served_shop[0]}{path}", content=body, headers=named, timeout=20)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    asked = json.loads(body)
    if "placements" in asked:
        said = [slot["action"]["id"] for one in told["decisions"] for slot in one.get("slots", [one])]
        assert len(told["decisions"]) == len(asked["placements"])
        assert len(set(said)) == len(said)
    else:
        assert 1 <= len(told["slots"]) <= asked["limit"]


def test_the_page_shows_requests() -> None:
    assert len(SHOWN) == 2
