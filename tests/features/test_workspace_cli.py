"""rapport init, check and schema, as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer import Typer
from typer.testing import CliRunner, Result

from features import cli
from features.faults import CallersMistake

app = Typer()
app.command()(cli.init)
app.command()(cli.check)
app.command()(cli.schema)


def rapport(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    assert rapport("init", folder).exit_code == 0
    return folder


def test_init_writes_a_workspace_that_passes(shop: Path) -> None:
    assert sorted(str(path.relative_to(shop)) for path in shop.rglob("*") if path.is_file()) == [
        "brand.yaml",
        "catalogue.yaml",
        "features/sets_bought.sql",
    ]
    result = rapport("check", "--workspace", shop, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    statuses = {check["name"]: check["status"] for check in report["checks"]}
    assert statuses["brand.yaml is right"] == statuses["catalogue.yaml is right"] == "PASS"
    assert report["faults"] == []
    assert all(check["meaning"] for check in report["checks"])


def test_init_overwrites_nothing(shop: Path) -> None:
    (shop / "catalogue.yaml").unlink()
    result = rapport("init", shop)
    assert isinstance(result.exception, CallersMistake)
    assert "brand.yaml" in str(result.exception)
    assert not (shop / "catalogue.yaml").exists()


def test_check_tells_the_faults_of_both_files_at_once(shop: Path) -> None:
    for name, old, new in (
        ("brand.yaml", "margin_rate: 0.4", "margin_rate: 4"),
        ("catalogue.yaml", "expected_rate: 0.07", "expected_rate: 7"),
    ):
        path = shop / name
        path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    result = rapport("check", "--workspace", shop, "--json")
    assert result.exit_code == 2
    report = json.loads(result.output)
    assert report["status"] == "FAIL"
    assert {Path(fault["file"]).name for fault in report["faults"]} == {"brand.yaml", "catalogue.yaml"}
    assert all(fault["line"] for fault in report["faults"])


def test_check_says_what_passed_and_what_failed_in_words(shop: Path) -> None:
    path = shop / "catalogue.yaml"
    path.write_text(path.read_text("utf-8").replace("n_orders == 1.0", "n_ordes == 1.0"), "utf-8")
    result = rapport("check", "--workspace", shop)
    assert result.exit_code == 2
    assert "PASS" in result.output
    assert "FAIL" in result.output
    assert "Closest: 'n_orders'." in result.output


def test_check_finds_sql_that_may_not_be_used(shop: Path) -> None:
    (shop / "features" / "peek.sql").write_text("SELECT * FROM read_csv('/etc/passwd')")
    result = rapport("check", "--workspace", shop, "--json")
    assert result.exit_code == 2
    assert {Path(fault["file"]).name for fault in json.loads(result.output)["faults"]} == {"peek.sql"}


def test_check_finds_a_column_that_is_called_like_a_trait(shop: Path) -> None:
    (shop / "features" / "money.sql").write_text("SELECT customer_key, SUM(total) AS income FROM events GROUP BY 1")
    result = rapport("check", "--workspace", shop, "--json")
    assert [(fault["where"], Path(fault["file"]).name) for fault in json.loads(result.output)["faults"]] == [
        ("income", "money.sql")
    ]


def test_check_warns_where_a_locale_is_not_spoken(shop: Path) -> None:
    path = shop / "brand.yaml"
    path.write_text(path.read_text("utf-8").replace("locales:\n", "locales:\n  fr: {name: Aurélie}\n", 1), "utf-8")
    result = rapport("check", "--workspace", shop, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.output)
    assert report["status"] == "WARN"
    assert "skin_quiz: fr" in next(check["detail"] for check in report["checks"] if "locale" in check["name"])


def test_check_of_no_workspace_is_the_callers_mistake(tmp_path: Path) -> None:
    result = rapport("check", "--workspace", tmp_path)
    assert isinstance(result.exception, CallersMistake)


@pytest.mark.parametrize("of", ["brand", "catalogue", "mapping", "event"])
def test_schemas_are_json_schemas(of: str) -> None:
    schema = json.loads(rapport("schema", of).output)
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("of", ["brand", "catalogue"])
def test_the_shipped_files_follow_their_schemas(shop: Path, of: str) -> None:
    schema = json.loads(rapport("schema", of).output)
    jsonschema.validate(yaml.safe_load((shop / f"{of}.yaml").read_text("utf-8")), schema)


@pytest.mark.parametrize(
    ("event", "is_valid"),
    [
        ({"type": "identify", "userId": "u1", "traits": {"skin_need": "acne"}}, True),
        ({"type": "track", "anonymousId": "a", "event": "Order Completed", "properties": {"total": 12.5}}, True),
        ({"type": "track", "userId": "u1", "event": "X", "writeKey": "ignored", "integrations": {}}, True),
        ({"type": "track", "userId": "u1"}, False),
        ({"type": "track", "event": "X"}, False),
        ({"type": "page", "userId": "u1"}, True),
        ({"type": "alias", "userId": "u1", "previousId": "device-1"}, True),
        ({"type": "alias", "userId": "u1"}, False),
        ({"type": "group", "userId": "u1"}, False),
        ({"type": "track", "userId": "u1", "event": "X", "properties": {"conversation_id": "c", "step": 2}}, True),
        ({"type": "track", "userId": "u1", "event": "X", "properties": {"conversation_id": ["c"]}}, False),
        ({"type": "track", "userId": "u1", "event": "Order Completed", "properties": {"total": "12.5"}}, False),
    ],
)
def test_events_follow_their_schema(event: dict[str, object], is_valid: bool) -> None:
    schema = json.loads(rapport("schema", "event").output)
    assert jsonschema.Draft202012Validator(schema).is_valid(event) is is_valid


def test_the_schema_of_events_says_what_becomes_of_conversation_step_and_campaign() -> None:
    track = json.loads(rapport("schema", "event").output)["oneOf"][1]["properties"]
    assert {"conversation_id", "step"} <= track["properties"]["properties"].keys()
    assert "source" not in track["properties"]["properties"]
    assert "google / cpc" in track["context"]["properties"]["campaign"]["description"]
