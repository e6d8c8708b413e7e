"""What another catalogue would have done with a week whose truth a human can see."""

from __future__ import annotations

import json
import random
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from features.command_line import app
from features.database import connect
from features.faults import CallersMistake, InvalidFile
from features.sheets.exporting import write_workbook
from features.workspace import Workspace
from serving.engine import Engine
from serving.schemas import DecisionRequest, OutcomeReport
from serving.what_if.asking import WhatIf, ask_what_if
from serving.what_if.past import span_of
from serving.what_if.telling import as_page, as_text
from tests.serving.conftest import starter
from tests.serving.tiny_world import Clock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
N = 600
BUYS = {"skin_quiz": 0.4}
ELSE_BUYS = 0.1
ORDER = 1000.0

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Strangers get one of the eligible actions, each as likely; the quiz makes four times as many of them buy."""
    shop = starter(tmp_path_factory.mktemp("what-if") / "shop")
    text = shop.brand_file.read_text(encoding="utf-8")
    text = text.replace("policy: {name: epsilon_greedy, epsilon: 0.1}", "policy: {name: uniform}")
    shop.brand_file.write_text(text, encoding="utf-8")
    rng, clock = random.Random(7), Clock()
    with Engine(shop, clock=clock, draw=rng.random) as engine:
        requests = [DecisionRequest(customer_id=f"w-{n}", placement="chat_reply", channel="web") for n in range(N)]
        decisions = engine.decide_many(requests)
        clock.now = START + timedelta(hours=1)
        bought = [one for one in decisions if rng.random() < BUYS.get(one.action_id, ELSE_BUYS)]
        engine.record_outcomes(
            [
                OutcomeReport(decision_id=one.situation.decision_id, outcome="converted", goal="order", value=ORDER)
                for one in bought
            ]
        )
        clock.now = START + timedelta(days=20)
        engine.decide_many([DecisionRequest(customer_id="later", placement="chat_reply", channel="web")])
    return shop


def changed(workspace: Workspace, *edits: tuple[str, str], name: str = "new.yaml") -> Path:
    text = workspace.catalogue_file.read_text(encoding="utf-8")
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    path = workspace.root / name
    path.write_text(text, encoding="utf-8")
    return path


def asked(workspace: Workspace, catalogue: Path) -> WhatIf:
    return ask_what_if(workspace, catalogue, last="9999d")


def without(workspace: Workspace, *kept: str) -> Path:
    """The catalogue in which every action but these is out of season."""
    lines, action = [], ""
    for line in workspace.catalogue_file.read_text(encoding="utf-8").splitlines():
        lines.append(line)
        if line.strip().startswith("- id: "):
            action = line.strip().removeprefix("- id: ").split()[0]
            if action not in kept:
                lines.append(line[: len(line) - len(line.lstrip())] + '  valid_until: "2026-01-01T00:00:00+00:00"')
    path = workspace.root / "less.yaml"
    path.write_text("\n".join(line for line in lines), encoding="utf-8")
    return path


def test_the_same_catalogue_changes_nothing(workspace: Workspace) -> None:
    told = asked(workspace, changed(workspace)).as_dict()
    assert told["changes"] == {"added": (), "removed": (), "changed": {}, "remade": ()}
    for segment in told["segments"]:
        assert sum(one["would_be"] for one in segment["actions"]) == pytest.approx(1.0)
        assert all(one["was"] == pytest.approx(one["would_be"]) for one in segment["actions"])
    assert all(one["was"] == one["would_be"] for one in told["suppressions"])
    assert told["reward"]["snips"]["change"] == pytest.approx(0.0, abs=1e-9)
    assert told["reward"]["effective_n"] == pytest.approx(told["reward"]["n_decisions"])


@pytest.mark.parametrize("asked_then", ["", "    questions: [birthday]\n"])
def test_a_question_that_was_not_thought_of_then_is_not_asked(tmp_path: Path, asked_then: str) -> None:
    shop, place = starter(tmp_path / "shop"), "  chat_reply:\n"
    text = shop.brand_file.read_text(encoding="utf-8")
    shop.brand_file.write_text(text.replace(place, place + asked_then), encoding="utf-8")
    with Engine(shop, clock=Clock()) as engine:
        engine.decide_many([DecisionRequest(customer_id="w", placement="chat_reply", channel="web")])
    shop.brand_file.write_text(text.replace(place, f"{place}    questions: [birthday, skin_need]\n"), encoding="utf-8")
    told = asked(shop, changed(shop)).as_dict()
    named = {one["action_id"] for segment in told["segments"] for one in segment["actions"]}
    assert told["n_decisions"] == 1
    assert not any(name.startswith("ask_") for name in named)


def test_a_shorter_catalogue_earns_what_its_actions_earn(workspace: Workspace) -> None:
    told = asked(workspace, without(workspace, "skin_quiz", "bestsellers", "chat_help")).as_dict()
    assert told["n_decisions"] + told["n_held_out"] == N + 1
    (segment,) = told["segments"]
    shares = {one["action_id"]: one for one in segment["actions"]}
    assert shares["skin_quiz"]["was"] == pytest.approx(1 / 6)
    assert shares["skin_quiz"]["would_be"] == pytest.approx(1 / 3)
    assert shares["welcome_hook"]["would_be"] == 0
    reach = {one["action_id"]: one["would_be_customers"] for one in told["reach"]}
    assert (reach["skin_quiz"], reach["welcome_hook"]) == (told["n_customers"], 0)
    expired = next(one for one in told["suppressions"] if one["rule"] == "expired")
    assert (expired["was"], expired["would_be"] > 0) == (0, True)
    was = 400 * (0.4 + 5 * 0.1) / 6 - (150 + 90) * 0.1 / 6  # margin, less what two offers give away
    would_be = 400 * (0.4 + 2 * 0.1) / 3
    assert (told["reward"]["n_open"], told["reward"]["n_decisions"]) == (0, told["n_decisions"])
    for way in ("snips", "ips", "dr"):
        assert told["reward"][way]["low"] < would_be - was < told["reward"][way]["high"]
        assert told["reward"][way]["low"] > 0


def test_a_new_action_is_in_the_shares_and_no_log_can_say_what_it_earns(workspace: Workspace) -> None:
    text = workspace.catalogue_file.read_text(encoding="utf-8")
    start = text.index("  - id: chat_help")
    path = workspace.root / "more.yaml"
    path.write_text(text + "\n" + text[start:].replace("chat_help", "chat_hello"), encoding="utf-8")
    told = asked(workspace, path)
    assert told.changes.added == ("chat_hello",)
    shares = {one["action_id"]: one["would_be"] for one in next(iter(told.segments()))["actions"]}
    assert shares["chat_hello"] == pytest.approx(1 / 7)
    reward = told.reward()["snips"]
    assert (reward["change"], reward["code"]) == (None, "untried")
    assert "'chat_hello'" in reward["reason"]
    assert "No estimate: " in as_text(told)


def test_a_dearer_offer_costs_what_it_costs_more_and_a_budget_shows_its_use(workspace: Workspace) -> None:
    text = workspace.catalogue_file.read_text(encoding="utf-8")
    before, offer = text.split("  - id: festival_offer", 1)
    line = next(line for line in offer.splitlines() if "cost:" in line)
    offer = offer.replace(line, line.replace("cost: 90", "cost: 190"), 1)
    offer = offer.replace("    kind: offer\n", "    kind: offer\n    budget: {units: 10, every: month}\n", 1)
    path = workspace.root / "dearer.yaml"
    path.write_text(f"{before}  - id: festival_offer{offer}", encoding="utf-8")
    told = asked(workspace, path)
    assert told.changes.changed["festival_offer"] == ("incentive", "budget")
    assert told.changes.remade == ("festival_offer",)
    answer = told.as_dict()
    (budget,) = answer["budgets"]
    assert (budget["budget"], budget["at_most_units"], budget["every"]) == ("action:festival_offer", 10, "month")
    assert budget["units"] == 10  # all in one month
    (segment,) = answer["segments"]
    shares = {one["action_id"]: one["would_be"] for one in segment["actions"]}
    assert shares["festival_offer"] == pytest.approx(10 / told.n_decisions, rel=0.6)
    spent = next(one for one in answer["suppressions"] if one["rule"] == "budget")
    assert spent["was"] == 0
    assert spent["would_be"] == pytest.approx(told.n_decisions - 60, abs=40)  # one in six takes one until it is spent


def test_a_smaller_budget_counts_what_was_taken_before_the_time_that_is_asked_about(tmp_path: Path) -> None:
    """Ten units of sixty were taken on the day before; of twenty that would be, ten are left for that day."""
    shop, clock, rng = starter(tmp_path / "shop"), Clock(), random.Random(3)
    clock.now = datetime(2096, 3, 1, 12, tzinfo=UTC)  # what is asked about ends now, or later with the ledger's clock
    text = shop.brand_file.read_text(encoding="utf-8")
    text = text.replace("policy: {name: epsilon_greedy, epsilon: 0.1}", "policy: {name: uniform}")
    shop.brand_file.write_text(text, encoding="utf-8")
    budget = "    kind: offer\n    budget: {units: %d}\n"
    before, offer = shop.catalogue_file.read_text(encoding="utf-8").split("  - id: festival_offer", 1)
    texts = [
        f"{before}  - id: festival_offer{offer.replace('    kind: offer' + chr(10), budget % n, 1)}" for n in (60, 20)
    ]
    shop.catalogue_file.write_text(texts[0], encoding="utf-8")
    with Engine(shop, clock=clock, draw=rng.random) as engine:
        taken = 0
        while taken < 10:
            taken += chosen(engine, f"a-{taken}-{rng.random()}") == "festival_offer"
        clock.now += timedelta(days=3)
        for n in range(300):
            chosen(engine, f"b-{n}")
    fewer = tmp_path / "fewer.yaml"
    fewer.write_text(texts[1], encoding="utf-8")
    answer = ask_what_if(shop, fewer, last="24h").as_dict()
    (told,) = answer["budgets"]
    assert told["units"] == 10
    same = ask_what_if(shop, shop.catalogue_file, last="24h").as_dict()
    for one in same["segments"][0]["actions"]:
        assert one["would_be"] == one["was"]
    assert all(one["was"] == one["would_be"] for one in same["suppressions"])
    assert "budget" in {one["rule"] for one in same["suppressions"]}


def chosen(engine: Engine, customer_id: str) -> str:
    (decision,) = engine.decide_many([DecisionRequest(customer_id=customer_id, placement="chat_reply", channel="web")])
    return decision.action_id


def test_a_workbook_is_asked_about_as_a_file_is(workspace: Workspace) -> None:
    path = workspace.root / "catalogue.xlsx"
    write_workbook(workspace, path)
    assert asked(workspace, path).as_dict()["changes"]["changed"] == {}


def test_what_is_wrong_is_told_before_anything_is_counted(workspace: Workspace) -> None:
    with pytest.raises(CallersMistake, match="48h, 30d, 4w"):
        span_of("a month")
    with pytest.raises(CallersMistake, match="not there"):
        asked(workspace, workspace.root / "nowhere.yaml")
    with pytest.raises(CallersMistake, match="newest decision is of 2026-03-21"):
        ask_what_if(workspace, changed(workspace), last="1h")
    broken = changed(workspace, ("  - id: skin_quiz", "  - id: skin quiz"), name="broken.yaml")
    with pytest.raises(InvalidFile, match=r"broken\.yaml"):
        asked(workspace, broken)


def test_the_verb_tells_it_as_text_as_json_and_as_a_page(workspace: Workspace) -> None:
    page = workspace.root / "what-if.html"
    arguments = ["what-if", "--catalogue", str(without(workspace, "skin_quiz", "bestsellers", "chat_help"))]
    arguments += ["--last", "9999d", "--workspace", str(workspace.root)]
    as_json = CliRunner().invoke(app, [*arguments, "--json", "--html", str(page)])
    assert as_json.exit_code == 0, as_json.output
    told: dict[str, Any] = json.loads(as_json.stdout)
    assert told["reward"]["snips"]["change"] > 0
    html = page.read_text(encoding="utf-8")
    assert "It would have earned more." in html
    assert "http" not in html.replace("http-equiv", "")
    plain = as_text(asked(workspace, without(workspace, "skin_quiz", "bestsellers", "chat_help")))
    assert "It would have earned more." in plain
    assert as_page(asked(workspace, changed(workspace))).startswith("<!doctype html>")


def test_a_decision_that_still_waits_for_its_outcomes_is_in_the_shares_only(workspace: Workspace) -> None:
    before = asked(workspace, changed(workspace)).as_dict()
    clock = Clock()
    clock.now = datetime(2099, 1, 1, tzinfo=UTC)  # the newest of them: where the ledger's clock is ahead of ours
    with Engine(workspace, clock=clock) as engine:
        names = [f"late-{n}" for n in range(20)]
        made = engine.decide_many(
            [DecisionRequest(customer_id=name, placement="chat_reply", channel="web") for name in names]
        )
    n_open = sum(not decision.is_holdout for decision in made)
    told = ask_what_if(workspace, changed(workspace), last="4000w").as_dict()
    assert told["reward"]["n_open"] == n_open
    assert told["n_decisions"] == before["n_decisions"] + n_open
    assert told["reward"]["n_decisions"] == before["reward"]["n_decisions"]


def test_only_what_an_action_is_there_for_pays_its_value_and_only_within_its_window(tmp_path: Path) -> None:
    shop, clock = starter(tmp_path / "shop"), Clock()
    with Engine(shop, clock=clock) as engine:
        requests = [DecisionRequest(customer_id=f"w-{n}", placement="chat_reply", channel="web") for n in range(150)]
        ids = [one.situation.decision_id for one in engine.decide_many(requests) if one.action_id != "welcome_hook"]
        before = asked(shop, shop.catalogue_file).reward()["logged_margin"]
        clock.now = START + timedelta(hours=1)
        engine.record_outcomes([OutcomeReport(decision_id=i, outcome="converted", goal="subscribe") for i in ids])
        assert asked(shop, shop.catalogue_file).reward()["logged_margin"] == before  # these are there for orders
        clock.now = START + timedelta(days=20)
        engine.record_outcomes([OutcomeReport(decision_id=i, outcome="converted", goal="order") for i in ids])
    with closing(connect(shop.database)) as connection, connection:
        connection.execute("UPDATE outcomes SET is_late = 0")  # as earlier versions wrote what came late
    assert asked(shop, shop.catalogue_file).reward()["logged_margin"] == before


def test_decisions_of_another_brand_file_are_said_and_earn_by_the_catalogue_that_made_them(tmp_path: Path) -> None:
    shop, clock = starter(tmp_path / "shop"), Clock()
    with Engine(shop, clock=clock) as engine:
        requests = [DecisionRequest(customer_id=f"w-{n}", placement="chat_reply", channel="web") for n in range(150)]
        decided = engine.decide_many(requests)
        engine.record_outcomes(
            [
                OutcomeReport(decision_id=one.situation.decision_id, outcome="converted", goal="order", value=100.0)
                for one in decided
            ]
        )
        clock.now = START + timedelta(days=20)
    before = asked(shop, shop.catalogue_file)
    assert not any("another brand.yaml" in said for said in before.assumptions)
    text = shop.brand_file.read_text(encoding="utf-8")
    shop.brand_file.write_text(text.replace("policy: {name: epsilon_greedy", "policy: {name: greedy"), encoding="utf-8")
    dearer = shop.catalogue_file.read_text(encoding="utf-8").replace("cost: 150", "cost: 950")
    shop.catalogue_file.write_text(dearer, encoding="utf-8")
    after = asked(shop, shop.catalogue_file)
    assert any("another brand.yaml" in said for said in after.assumptions)
    assert after.reward()["logged_margin"] == before.reward()["logged_margin"]
