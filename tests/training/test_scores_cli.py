"""The verbs `score` and `segments` on the brand that was trained, and what segments are worth."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet
import pytest

from features.command_line import run_verb
from features.faults import CallersMistake
from tests.conftest import REPOSITORY
from tests.training.trained_shop import VENDORS_WARN, said

pytestmark = VENDORS_WARN


def test_scores_hold_everybody_once_with_the_documented_columns(
    trained: Path, champions: dict[str, Any], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scored = said(capsys, "score", "--export", str(tmp_path / "out.csv"), "--json", "--workspace", str(trained))
    table = pyarrow.parquet.read_table(scored["path"])
    documented = (REPOSITORY / "docs" / "scores.md").read_text(encoding="utf-8")
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


def test_an_export_of_another_kind_is_refused_before_anything_is_scored(trained: Path) -> None:
    with pytest.raises(CallersMistake, match=r"Name it \.csv or \.parquet"):
        run_verb("score", "--export", "scores.xlsx", "--workspace", str(trained))


def test_scores_without_any_model_are_refused(simulated: Path) -> None:
    with pytest.raises(CallersMistake, match="no champion of any model"):
        run_verb("score", "--workspace", str(simulated))


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
