"""A decision made once more from what was recorded is the same, byte for byte, or it is said what is in the way."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from features.command_line import app
from features.database import connect
from features.faults import CallersMistake
from features.workspace import Workspace
from serving.engine import Engine
from serving.replaying.replay import replay_decision
from serving.replaying.verdicts import as_text, differences_between
from serving.schemas import DecisionRequest
from tests.serving.conftest import starter
from tests.serving.tiny_models import promote_next_purchase, promote_segments
from tests.serving.tiny_shop import REPLY, WEEKLY, a_shop
from tests.serving.tiny_world import COUPON, TIP, an_action

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CUSTOMERS = count()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return starter(tmp_path_factory.mktemp("replay") / "shop")


@pytest.fixture(scope="module")
def engine(workspace: Workspace) -> Iterator[Engine]:
    with Engine(workspace, clock=lambda: NOON) as engine:
        promote_segments(workspace.artifacts, engine.schema)
        promote_next_purchase(workspace.artifacts, engine.schema)
        engine.models.refresh()
        yield engine


def decided(engine: Engine, **changes: object) -> str:
    asked = {"customer_id": f"c-{next(CUSTOMERS)}", "placement": "chat_reply", "channel": "web"} | changes
    return str(engine.decide(DecisionRequest.model_validate(asked))["decision_id"])


def edit(workspace: Workspace, query: str, *arguments: object) -> None:
    with closing(connect(workspace.database)) as connection:
        connection.execute(query, arguments)
        connection.commit()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    channels=st.sampled_from([["web"], ["whatsapp"], ["web", "whatsapp"]]),
    limit=st.sampled_from([1, 1, 3]),
    locale=st.sampled_from([None, "en", "hi", "th"]),
    session_open=st.booleans(),
    intent=st.sampled_from([None, "buy"]),
)
def test_whatever_was_asked_is_decided_once_more_byte_for_byte(
    engine: Engine,
    workspace: Workspace,
    channels: list[str],
    limit: int,
    locale: str | None,
    session_open: bool,
    intent: str | None,
) -> None:
    decision_id = decided(
        engine,
        channel=None,
        channels=channels,
        limit=limit,
        locale=locale,
        context={"session_open": session_open, "intent": intent},
    )
    verdict = replay_decision(workspace, decision_id)
    assert verdict.is_same, as_text(verdict)


def test_what_the_caller_told_for_one_decision_is_not_kept_and_matters_where_it_is_asked_for(
    engine: Engine, workspace: Workspace
) -> None:
    verdict = replay_decision(workspace, decided(engine, context={"traits": {"skin_need": "acne"}}))
    assert verdict.status == "cannot"
    assert "skin_need. These actions ask for it: " in verdict.reasons[0]


def test_what_the_caller_told_and_nothing_asks_for_leaves_the_scores_to_the_record(
    engine: Engine, workspace: Workspace
) -> None:
    verdict = replay_decision(workspace, decided(engine, context={"traits": {"income": 30_000}}))
    assert verdict.is_same, as_text(verdict)
    assert "income" in verdict.notes[0]


def test_decisions_of_a_batch_are_the_same_too(engine: Engine, workspace: Workspace) -> None:
    requests = [DecisionRequest(customer_id=f"batch-{n}", placement="chat_reply", channel="web") for n in range(40)]
    for decision in engine.decide_many(requests):
        verdict = replay_decision(workspace, decision.situation.decision_id)
        assert verdict.is_same, as_text(verdict)


def test_a_changed_catalogue_changes_no_decision_of_before(engine: Engine, workspace: Workspace) -> None:
    decision_id = decided(engine)
    before = workspace.catalogue_file.read_text(encoding="utf-8")
    workspace.catalogue_file.write_text(before.replace("expected_rate: 0.0", "expected_rate: 0.1"), encoding="utf-8")
    try:
        assert replay_decision(workspace, decision_id).is_same
    finally:
        workspace.catalogue_file.write_text(before, encoding="utf-8")


def test_a_record_that_was_tampered_with_differs_where_it_was(engine: Engine, workspace: Workspace) -> None:
    decision_id = decided(engine)
    edit(
        workspace,
        "UPDATE decisions SET record = json_set(record, '$.draws[0]', 0.123) WHERE decision_id = ?",
        decision_id,
    )
    verdict = replay_decision(workspace, decision_id)
    assert verdict.status == "differs"
    assert "/draw" in {one.at for one in verdict.differences}


def test_every_reason_is_told_and_not_the_first_only(engine: Engine, workspace: Workspace) -> None:
    decision_id = decided(engine)
    query = (
        "UPDATE decisions SET record = json_set(record, '$.versions.brand', 'gone', '$.versions.catalogue', 'lost') "
        "WHERE decision_id = ?"
    )
    edit(workspace, query, decision_id)
    verdict = replay_decision(workspace, decision_id)
    assert verdict.status == "cannot"
    assert len(verdict.reasons) == 2
    assert "gone" in verdict.reasons[0]
    assert "lost" in verdict.reasons[1]


def test_a_model_that_is_gone_is_named(engine: Engine, workspace: Workspace) -> None:
    decision_id = decided(engine)
    query = (
        "UPDATE decisions SET record = json_set(record, '$.versions.segments', '20200101-gone') WHERE decision_id = ?"
    )
    edit(workspace, query, decision_id)
    verdict = replay_decision(workspace, decision_id)
    assert verdict.status == "cannot"
    assert "20200101-gone" in verdict.reasons[0]


def test_a_withdrawn_purpose_is_said(engine: Engine, workspace: Workspace) -> None:
    decision_id = decided(engine)
    query = (
        "UPDATE decisions SET inputs = NULL, record = json_set(record, '$.withdrawn', json('[\"personalisation\"]')) "
        "WHERE decision_id = ?"
    )
    edit(workspace, query, decision_id)
    verdict = replay_decision(workspace, decision_id)
    assert verdict.status == "withdrawn"
    assert "personalisation" in verdict.reasons[0]


def test_a_decision_of_a_rapport_that_kept_no_inputs_is_said(engine: Engine, workspace: Workspace) -> None:
    decision_id = decided(engine)
    edit(workspace, "UPDATE decisions SET inputs = NULL WHERE decision_id = ?", decision_id)
    assert replay_decision(workspace, decision_id).status == "cannot"


def test_an_unknown_decision_is_the_callers_mistake(engine: Engine, workspace: Workspace) -> None:
    with pytest.raises(CallersMistake, match="nobody-decided-this"):
        replay_decision(workspace, "nobody-decided-this")


def test_differences_are_told_by_their_place() -> None:
    before, after = {"a": [1, {"b": 2}], "c/d": 1}, {"a": [1, {"b": 3}, 4], "e": None}
    told = {one.at: (one.recorded, one.replayed) for one in differences_between(before, after)}
    assert told == {
        "/a/1/b": (2, 3),
        "/a/2": ("(absent)", 4),
        "/c~1d": (1, "(absent)"),
        "/e": ("(absent)", None),
    }


def test_nothing_that_the_customer_wrote_is_in_what_is_kept(engine: Engine, workspace: Workspace) -> None:
    decision_id = decided(engine, context={"inbound_text": "my secret wish"})
    with closing(sqlite3.connect(workspace.database)) as connection:
        kept = connection.execute(
            "SELECT inputs, record FROM decisions WHERE decision_id = ?", (decision_id,)
        ).fetchone()
    assert "secret" not in "".join(kept)
    assert json.loads(kept[0])["had_text"] is True


OWN_WORDS = "9876543210 my phone, call me"


@pytest.mark.parametrize("when", [None, "intent == 'buy'"])
def test_an_intent_in_the_customer_s_own_words_is_not_kept_and_missed_only_where_a_rule_asks_for_it(
    tmp_path: Path, when: str | None
) -> None:
    place = REPLY.model_copy(update={"off_script": "help"})
    actions = (TIP, COUPON.model_copy(update={"when": when}), an_action("help", expected_rate=0.001))
    shop = a_shop(tmp_path, *actions, placements={"reply": place, "weekly": WEEKLY}, intents=("buy",))
    with Engine(shop, clock=lambda: NOON) as engine:
        asked = {"customer_id": "c", "placement": "reply", "channel": "web", "context": {"intent": OWN_WORDS}}
        told = engine.decide(DecisionRequest.model_validate(asked))
    assert told["action"]["id"] == "help"  # the brand knows no such intent
    with closing(sqlite3.connect(shop.database)) as connection:
        assert "9876543210" not in str(connection.execute("SELECT * FROM decisions").fetchall())
    verdict = replay_decision(shop, told["decision_id"])
    assert verdict.status == ("same" if when is None else "cannot"), as_text(verdict)
    assert when is None or "intent" in verdict.reasons[0]


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The shipped brand with caps, quiet hours and a question worth asking."""
    shop = starter(tmp_path_factory.mktemp("ruled") / "shop")
    brand = yaml.safe_load(shop.brand_file.read_text(encoding="utf-8"))
    brand["placements"]["chat_reply"]["questions"] = ["skin_need"]
    brand["contact_policy"] = {
        "frequency_caps": {
            "twice": {"at_most": 2, "rolling_hours": 24, "counts": "decision", "governs": "everyone", "each": "action"}
        },
        "quiet_hours": [{"start": "22:00", "until": "07:00", "governs": "brand"}],
        "budgets": {"offers": {"amount": 400.0, "every": "day"}},
    }
    shop.brand_file.write_text(yaml.safe_dump(brand, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return shop


def test_counters_questions_and_places_of_one_request_come_back_as_they_were(ruled: Workspace) -> None:
    at, rng = NOON, random.Random(3)
    places = [{"placement": "chat_reply", "channel": channel, "limit": 2} for channel in ("web", "whatsapp")]
    made: list[str] = []
    with Engine(ruled, clock=lambda: at, draw=rng.random) as engine:
        promote_segments(ruled.artifacts, engine.schema)
        promote_next_purchase(ruled.artifacts, engine.schema)
        for n in range(6):
            at = NOON + timedelta(hours=n)
            asked = {"customer_id": f"r-{n % 2}", "placements": places, "context": {"session_open": True}}
            told = engine.decide(DecisionRequest.model_validate(asked))
            made += [one["decision_id"] for one in told["decisions"]]
    with closing(sqlite3.connect(ruled.database)) as connection:
        records = [json.loads(row[0]) for row in connection.execute("SELECT record FROM decisions")]
    rules = {away["rule"] for record in records for away in record["suppressed"]}
    assert rules & {"frequency_cap", "budget"}
    assert any(record["drawn_elsewhere"] for record in records)
    assert any(one["action_id"].startswith("ask_skin_need") for record in records for one in record["candidates"])
    for decision_id in made:
        verdict = replay_decision(ruled, decision_id)
        assert verdict.is_same, as_text(verdict)


def test_the_verb_ends_with_what_it_found(engine: Engine, workspace: Workspace) -> None:
    decision_id = decided(engine)
    same = CliRunner().invoke(app, ["replay", decision_id, "--workspace", str(workspace.root)])
    assert (same.exit_code, "byte for byte" in same.stdout) == (0, True)
    edit(workspace, "UPDATE decisions SET inputs = NULL WHERE decision_id = ?", decision_id)
    cannot = CliRunner().invoke(app, ["replay", decision_id, "--json", "--workspace", str(workspace.root)])
    assert (cannot.exit_code, json.loads(cannot.stdout)["status"]) == (1, "cannot")
