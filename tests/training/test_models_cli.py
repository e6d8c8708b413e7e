"""The verb `models` on the brand that was trained: listed, compared, described, exported."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.command_line import run_verb
from features.faults import CallersMistake
from features.workspace import Workspace
from tests.training.trained_shop import VENDORS_WARN, a_twin, said
from training.artifact import NextPurchaseModel, verify
from training.dataset import WorkspaceSource
from training.next_purchase import Judged

pytestmark = VENDORS_WARN


def test_the_list_names_the_champions_and_what_they_were_judged_by(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = said(capsys, "models", "list", "--json", "--workspace", str(trained))
    assert {row["model"]: row["version"] for row in rows if row["champion"]} == {
        name: champion["version"] for name, champion in champions.items()
    }
    assert all(row["gate"] for row in rows)


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
