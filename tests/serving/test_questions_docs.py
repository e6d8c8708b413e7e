"""What docs/questions.md shows is what happens."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from features.brand import load_brand
from features.catalogue import load_catalogue
from features.question_actions import with_questions
from features.starting import write_starter
from features.workspace import Workspace
from serving.engine import Engine
from serving.schemas import DecisionRequest

PAGE = Path(__file__).parents[2] / "docs" / "questions.md"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def rewritten(path: Path, changed: object) -> None:
    path.write_text(yaml.safe_dump(changed, allow_unicode=True, sort_keys=False), encoding="utf-8")


def with_what_the_page_says(workspace: Workspace) -> None:
    """brand.yaml with the keys of the page's blocks laid over it."""
    brand = yaml.safe_load(workspace.brand_file.read_text(encoding="utf-8"))
    for block in (blocks("yaml")[0], blocks("yaml")[2]):
        for key, said in yaml.safe_load(block).items():
            if key == "placements":
                brand[key]["chat_reply"] |= said["chat_reply"]
            elif isinstance(said, dict):
                brand[key] |= said
            else:
                brand[key] = said
    rewritten(workspace.brand_file, brand)


def test_the_keys_of_the_page_are_sound_and_so_is_its_own_question(workspace: Workspace) -> None:
    with_what_the_page_says(workspace)
    text = workspace.catalogue_file.read_text(encoding="utf-8") + "\n" + blocks("yaml")[1]
    workspace.catalogue_file.write_text(text, encoding="utf-8")
    brand = load_brand(workspace)
    assert brand.placements["chat_reply"].off_script == "chat_help"
    questions = [one.id for one in with_questions(load_catalogue(workspace, brand), brand).actions if one.asks]
    assert questions == ["need_quiz", "ask_price_preference"]


def test_the_worth_on_the_page_is_the_one_that_is_answered(workspace: Workspace) -> None:
    with_what_the_page_says(workspace)
    brand = yaml.safe_load(workspace.brand_file.read_text(encoding="utf-8"))
    rewritten(workspace.brand_file, brand | {"rewards": brand["rewards"] | {"question_cost": 0.0}})
    catalogue = yaml.safe_load(workspace.catalogue_file.read_text(encoding="utf-8"))
    (curated,) = [action for action in catalogue["actions"] if action["id"] == "curated_set"]
    curated["expected_rate"] = 0.15  # "a set that is worth 71.2"
    rewritten(workspace.catalogue_file, catalogue)
    request = DecisionRequest(customer_id="new", placement="chat_reply", channel="whatsapp", explain=True, dry_run=True)
    with Engine(workspace, clock=lambda: NOW) as engine:
        told = json.dumps(engine.decide(request))
    shown = json.loads(blocks("json")[0])
    found = json.loads(re.search(r'"worth": (\{[^}]*\})', told).group(1))  # type: ignore[union-attr]
    assert found == pytest.approx(shown["worth"])
