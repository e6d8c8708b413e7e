from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.faults import CallersMistake
from training.artifact import SEGMENTS, read_champions, write_artifact
from training.promotion import Check, Gate, better_by_margin, not_yet, promote, record_gate, rollback, versions

PASSED = (Check("is it better?", True, "yes"),)
FAILED = (Check("is it better?", False, "no"),)


def a_version(artifacts: Path, day: str, *, checks: tuple[Check, ...] = PASSED, champion: str | None = None) -> str:
    version = write_artifact(artifacts, {"name": SEGMENTS, "as_of": day}, ["tree"])
    record_gate(artifacts, SEGMENTS, version, Gate(checks, champion))
    return version


def the_champion(artifacts: Path) -> str:
    return read_champions(artifacts)[SEGMENTS]["version"]


def test_a_loss_below_the_other_by_the_margin_passes_and_by_less_does_not() -> None:
    assert better_by_margin("?", loss=0.50, other=0.51, margin=0.005).passed
    assert not better_by_margin("?", loss=0.50, other=0.504, margin=0.005).passed
    assert not better_by_margin("?", loss=0.51, other=0.50, margin=0.005).passed


def test_a_gate_without_a_check_passes_nothing() -> None:
    assert not Gate((), None).passed


def test_no_window_says_when_there_will_be_one() -> None:
    check = not_yet("?", free_on=datetime(2024, 7, 1, tzinfo=UTC))
    assert not check.passed
    assert "2024-07-01" in check.answer


def test_what_passed_its_gate_is_promoted(tmp_path: Path) -> None:
    version = a_version(tmp_path, "2024-01-01")
    assert promote(tmp_path, SEGMENTS, version)
    assert the_champion(tmp_path) == version
    assert not promote(tmp_path, SEGMENTS, version)


def test_what_did_not_pass_is_refused_and_the_champion_stays(tmp_path: Path) -> None:
    first = a_version(tmp_path, "2024-01-01")
    promote(tmp_path, SEGMENTS, first)
    worse = a_version(tmp_path, "2024-02-01", checks=FAILED, champion=first)
    with pytest.raises(CallersMistake, match=r"did not pass.*--force"):
        promote(tmp_path, SEGMENTS, worse)
    assert the_champion(tmp_path) == first


def test_force_promotes_and_the_log_says_so(tmp_path: Path) -> None:
    worse = a_version(tmp_path, "2024-02-01", checks=FAILED)
    promote(tmp_path, SEGMENTS, worse, force=True)
    line = json.loads((tmp_path / "promotions.jsonl").read_text().splitlines()[-1])
    assert (line["version"], line["forced"]) == (worse, True)


def test_a_gate_beside_another_champion_than_todays_does_not_count(tmp_path: Path) -> None:
    first = a_version(tmp_path, "2024-01-01")
    stale = a_version(tmp_path, "2024-02-01", champion=None)
    promote(tmp_path, SEGMENTS, first)
    with pytest.raises(CallersMistake, match="judged beside no champion"):
        promote(tmp_path, SEGMENTS, stale)


def test_rolling_back_twice_goes_further_back(tmp_path: Path) -> None:
    chain: list[str] = []
    for day in ("2024-01-01", "2024-02-01", "2024-03-01"):
        chain.append(a_version(tmp_path, day, champion=chain[-1] if chain else None))
        promote(tmp_path, SEGMENTS, chain[-1])
    assert rollback(tmp_path, SEGMENTS) == chain[1]
    assert rollback(tmp_path, SEGMENTS) == chain[0]
    assert the_champion(tmp_path) == chain[0]
    with pytest.raises(CallersMistake, match="no champion came before"):
        rollback(tmp_path, SEGMENTS)


def test_versions_are_listed_by_day(tmp_path: Path) -> None:
    late, early = a_version(tmp_path, "2024-03-01"), a_version(tmp_path, "2024-01-01")
    assert versions(tmp_path, SEGMENTS) == [early, late]
