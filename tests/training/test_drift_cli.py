"""The verb `drift` on the brand that was trained."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.command_line import run_verb
from features.faults import CallersMistake
from features.workspace import Workspace
from tests.training.trained_shop import VENDORS_WARN, said
from training.artifact import NextPurchaseModel
from training.dataset import WorkspaceSource

pytestmark = VENDORS_WARN


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
