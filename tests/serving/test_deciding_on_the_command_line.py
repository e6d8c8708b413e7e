from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import typer
from typer.testing import CliRunner, Result

from experiments.records import read_decisions
from features.faults import CallersMistake
from features.workspace import Workspace
from serving.asking import ask, print_answer
from serving.cli import decide
from serving.settings import read_settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_command_line_decides_writes_and_answers_as_the_api_does(
    shop: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--channel", "web", "--locale", "hi-IN", "--trait", "skin_need=acne", "--format", "neutral"]
    done = decided(shop, *arguments, "--explain", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["message"]["locale"] == "hi"
    assert read_decisions(shop.database)["decision_id"].tolist() == [told["decision_id"]]
    print_answer(told)
    shown = capsys.readouterr().out
    assert "Funnel stage: awareness" in shown
    for one in told["explanation"]["values"]:
        assert all(part["in_words"] in " ".join(shown.split()) for part in one["parts"])
    assert all(one["in_words"] in " ".join(shown.split()) for one in told["explanation"]["kept_away"])
    assert "policy_parameters" not in shown, "the record is for programs: --json"
    assert '"suggested_replies": [' in shown


def decided(shop: Workspace, *arguments: str) -> Result:
    app = typer.Typer()
    app.command()(decide)
    return CliRunner().invoke(app, ["asha", "--placement", "chat_reply", *arguments, "--workspace", str(shop.root)])


def test_a_list_over_several_channels_is_asked_for_shown_and_written(shop: Workspace) -> None:
    arguments = ["--channels", "web, whatsapp", "--limit", "2"]
    dry = decided(shop, *arguments, "--dry-run", "--json")
    assert dry.exit_code == 0, dry.output
    told = json.loads(dry.stdout)
    assert (told["dry_run"], told["decision_id"], len(told["slots"])) == (True, None, 2)
    assert {one["channel"] for one in told["ranking"]} >= {"web", "whatsapp"}
    assert len(read_decisions(shop.database)) == 0

    shown = decided(shop, *arguments)
    assert shown.exit_code == 0, shown.output
    written = read_decisions(shop.database, columns=("decision_id", "slots"))
    (decision_id,), (slots,) = written["decision_id"].tolist(), written["slots"].tolist()
    said = json.loads(slots)
    assert len(said) == 2
    assert all(f"{one['action_id']} on {one['channel']}" in shown.stdout for one in said)
    assert f"decision {decision_id}" in shown.stdout


def test_a_dry_run_says_that_it_wrote_nothing(shop: Workspace) -> None:
    done = decided(shop, "--channel", "web", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "dry run: nothing written" in done.stdout
    assert len(read_decisions(shop.database)) == 0


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("--channel", "web", "--limit", "0"), "--limit: is 0"),
        (("--channels", "web,post"), "--channels: there is no channel of placement 'chat_reply' called 'post'"),
        (("--channel", "web", "--channels", "whatsapp"), "name one --channel, or several --channels, of: line, web"),
        (("--channel", "web", "--locale", "hi_INN"), "--locale: is 'hi_INN'"),
        (("--channel", "web", "--format", "lines"), "--format: is 'lines'"),
        (("--channel", "web", "--intent", ""), "--intent: is ''"),
        (
            ("--channel", "web", "--placement", "chat_repl"),
            "--placement: there is no placement 'chat_repl'. Closest: 'chat_reply'",
        ),
        ((), "--channel: name one --channel"),
    ],
)
def test_a_question_that_cannot_be_is_told_by_its_option_and_writes_nothing(
    shop: Workspace, arguments: tuple[str, ...], rule: str
) -> None:
    done = decided(shop, *arguments)
    assert isinstance(done.exception, CallersMistake)
    assert rule in str(done.exception)
    assert len(read_decisions(shop.database)) == 0


def test_what_no_brand_would_take_is_told_with_every_name_that_this_one_does_not_have(shop: Workspace) -> None:
    told = str(decided(shop, "--channels", "web,post", "--trait", "skin_ned=acne", "--limit", "0").exception)
    assert [line.partition(":")[0] for line in told.splitlines()] == ["--limit", "--trait skin_ned", "--channels"]


def test_what_a_catalogue_says_in_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    message: dict[str, object] = {
        "hook": "[bold]",
        "body": "see [link]",
        "suggested_replies": [],
        "link": None,
        "locale": "en",
    }
    told = {"action": {"id": "tip"}, "message": message, "channel": "web", "decision_id": "d-1"}
    print_answer(told | {"reasons": [], "ranking": [], "suppressed": []})
    assert "see [link]" in capsys.readouterr().out


def test_a_trait_without_a_value_is_the_callers_mistake(shop: Workspace) -> None:
    with pytest.raises(CallersMistake, match="name=value"):
        ask(shop, {"customer_id": "a", "context": {}}, traits=["skin_need"])


def test_a_language_that_nobody_knows_is_the_callers_mistake(shop: Workspace) -> None:
    asked = {"customer_id": "a", "placement": "chat_reply", "channel": "web", "locale": "zz-ZZ", "context": {}}
    with pytest.raises(CallersMistake, match="there is no language 'zz'"):
        ask(shop, asked, traits=[])


def test_a_setting_that_does_not_exist_is_refused_with_the_closest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_PROT", "3001")
    with pytest.raises(CallersMistake, match="Closest: RAPPORT_PORT"):
        read_settings()


def test_an_argument_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_PORT", "3001")
    assert read_settings(port=3002).port == 3002
    assert read_settings(port=None).port == 3001


@pytest.mark.parametrize("text", ["2024-06-01", "2024-06-01T00:00:00", "2024-06-01T05:30:00+05:30"])
def test_a_clock_without_a_zone_stands_in_utc(text: str) -> None:
    assert read_settings(clock=text).clock == datetime(2024, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["9999-12-31", "1950-01-01"])
def test_a_clock_that_no_log_can_be_read_with_is_refused(text: str) -> None:
    with pytest.raises(CallersMistake, match="lies between the years 1970 and 2200"):
        read_settings(clock=text)


def test_a_port_that_cannot_be_is_refused() -> None:
    with pytest.raises(CallersMistake, match="--port"):
        read_settings(port=99_999)


def test_why_they_are_likely_to_buy_is_told_a_sentence_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = {"in_words": ["12.0% likely to buy within 30 days.", "Ordered last week: more likely."]}
    explanation: dict[str, object] = {"values": [], "kept_away": [], "propensity": said, "response": None}
    slot = {"action": {"id": "nothing"}, "message": None, "channel": "web"}
    told: dict[str, object] = {**slot, "reasons": [], "ranking": [], "suppressed": [], "decision_id": "d"}
    print_answer(told | {"explanation": explanation})
    assert "  12.0% likely to buy within 30 days.\n  Ordered last week: more likely.\n" in capsys.readouterr().out
