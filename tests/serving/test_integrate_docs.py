"""The commands of docs/integrate.md run as they stand; only the address is another."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from features.workspace import Workspace

PAGE = Path(__file__).resolve().parents[2] / "docs" / "integrate.md"
ADDRESS = "http://127.0.0.1:3000"
TWENTY = 20


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def run(arguments: list[str], *, text: str | None = None) -> str:
    done = subprocess.run(arguments, input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("curl")
def test_the_calls_go_from_a_device_that_writes_to_a_customer_who_orders(served_shop: tuple[str, Workspace]) -> None:
    calls = blocks("bash")
    assert len(calls) == 11
    answers = [json.loads(run(["sh"], text=call.replace(ADDRESS, served_shop[0]))) for call in calls]
    ready, written, first, answered, signed_in, decided, outcomes, ordered, agreed, moments, customer = answers
    assert ready["status"] == "ready"
    for told in (written, answered, signed_in, ordered, agreed):
        assert {one["status"] for one in told["events"]} == {"accepted"}
        assert not any("reason" in one for one in told["events"])
    assert first["message"]["locale"] == "hi"
    assert decided["decision_id"] == "chat-0002"
    assert "curated_set" in {ranked["action_id"] for ranked in decided["ranking"]}  # by what the device said
    assert [one["status"] for one in outcomes["outcomes"]] == ["recorded", "recorded"]
    due = {one["customer_id"] for one in moments["moments"]}  # other tests, which share the server, have theirs
    assert customer["customer_id"] not in due
    assert customer["decisions"][0]["decision_id"] == "chat-0002"
    with urllib.request.urlopen(f"{served_shop[0]}/v1/decisions/chat-0002", timeout=30) as answer:
        assert {one["outcome"] for one in json.load(answer)["outcomes"]} == {"clicked", "converted"}


def test_python_does_it_in_twenty_lines(served_shop: tuple[str, Workspace]) -> None:
    (program,) = blocks("python")
    assert len(program.strip().splitlines()) <= TWENTY
    assert run([sys.executable, "-"], text=program.replace(ADDRESS, served_shop[0])).endswith("recorded\n")


def test_node_does_it_in_twenty_lines(served_shop: tuple[str, Workspace], node: str) -> None:
    (program,) = blocks("javascript")
    assert len(program.strip().splitlines()) <= TWENTY
    assert run([node, "-"], text=program.replace(ADDRESS, served_shop[0])).endswith("recorded\n")
