"""The verbs on a tiny simulated brand, imported as any shop's export is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from features.command_line import run_verb
from features.faults import CallersMistake
from features.workspace import Workspace
from training.artifact import NextPurchaseModel, read_champions, verify, write_artifact
from training.calibration import Calibration
from training.dataset import WorkspaceSource
from training.groups import as_old_as
from training.next_purchase import Judged

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with 400 customers' 150 days, not trained yet."""
    folder = tmp_path_factory.mktemp("simulated")
    export, shop = folder / "export", folder / "shop"
    run_verb("init", str(shop))
    words = ("--customers", "400", "--days", "150", "--seed", "7", "--end", "2026-10-01")
    run_verb("simulate", "--out", str(export), *words)
    run_verb(
        "import", str(export / "events.parquet"), "--mapping", str(export / "mapping.yaml"), "--workspace", str(shop)
    )
    return shop


@pytest.fixture(scope="session")
def trained(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, trained once."""
    shop = tmp_path_factory.mktemp("trained") / "shop"
    shutil.copytree(simulated, shop)
    run_verb("train", "all", "--workspace", str(shop))
    return shop


@pytest.fixture
def champions(trained: Path) -> Iterator[dict[str, Any]]:
    """What is served; whatever a test promotes is put back, in MLflow too."""
    from training.registry import Registry

    file = trained / "artifacts" / "champion.json"
    before, champions = file.read_bytes(), read_champions(trained / "artifacts")
    yield champions
    if file.read_bytes() == before:
        return
    file.write_bytes(before)
    with Registry(Workspace(trained)) as registry:
        for name, champion in champions.items():
            registry.crown(name, champion["version"])


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    run_verb(*words)
    return json.loads(capsys.readouterr().out)


def test_training_promotes_both_first_champions(champions: dict[str, Any]) -> None:
    assert set(champions) == {"segments", "next_purchase"}


def test_the_list_names_the_champions_and_what_they_were_judged_by(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = said(capsys, "models", "list", "--json", "--workspace", str(trained))
    assert {row["model"]: row["version"] for row in rows if row["champion"]} == {
        name: champion["version"] for name, champion in champions.items()
    }
    assert all(row["gate"] for row in rows)


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


def test_the_list_of_models_fits_eighty_columns(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    run_verb("models", "list", "--workspace", str(trained))
    shown = capsys.readouterr().out
    assert champions["next_purchase"]["version"] in shown
    assert "next_purchase" in shown
    assert "…" not in shown


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


def a_twin(trained: Path, version: str, *, shifted: float) -> str:
    """The champion as if it had been made in August, its log-odds moved: so there are windows that it did not know."""
    artifacts = trained / "artifacts"
    description, boosters = verify(artifacts, "next_purchase", version)
    heads = [
        head | {"calibration": Calibration.from_dict(head["calibration"]).shifted(shifted).as_dict()}
        for head in description["heads"]
    ]
    made = {name: value for name, value in description.items() if name not in ("version", "files")}
    return write_artifact(artifacts, made | {"as_of": "2026-08-20T00:00:00+00:00", "heads": heads}, boosters)


def test_two_versions_are_compared_on_the_newest_window_that_neither_knew(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    champion = champions["next_purchase"]["version"]
    first, second = (a_twin(trained, champion, shifted=shifted) for shifted in (2.5, 0.0))
    words = ("models", "compare", first, second, "--workspace", str(trained))
    (month,) = said(capsys, *words, "--json")["horizons"]
    assert (month["horizon_days"], month["as_of"][:10]) == (30, "2026-08-27")
    assert month["gain"]["low"] > 0.0
    loud, honest = (of["log_loss"] for of in month["metrics"])
    assert month["gain"]["mean"] == pytest.approx(loud - honest, abs=1e-5)
    assert month["verdict"].startswith(f"{second} is better by")
    assert month["metrics"][0]["auc"] == month["metrics"][1]["auc"]  # moved, not turned
    run_verb(*words)
    assert "B better by" in capsys.readouterr().out
    with pytest.raises(CallersMistake, match="closed on 2026-11-05: compare then"):
        run_verb("models", "compare", first, champion, "--workspace", str(trained))
    with pytest.raises(CallersMistake, match="of next_purchase and of segments"):
        run_verb("models", "compare", first, champions["segments"]["version"], "--workspace", str(trained))


def test_a_challenger_must_beat_the_champion_on_a_window_that_the_champion_did_not_know(
    trained: Path, champions: dict[str, Any]
) -> None:
    from training.rounds.next_purchase import _against_champion, _in_groups

    source = WorkspaceSource(Workspace(trained))
    as_of = datetime(2026, 8, 27, tzinfo=UTC)
    snapshot = source.snapshot(as_of)
    y = np.isin(snapshot.customer_keys, source.happened(as_of, 30)).astype(np.uint8)
    version = champions["next_purchase"]["version"]
    honest, loud = (
        NextPurchaseModel(
            *verify(source.workspace.artifacts, "next_purchase", a_twin(trained, version, shifted=shifted)),
            schema=source.schema,
        )
        for shifted in (0.0, 2.5)
    )
    for challenger, champion, passes in ((honest, loud, True), (loud, honest, False), (honest, honest, False)):
        judged = Judged(30, as_of, y, challenger.predict(snapshot.X)[:, 0], constant=float(y.mean()))
        check = _against_champion(SimpleNamespace(judged=[judged]), source, champion)  # type: ignore[arg-type]
        assert check.passed is passes, check.answer
        assert "than the champion" in _in_groups(judged, source, champion).question


def test_every_version_has_a_card_with_its_windows_groups_and_limits(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    version = champions["next_purchase"]["version"]
    capsys.readouterr()
    run_verb("models", "card", version, "--workspace", str(trained))
    card = capsys.readouterr().out
    for words in ("| judge | 2026-08-27 | 2026-09-26 |", "| locale | th-TH |", "| channel | email |", "| stage |"):
        assert words in card
    for words in ("## Limits", "## The gate", "mean \\|SHAP\\|", "n_orders | behaviour | orders |"):
        assert words in card
    run_verb("models", "card", version, "--html", str(tmp_path / "card.html"), "--workspace", str(trained))
    assert "<h2>Limits</h2>" in (tmp_path / "card.html").read_text(encoding="utf-8")
    run_verb("models", "card", champions["segments"]["version"], "--workspace", str(trained))
    assert "## The segments" in capsys.readouterr().out


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


def test_a_version_that_is_not_there_is_refused_with_those_that_are(trained: Path) -> None:
    with pytest.raises(CallersMistake, match="there are 2026"):
        run_verb("models", "promote", "segments", "20990101-00000000", "--workspace", str(trained))


def test_a_misspelt_model_is_told_the_closest(trained: Path) -> None:
    with pytest.raises(CallersMistake, match="Closest: 'segments'"):
        run_verb("models", "rollback", "segmets", "--workspace", str(trained))


def test_an_exported_model_is_text_and_json(trained: Path, tmp_path: Path) -> None:
    run_verb("models", "export", "segments", str(tmp_path / "out"), "--workspace", str(trained))
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files >= {"model.json", "booster0.txt", "gate.json"}
    assert {path.rpartition(".")[2] for path in files} == {"json", "txt", "md", "html"}


def test_scores_hold_everybody_once_with_the_documented_columns(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scored = said(capsys, "score", "--export", str(tmp_path / "out.csv"), "--json", "--workspace", str(trained))
    table = pyarrow.parquet.read_table(scored["path"])
    documented = (Path(__file__).resolve().parents[2] / "docs" / "scores.md").read_text(encoding="utf-8")
    for name in table.column_names:
        of_any_horizon = re.sub(r"_[0-9]+d$", "_<h>d", name)
        assert f"`{name}`" in documented or f"`{of_any_horizon}`" in documented
    keys = table["customer_key"].to_pylist()
    assert len(keys) == len(set(keys)) == 400
    assert table["purchase_propensity_30d"].null_count == 0
    assert table["expected_orders_30d"].null_count == 400  # 150 days are too few to teach and judge them
    assert table["purchase_propensity_90d"].null_count == 400  # there is no such head: unknown is not zero
    assert set(table["segments_version"].to_pylist()) == {champions["segments"]["version"]}
    segments = json.loads((Path(scored["path"]).parent / "segments.json").read_text(encoding="utf-8"))
    assert sum(segment["n_customers"] for segment in segments) == 400
    assert set(segments[0]["names"]) == {"en", "hi", "th"}
    exported = pyarrow.csv.read_csv(tmp_path / "out.csv")
    assert exported.num_rows == scored["n_exported"] == 400
    assert "customer_key" not in exported.column_names


def test_a_look_at_fresh_models_finds_them_steady_and_is_kept_for_reports(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    looked = said(capsys, "drift", "--json", "--workspace", str(trained))
    assert {one["model"]: one["version"] for one in looked["models"]} == {
        name: champion["version"] for name, champion in champions.items()
    }
    for one in looked["models"]:
        assert (one["status"], one["reasons"], one["days"]) == ("steady", [], 0.0)
        assert (one["n_then"], one["n_now"]) == (400, 400)
        assert max(abs(move["psi"]) for move in one["moves"]) == 0.0
        assert {move["kind"] for move in one["moves"]} == {"feature", "score"}
    segments, next_purchase = looked["models"]
    assert [one["what"] for one in segments["outcomes"]] == ["the right segment"]
    assert next_purchase["outcomes"] == []  # nothing that it said can have come yet
    written = trained / "lake" / "drift" / "day=2026-10-01" / "drift.json"
    assert json.loads(written.read_text(encoding="utf-8")) == looked
    run_verb("drift", "--workspace", str(trained))
    assert "No window of what it said has closed yet." in capsys.readouterr().out


def test_a_look_as_of_a_day_before_the_training_says_when_that_was(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_verb("drift", "--as-of", "2026-09-30", "--workspace", str(trained))
    shown = " ".join(capsys.readouterr().out.split())
    assert "It was trained as of 2026-10-01: nothing is said of it as of 2026-09-30. Leave --as-of out" in shown
    assert "days old" not in shown


def test_a_look_at_what_is_not_there_is_refused_without_a_word_of_training(trained: Path, tmp_path: Path) -> None:
    run_verb("init", str(tmp_path / "new"))
    with pytest.raises(CallersMistake, match=r"^Asked what is known of customers, .*'rapport import' first\.$"):
        run_verb("drift", "--workspace", str(tmp_path / "new"))
    with pytest.raises(CallersMistake, match=r"^Asked for an as_of of 2001-01-01, but events begin on "):
        run_verb("drift", "--as-of", "2001-01-01", "--workspace", str(trained))


def test_a_run_looks_at_the_models_too(trained: Path, tmp_path: Path) -> None:
    from training.routine.state import Outcome, Run
    from training.routine.steps import STEPS, Asked

    run = Run("r", datetime(2026, 10, 1, tzinfo=UTC))
    run.keep(Outcome("build", "done", "", 0.0, {"known_until": "2026-10-01T00:00:00+00:00"}))
    came = STEPS["drift"](Asked(Workspace(trained), report=tmp_path), run)
    assert (came.told, came.is_skipped) == ("segments: steady; next_purchase: steady", False)
    assert came.result["models"] == {"segments": "steady", "next_purchase": "steady"}


def test_a_broken_feed_is_named_and_what_the_model_leans_on_is_a_reason(trained: Path) -> None:
    """The customers of today as if no orders had come in for a year: recency, counts and money are gone."""
    from training.artifact import load_champion, read_beside
    from training.drift.moves import moves_of
    from training.drift.reference import FILE, Reference
    from training.drift.report import reasons_of
    from training.drift.said import saying_of

    source = WorkspaceSource(Workspace(trained))
    model = load_champion(trained / "artifacts", "next_purchase", source.schema)
    assert isinstance(model, NextPurchaseModel)
    content = read_beside(trained / "artifacts", model.description, FILE)
    assert content is not None
    X = source.snapshot(source.known_until).X.copy()
    place = source.inputs.index("days_since_last_order")
    assert not np.isnan(X[:, place]).all()
    X[:, place] = np.nan
    moves = moves_of(Reference.from_bytes(content), X, inputs=source.inputs, saying=saying_of(model), days=1.0)
    assert [one.name for one in moves if one.kind == "feature" and one.has_moved] == ["days_since_last_order"]
    assert "feature_gone" in {reason.code for reason in reasons_of(moves, [])}


def test_a_look_where_nothing_is_served_says_so(simulated: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_verb("drift", "--workspace", str(simulated))
    assert "No model is served yet" in capsys.readouterr().out


def test_an_export_of_another_kind_is_refused_before_anything_is_scored(trained: Path) -> None:
    with pytest.raises(CallersMistake, match=r"Name it \.csv or \.parquet"):
        run_verb("score", "--export", "scores.xlsx", "--workspace", str(trained))


def test_scores_without_any_model_are_refused(simulated: Path) -> None:
    with pytest.raises(CallersMistake, match="no champion of any model"):
        run_verb("score", "--workspace", str(simulated))


def test_training_an_empty_lake_is_refused(tmp_path: Path) -> None:
    run_verb("init", str(tmp_path / "new"))
    with pytest.raises(CallersMistake, match="holds no events"):
        run_verb("train", "--workspace", str(tmp_path / "new"))


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


def test_segments_are_judged_on_what_came_later_beside_what_anybody_would_say(
    simulated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, "evaluate", "segments", "--onward-days", "30", "--json", "--workspace", str(simulated))
    assert (found["task"], found["onward_days"]) == ("segments", 30)
    assert {one["k"] for one in found["candidates"]} >= {found["k"]}
    rows = {(row["truth"], row["audience"]): row for row in found["judged"]}
    everybody = {one["name"]: one["metrics"] for one in rows["same_groups", "everybody"]["models"]}
    assert set(everybody) == {"onward", "assigner", "as others moved", "prior", "majority"}
    assert everybody["onward"]["log_loss"] < everybody["prior"]["log_loss"]
    assert everybody["onward"]["accuracy"] > everybody["majority"]["accuracy"]
    parts = [rows["same_groups", part]["n"] for part in ("full", "behaviour_only", "declared_only")]
    assert sum(parts) <= rows["same_groups", "everybody"]["n"]
    assert {(one["by"], one["outcome"]) for one in found["matters"]["next_purchase_and_value"]} == {
        (by, outcome) for by in ("segment", "stage", "rfm") for outcome in ("ordered", "spend")
    }


def test_a_day_that_cannot_be_judged_yet_is_refused_with_the_latest_that_can(simulated: Path) -> None:
    with pytest.raises(CallersMistake, match=r"Use a --cutoff of 2026-09-01 or earlier"):
        run_verb("evaluate", "segments", "--cutoff", "2026-09-20", "--onward-days", "30", "--workspace", str(simulated))


def test_a_segments_name_is_the_brands_from_then_on(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained / "artifacts" / "segments" / champions["segments"]["version"]
    before, other = json.loads((folder / "model.json").read_text(encoding="utf-8"))["segments"][:2]
    try:
        _segments_verb("rename", before["id"], "Our own", "--locale", "th", "--workspace", str(trained))
        with pytest.raises(CallersMistake, match="another segment is called that"):
            _segments_verb("rename", other["id"], "Our own", "--locale", "th", "--workspace", str(trained))
        with pytest.raises(CallersMistake, match="Closest: 'en"):
            _segments_verb("rename", before["id"], "Our own", "--locale", "enn", "--workspace", str(trained))
        scored = said(capsys, "score", "--json", "--workspace", str(trained))
        texts = json.loads((Path(scored["path"]).parent / "segments.json").read_text(encoding="utf-8"))
    finally:
        (trained / "segments.yaml").unlink(missing_ok=True)
    named = {text["id"]: text["names"] for text in texts}
    assert named[before["id"]]["th"] == "Our own"
    assert named[before["id"]]["en"] == before["names"]["en"]


def _segments_verb(*words: str) -> None:
    from typer.main import get_command

    from training.segments_cli import segments

    get_command(segments).main(list(words), standalone_mode=False)
