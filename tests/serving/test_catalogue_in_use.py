"""A changed catalogue in a running engine: decisions, outcomes and HTTP follow it; each names the version it used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.faults import InvalidFile
from features.starting import write_starter
from features.versions import kept_catalogue, sha256_of
from features.workspace import Workspace
from serving.catalogue_door import SETTLED_SECONDS
from serving.cli import serve
from serving.engine import Engine
from serving.http import build_app
from serving.schemas import DecisionRequest, OutcomeReport

NEW_ACTION = """
  - id: just_in
    kind: message
    stage: awareness
    goal: order
    channels: [web]
    placements: [web_banner]
    value: 100000
    expected_rate: 0.9
    renderings:
      en: {hook: Just in, body: Something new.}
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("in_use") / "shop"
    write_starter(folder)
    with Engine(Workspace(folder), draw=lambda: 0.5) as engine:
        yield engine


@pytest.fixture(autouse=True)
def as_it_was(engine: Engine) -> Iterator[None]:
    """Every test begins with the shipped files."""
    files = {path: path.read_bytes() for path in (engine.workspace.brand_file, engine.workspace.catalogue_file)}
    yield
    for path, content in files.items():
        path.write_bytes(content)
    settle(engine)


def settle(engine: Engine) -> None:
    engine.files.refresh()
    time.sleep(SETTLED_SECONDS + 0.05)
    engine.files.refresh()


def asked(customer: str) -> DecisionRequest:
    return DecisionRequest(customer_id=customer, placement="web_banner", channel="web", locale="en")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def version_named(engine: Engine, told: dict[str, Any]) -> str:
    found = engine.reader.execute(
        "SELECT json_extract(record, '$.versions.catalogue') FROM decisions WHERE decision_id = ?",
        (told["decision_id"],),
    ).fetchone()
    return str(found[0])


def got(engine: Engine, path: str) -> httpx.Response:
    app = build_app()
    app.state.engine = engine

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://rapport") as client:
            return await client.get(path)

    return asyncio.run(get())


def not_held_out(engine: Engine, name: str) -> dict[str, Any]:
    """A decision for a customer who is not held out."""
    for number in range(50):
        told = engine.decide(asked(f"{name}-{number}"))
        if not told["holdout"]:
            return told
    raise AssertionError("fifty held-out customers in a row")


def test_the_next_decision_follows_and_each_names_the_version_that_it_used(engine: Engine) -> None:
    before = not_held_out(engine, "before")
    was = sha256_of(engine.workspace.catalogue_file.read_bytes())
    append(engine.workspace.catalogue_file, NEW_ACTION)
    settle(engine)
    after = not_held_out(engine, "after")
    assert before["action"]["id"] != "just_in"
    assert after["action"]["id"] == "just_in"
    assert version_named(engine, before) == was
    now = version_named(engine, after)
    assert now == sha256_of(engine.workspace.catalogue_file.read_bytes())
    assert kept_catalogue(engine.workspace, now).action("just_in").value == 100_000


def test_an_outcome_of_an_action_that_was_taken_out_is_still_taken(engine: Engine) -> None:
    append(engine.workspace.catalogue_file, NEW_ACTION)
    settle(engine)
    told = not_held_out(engine, "kept")
    text = engine.workspace.catalogue_file.read_text(encoding="utf-8")
    engine.workspace.catalogue_file.write_text(text.replace(NEW_ACTION, ""), encoding="utf-8")
    settle(engine)
    assert "just_in" not in engine.shelf.offerables
    (recorded,) = engine.record_outcomes([OutcomeReport(decision_id=told["decision_id"], outcome="clicked")])
    assert recorded.decision_id == told["decision_id"]
    engine.decide(asked("kept-later"))  # its counts name an action that there is no more


def test_a_broken_file_stops_no_decision_and_is_told_over_http(engine: Engine) -> None:
    good = sha256_of(engine.workspace.catalogue_file.read_bytes())
    append(engine.workspace.catalogue_file, NEW_ACTION.replace("goal: order", "goal: ordr"))
    settle(engine)
    assert engine.decide(asked("anyone"))["decision_id"]
    told = got(engine, "/v1/catalogue").json()
    assert told["versions"]["catalogue"] == good
    (refused,) = told["refused"]
    assert refused["file"] == "catalogue.yaml"
    assert refused["faults"][0]["closest"] == "order"
    ready = got(engine, "/readyz")
    assert ready.status_code == 200
    assert ready.json()["refused_files"] == ["catalogue.yaml"]


def test_new_features_need_a_restart_and_are_told(engine: Engine) -> None:
    before = engine.files.files
    view = engine.workspace.sql_folder / "visits.sql"
    sample = next(engine.workspace.sql_folder.glob("*.sql"))
    content = sample.read_text(encoding="utf-8")
    view.write_text(content, encoding="utf-8")
    try:
        sample.unlink()
        append(engine.workspace.catalogue_file, NEW_ACTION)
        settle(engine)
        assert engine.files.files is before
        assert "Restart" in engine.files.refusals[0].problem
    finally:
        view.unlink()
        sample.write_text(content, encoding="utf-8")


def test_an_engine_that_is_not_told_to_fall_back_does_not_start_with_a_broken_file(tmp_path: Path) -> None:
    write_starter(tmp_path / "shop")
    workspace = Workspace(tmp_path / "shop")
    append(workspace.catalogue_file, "nonsense: true\n")
    with pytest.raises(InvalidFile):
        Engine(workspace)


def test_a_server_that_is_started_by_hand_says_what_is_wrong_instead_of_starting(engine: Engine) -> None:
    append(engine.workspace.catalogue_file, "nonsense: true\n")
    with pytest.raises(InvalidFile, match="nonsense: is a key that nothing reads"):
        serve(workspace=engine.workspace.root)
