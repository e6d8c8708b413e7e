"""Intents that the brand does not know: counted in the ledger, shown in the report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from experiments.intents import MOST_NAMES, UnknownIntent, read_unknown_intents
from experiments.report import report_html
from features.starting import write_starter
from features.workspace import Workspace
from serving.engine import Engine
from serving.schemas import Context, DecisionRequest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OFF_SCRIPT = "intents: [buy, help]\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    text = (tmp_path / "brand.yaml").read_text(encoding="utf-8") + OFF_SCRIPT
    text = text.replace("    fallback: chat_help\n", "    fallback: chat_help\n    off_script: chat_help\n")
    (tmp_path / "brand.yaml").write_text(text, encoding="utf-8")
    return Workspace(tmp_path)


@pytest.fixture
def engine(workspace: Workspace) -> Iterator[Engine]:
    with Engine(workspace, clock=lambda: NOW) as engine:
        yield engine


def ask(engine: Engine, intent: str | None, **asked: object) -> dict[str, object]:
    request = DecisionRequest(
        customer_id="c-1", placement="chat_reply", channel="line", context=Context(intent=intent)
    ).model_copy(update=asked)
    return engine.decide(request)


def test_what_the_brand_knows_is_not_counted(engine: Engine, workspace: Workspace) -> None:
    assert ask(engine, "buy")["fallback_reason"] != "unknown_intent"
    ask(engine, None)
    assert read_unknown_intents(workspace.database, as_of=NOW) == ()


def test_what_it_does_not_know_is_answered_off_script_and_counted(engine: Engine, workspace: Workspace) -> None:
    told = ask(engine, "where_is_my_order")
    assert told["action"]["id"] == "chat_help"  # type: ignore[index]
    assert told["fallback_reason"] == "unknown_intent"
    assert any("off-script" in reason for reason in told["reasons"])  # type: ignore[attr-defined]
    ask(engine, "where_is_my_order")
    ask(engine, "tarot")
    found = read_unknown_intents(workspace.database, as_of=NOW)
    assert found == (UnknownIntent("where_is_my_order", 2), UnknownIntent("tarot", 1))
    assert read_unknown_intents(workspace.database, as_of=NOW + timedelta(days=100)) == ()


def test_a_dry_run_is_not_counted(engine: Engine, workspace: Workspace) -> None:
    ask(engine, "tarot", dry_run=True)
    assert read_unknown_intents(workspace.database, as_of=NOW) == ()


def test_what_is_no_name_is_counted_without_it(engine: Engine, workspace: Workspace) -> None:
    for intent in ("my name is Asha", "9876543210", "call_9876543210", "कहाँ है"):
        ask(engine, intent)
    assert read_unknown_intents(workspace.database, as_of=NOW) == (UnknownIntent("", 4),)


def test_names_without_end_do_not_fill_the_table(engine: Engine, workspace: Workspace) -> None:
    names = [f"{first}{second}_wanted" for first in "abcdefghijklmnopqrst" for second in "abcdefghijk"]
    for name in names:
        ask(engine, name)
    found = read_unknown_intents(workspace.database, as_of=NOW)
    assert len(found) == MOST_NAMES + 1
    assert found[-1] == UnknownIntent("", len(names) - MOST_NAMES)


def test_the_report_shows_them_in_every_language(engine: Engine, workspace: Workspace) -> None:
    words = {
        "en": "What people wanted and the bot did not know",
        "hi": "लोग क्या चाहते थे जो बॉट नहीं समझा",
        "th": "สิ่งที่ลูกค้าต้องการแต่บอตยังไม่รู้จัก",
    }
    assert not any(said in report_html(workspace, locale=locale, as_of=NOW) for locale, said in words.items())
    ask(engine, "tarot")
    for locale, said in words.items():
        page = report_html(workspace, locale=locale, as_of=NOW)
        assert said in page
        assert "tarot" in page
