from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from experiments.records import read_decisions
from features.faults import CallersMistake
from features.workspace import Workspace
from serving.asking import ask, print_answer
from serving.settings import read_settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_command_line_decides_writes_and_answers_as_the_api_does(
    shop: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    import typer

    from serving.cli import decide

    app = typer.Typer()
    app.command()(decide)
    arguments = [
        "asha",
        "--placement",
        "chat_reply",
        "--channel",
        "web",
        "--locale",
        "hi-IN",
        "--trait",
        "skin_need=acne",
        "--format",
        "neutral",
    ]
    done = CliRunner().invoke(app, [*arguments, "--explain", "--json", "--workspace", str(shop.root)])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["message"]["locale"] == "hi"
    assert read_decisions(shop.database)["decision_id"].tolist() == [told["decision_id"]]
    print_answer(told)
    shown = capsys.readouterr().out
    assert "Funnel stage: awareness" in shown
    assert "policy_parameters" in shown
    assert '"suggested_replies": [' in shown


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


def test_a_port_that_cannot_be_is_refused() -> None:
    with pytest.raises(CallersMistake, match="--port"):
        read_settings(port=99_999)
