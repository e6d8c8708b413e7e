"""/metrics tells on what the newest look at the models found, in Prometheus' own text."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.workspace import Workspace
from serving.http import build_app
from serving.metrics import CONTENT_TYPE, DAMAGED_LOOK, NOBODY_LOOKED, metrics_text
from training.artifact import write_champions

Told = dict[tuple[str, frozenset[tuple[str, str]]], float]
V1 = {"model": "next_purchase", "version": "v1"}
N_ORDERS = {"model": "next_purchase", "kind": "feature", "name": "n_orders"}


def told(workspace: Workspace) -> Told:
    """What Prometheus reads, by its own parser."""
    families = text_string_to_metric_families(metrics_text(workspace))
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def of(name: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"rapport_{name}", frozenset(labels.items())


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
    found = told(workspace)
    assert found[of("retrain_suggested", **V1)] == 1.0
    assert found[of("drift_psi", **N_ORDERS)] == 0.31
    assert found[of("drift_moved", **N_ORDERS)] == 1.0
    assert found[of("calibration_said", model="next_purchase", what="within 30 days")] == 0.3
    assert found[of("drift_as_of_timestamp_seconds")] == 1_775_952_000
    assert not any(name == "rapport_drift_ks" for name, _ in found)  # a category has none


def test_where_orders_have_stopped_that_is_told_and_no_training_is_suggested(workspace: Workspace) -> None:
    look(workspace, "2026-04-11", status="steady")
    assert told(workspace)[of("orders_stopped")] == 0.0
    look(workspace, "2026-04-12", status="no_orders")
    path = workspace.lake / "drift" / "day=2026-04-12" / "drift.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"no_order_since": "2026-03-01T10:00:00+00:00"}))
    found = told(workspace)
    assert found[of("orders_stopped")] == 1.0
    assert found[of("retrain_suggested", **V1)] == 0.0


def test_who_looks_again_at_an_old_export_has_looked_all_the_same(workspace: Workspace) -> None:
    """What is compared ends with the last event, however often it is looked at."""
    look(workspace, "2026-04-12", status="steady")
    path = workspace.lake / "drift" / "day=2026-04-12" / "drift.json"
    for at in (1_777_000_000, 1_777_086_400):
        os.utime(path, (at, at))  # as if `rapport drift` had written the same bytes then
        found = told(workspace)
        assert found[of("drift_looked_at_timestamp_seconds")] == at
        assert found[of("drift_as_of_timestamp_seconds")] == 1_775_952_000


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


def test_prometheus_reads_it_whatever_a_brand_calls_its_features(workspace: Workspace) -> None:
    odd = 'odd "name"\\with\nall'
    look(workspace, "2026-04-12", status="steady", name=odd)
    assert told(workspace)[of("drift_psi", **(N_ORDERS | {"name": odd}))] == 0.31


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
