"""The verb `train` on a tiny simulated brand, imported as any shop's export is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.command_line import run_verb
from features.faults import CallersMistake
from features.workspace import Workspace
from tests.training.trained_shop import VENDORS_WARN, said
from training.artifact import read_champions
from training.dataset import WorkspaceSource
from training.groups import as_old_as

pytestmark = VENDORS_WARN


def test_training_promotes_both_first_champions(champions: dict[str, Any]) -> None:
    assert set(champions) == {"segments", "next_purchase"}


def test_training_again_on_the_same_data_changes_nothing(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = said(capsys, "train", "all", "--json", "--workspace", str(trained))
    # There is no decision yet that a response model could learn from.
    assert {one["model"]: one["unchanged"] for one in rounds if one["version"]} == dict.fromkeys(champions, True)
    assert read_champions(trained / "artifacts") == champions


def test_what_there_is_too_little_data_for_is_said(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = said(capsys, "train", "next-purchase", "--json", "--workspace", str(trained))
    assert any("90-day model" in reason and "any good: train on 2027-" in reason for reason in rounds[0]["refused"])


def test_a_leak_in_one_model_leaves_the_others_trained_and_reported(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.leakage import LeakFound
    from training.learning import ROUNDS

    def knows_the_future(*_: object) -> None:
        raise LeakFound("'trait_spent_next' alone tells them apart", leaks=())

    monkeypatch.setitem(ROUNDS, "next_purchase", knows_the_future)
    one, other, *_ = said(capsys, "train", "all", "--json", "--workspace", str(trained))
    assert (one["model"], one["unchanged"], one["refused"]) == ("segments", True, [])
    assert (other["model"], other["version"]) == ("next_purchase", None)
    assert "'trait_spent_next' alone" in other["refused"][0]


def test_the_gate_asked_everything_of_the_horizon_that_is_served(trained: Path, champions: dict[str, Any]) -> None:
    version = champions["next_purchase"]["version"]
    gate = json.loads((trained / "artifacts" / "next_purchase" / version / "gate.json").read_text(encoding="utf-8"))
    asked = " · ".join(check["question"] for check in gate["checks"])
    for words in ("saying", "calibrated", "as old as freshness allows", "in no large group", "fast enough to serve"):
        assert words in asked


def test_a_later_model_of_one_day_is_no_champion_until_a_window_that_neither_knew(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("train", "next-purchase", "--as-of", "2026-09-30", "--json", "--workspace", str(trained))
    one = said(capsys, *words)[0]
    assert not one["promoted"]
    (answer,) = [check["answer"] for check in one["gate"]["checks"] if check["question"] == "better than the champion"]
    assert answer.startswith("the champion was made with data")
    assert read_champions(trained / "artifacts") == champions
    with pytest.raises(CallersMistake, match="--force"):
        run_verb("models", "promote", "next-purchase", one["version"], "--workspace", str(trained))

    run_verb("models", "promote", "next-purchase", one["version"], "--force", "--workspace", str(trained))
    assert read_champions(trained / "artifacts")["next_purchase"]["version"] == one["version"]
    log = (trained / "artifacts" / "promotions.jsonl").read_text().splitlines()
    assert json.loads(log[-1])["forced"] is True

    run_verb("models", "rollback", "next-purchase", "--workspace", str(trained))
    assert read_champions(trained / "artifacts") == champions


def test_segments_of_a_later_day_replace_their_champion(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def of(day: str) -> Any:
        return said(capsys, "train", "segments", "--as-of", day, "--json", "--workspace", str(trained))[0]

    one = of("2026-09-30")
    gate = {check["question"]: check for check in one["gate"]["checks"]}
    assert gate["separates today's customers as well as the champion"]["passed"], gate
    assert one["promoted"], gate
    assert read_champions(trained / "artifacts")["segments"]["version"] == one["version"]


def test_training_an_empty_lake_is_refused(tmp_path: Path) -> None:
    run_verb("init", str(tmp_path / "new"))
    with pytest.raises(CallersMistake, match="holds no events"):
        run_verb("train", "--workspace", str(tmp_path / "new"))


def test_mlflow_holds_the_run_with_its_plots_and_windows(trained: Path, champions: dict[str, Any]) -> None:
    from training.registry import Registry

    with Registry(Workspace(trained)) as registry:
        client = registry.client
        version = client.get_model_version_by_alias("next_purchase", "champion")
        run = client.get_run(version.run_id)
        plots = {artifact.path for artifact in client.list_artifacts(version.run_id, "plots")}
        aliased = client.get_model_version_by_alias("segments", "champion").tags["rapport_version"]
    assert aliased == champions["segments"]["version"]
    assert {"plots/calibration.png", "plots/gain.png", "plots/importance_30d.png", "plots/shap_30d.png"} <= plots
    assert run.data.tags["gate"] == "passed"
    assert "log_loss_30d" in run.data.metrics
    assert "windows_judge_30d" in run.data.params
    assert "@2026-10-01" in run.data.tags["fingerprint"]
    assert not list((trained / "state").rglob("*.pkl"))


def test_what_cannot_be_recorded_is_not_promoted(tmp_path: Path) -> None:
    from training.gating import Check, Gate
    from training.rounds.settling import settle

    def record() -> str:
        raise OSError("no space left on device")

    (tmp_path / "segments" / "20260101-aa").mkdir(parents=True)
    source: Any = SimpleNamespace(workspace=SimpleNamespace(artifacts=tmp_path), schema=None)
    registry: Any = None
    gate = Gate((Check("is it better?", True, "yes"),), None)
    with pytest.raises(OSError, match="no space"):
        settle(source, registry, gate, name="segments", version="20260101-aa", record=record)
    assert read_champions(tmp_path) == {}


def test_rows_of_last_week_are_older_today_and_know_no_more(simulated: Path) -> None:
    source = WorkspaceSource(Workspace(simulated))
    as_of = datetime(2026, 8, 27, tzinfo=UTC)
    old, places = as_old_as(source, as_of, days=7)
    now, then = source.snapshot(as_of), source.snapshot(as_of - timedelta(days=7))
    assert old.customer_keys.tolist() == now.customer_keys[places].tolist() == then.customer_keys.tolist()
    orders, silence = (source.inputs.index(name) for name in ("n_orders", "days_since_last_order"))
    assert old.X[:, orders].tolist() == then.X[:, orders].tolist()
    bought = ~np.isnan(then.X[:, silence])
    assert old.X[bought, silence] == pytest.approx(then.X[bought, silence] + 7.0, abs=1e-3)


def test_our_labels_are_those_of_the_training_frame(simulated: Path) -> None:
    from features.history import open_workspace

    source = WorkspaceSource(Workspace(simulated))
    as_of = datetime(2026, 8, 1, tzinfo=UTC)
    theirs = open_workspace(simulated).orders_within(as_of, horizon_days=30)
    assert source.happened(as_of, 30).tolist() == theirs["customer_key"].tolist()


def test_a_label_that_is_not_closed_is_refused(simulated: Path) -> None:
    source = WorkspaceSource(Workspace(simulated))
    with pytest.raises(CallersMistake, match="or wait"):
        source.happened(source.known_until - timedelta(days=6), 7)
