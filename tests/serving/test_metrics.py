"""/metrics tells on what the newest look at the models found, in Prometheus' own text."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from features.workspace import Workspace
from serving.http import build_app
from serving.metrics import CONTENT_TYPE, DAMAGED_LOOK, NOBODY_LOOKED, metrics_text
from training.artifact import write_champions

LINE = re.compile(r'^[a-z_]+(\{[a-z]+="(?:[^"\\]|\\.)*"(,[a-z]+="(?:[^"\\]|\\.)*")*\})? -?[0-9.e+-]+$')


def outcome(said_at: str, *, said: float, is_champions: bool = True) -> dict[str, Any]:
    return {"what": "within 30 days", "said_at": said_at, "is_champions": is_champions, "said": said, "came": 0.2}


def look(workspace: Workspace, day: str, *, status: str, name: str = "n_orders") -> None:
    move = {"kind": "feature", "name": name, "verdict": "moved", "psi": 0.31, "ks": None, "unknown_now": 0.5}
    outcomes = [
        outcome("2026-03-01", said=0.25),
        outcome("2026-03-08", said=0.3),
        outcome("2026-03-09", said=0.9, is_champions=False),
    ]
    model = {"model": "next_purchase", "version": "v1", "days": 7.5, "status": status, "moves": [move]}
    told = {"as_of": "2026-04-12T00:00:00+00:00", "models": [model | {"outcomes": outcomes}]}
    path = workspace.lake / "drift" / f"day={day}" / "drift.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(told))
    use(workspace, next_purchase="v1")


def use(workspace: Workspace, **versions: str) -> None:
    workspace.artifacts.mkdir(parents=True, exist_ok=True)
    champions = {name: {"version": version, "sha256": ""} for name, version in versions.items()}
    write_champions(workspace.artifacts, champions)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_before_anybody_looked_there_is_a_comment(workspace: Workspace) -> None:
    assert metrics_text(workspace) == NOBODY_LOOKED


def test_the_newest_look_is_told_with_the_champions_newest_promise(workspace: Workspace) -> None:
    look(workspace, "2026-04-11", status="steady")
    look(workspace, "2026-04-12", status="retrain")
    lines = metrics_text(workspace).splitlines()
    assert 'rapport_retrain_suggested{model="next_purchase",version="v1"} 1' in lines
    assert 'rapport_drift_psi{model="next_purchase",kind="feature",name="n_orders"} 0.31' in lines
    assert 'rapport_drift_moved{model="next_purchase",kind="feature",name="n_orders"} 1' in lines
    assert 'rapport_calibration_said{model="next_purchase",what="within 30 days"} 0.3' in lines
    assert "rapport_drift_as_of_timestamp_seconds 1775952000" in lines
    assert not any(line.startswith("rapport_drift_ks") for line in lines)  # a category has none


def test_where_orders_have_stopped_that_is_told_and_no_training_is_suggested(workspace: Workspace) -> None:
    look(workspace, "2026-04-11", status="steady")
    assert "rapport_orders_stopped 0" in metrics_text(workspace).splitlines()
    look(workspace, "2026-04-12", status="no_orders")
    path = workspace.lake / "drift" / "day=2026-04-12" / "drift.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"no_order_since": "2026-03-01T10:00:00+00:00"}))
    lines = metrics_text(workspace).splitlines()
    assert "rapport_orders_stopped 1" in lines
    assert 'rapport_retrain_suggested{model="next_purchase",version="v1"} 0' in lines


def test_who_looks_again_at_an_old_export_has_looked_all_the_same(workspace: Workspace) -> None:
    """What is compared ends with the last event, however often it is looked at."""
    look(workspace, "2026-04-12", status="steady")
    path = workspace.lake / "drift" / "day=2026-04-12" / "drift.json"
    for at in (1_777_000_000, 1_777_086_400):
        os.utime(path, (at, at))  # as if `rapport drift` had written the same bytes then
        lines = metrics_text(workspace).splitlines()
        assert f"rapport_drift_looked_at_timestamp_seconds {at}" in lines
        assert "rapport_drift_as_of_timestamp_seconds 1775952000" in lines


def test_of_a_model_that_could_not_be_looked_at_no_suggestion_is_told(workspace: Workspace) -> None:
    look(workspace, "2026-04-12", status="unknown")
    text = metrics_text(workspace)
    assert "rapport_retrain_suggested{" not in text
    assert 'rapport_model_age_days{model="next_purchase"} 7.5' in text


@pytest.mark.parametrize("versions", [{"next_purchase": "v22"}, {"segments": "v1"}])
def test_a_version_that_was_replaced_or_rolled_back_asks_for_nothing_any_more(
    workspace: Workspace, versions: dict[str, str]
) -> None:
    look(workspace, "2026-04-12", status="retrain")
    assert "rapport_retrain_suggested{" in metrics_text(workspace)
    use(workspace, **versions)
    text = metrics_text(workspace)
    assert "v1" not in text
    assert "next_purchase" not in text


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"[]", b'{"as_of": "2026-04-12"}', b'{"models": [{}]}'])
def test_a_damaged_look_is_a_comment_that_says_what_mends_it(workspace: Workspace, content: bytes) -> None:
    look(workspace, "2026-04-12", status="retrain")
    path = workspace.lake / "drift" / "day=2026-04-12" / "drift.json"
    whole = path.read_bytes()
    path.write_bytes(content)
    assert metrics_text(workspace) == DAMAGED_LOOK
    path.write_bytes(whole)
    assert "rapport_retrain_suggested{" in metrics_text(workspace)


def test_every_line_is_one_that_prometheus_reads_whatever_a_brand_calls_its_features(workspace: Workspace) -> None:
    look(workspace, "2026-04-12", status="steady", name='odd "name"\\with\nall')
    named = [line for line in metrics_text(workspace).splitlines() if not line.startswith("#")]
    assert all(LINE.match(line) for line in named)
    assert len(named) == len(set(named))


def test_a_service_answers_it(workspace: Workspace) -> None:
    look(workspace, "2026-04-12", status="retrain")
    app = build_app()
    app.state.engine = SimpleNamespace(workspace=workspace)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client:
            return await client.get("/metrics")

    answer = asyncio.run(ask())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert answer.text == metrics_text(workspace)
