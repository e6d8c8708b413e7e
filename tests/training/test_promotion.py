from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import pytest

from features.faults import CallersMistake
from training import promotion
from training.artifact import (
    NEXT_PURCHASE,
    SEGMENTS,
    ArtifactDamaged,
    ArtifactMismatch,
    read_champions,
    write_artifact,
)
from training.calibration import Calibration
from training.gating import Check, Gate, better_by_margin, not_yet
from training.promotion import record_gate, versions

PASSED = (Check("is it better?", True, "yes"),)
FAILED = (Check("is it better?", False, "no"),)
ONE_TO_ONE = Calibration("platt", (0.0, 1.0), (0.0, 1.0), extend=True).as_dict()


SERVED: Any = SimpleNamespace(model_inputs=("n_orders",), categories={}, version="now")
promote, rollback = partial(promotion.promote, schema=SERVED), partial(promotion.rollback, schema=SERVED)


@cache
def a_booster() -> str:
    parameters = {"objective": "multiclass", "num_class": 2, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 1}
    data = lightgbm.Dataset(np.array([[0.0], [1.0]] * 10), np.array([0, 1] * 10))
    return str(lightgbm.train(parameters, data, num_boost_round=1).model_to_string())


def a_version(
    artifacts: Path,
    day: str,
    *,
    checks: tuple[Check, ...] = PASSED,
    champion: str | None = None,
    needs: str = "n_orders",
    name: str = SEGMENTS,
) -> str:
    segments: list[dict[str, object]] = [{"id": one, "names": {}, "descriptions": {}} for one in ("s1", "s2")]
    description = {
        "name": name, "as_of": day, "inputs": [needs], "categories": {}, "schema_version": "then",
        "temperature": 1.0, "segments": segments, "heads": [{"horizon_days": 30, "calibration": ONE_TO_ONE}],
    }  # fmt: skip
    version = write_artifact(artifacts, description, [a_booster()])
    record_gate(artifacts, name, version, Gate(checks, champion))
    return version


def the_champion(artifacts: Path) -> str:
    return read_champions(artifacts)[SEGMENTS]["version"]


def test_a_loss_below_the_other_by_the_margin_passes_and_by_less_does_not() -> None:
    assert better_by_margin("?", loss=0.50, other=0.51, margin=0.005).passed
    assert not better_by_margin("?", loss=0.50, other=0.504, margin=0.005).passed
    assert not better_by_margin("?", loss=0.51, other=0.50, margin=0.005).passed


def test_where_few_order_a_fiftieth_of_the_loss_is_margin_enough() -> None:
    rare = 0.0098  # what saying 0.1% of everybody loses: two thousandths would be a fifth of it
    assert better_by_margin("?", loss=rare * 0.97, other=rare).passed
    assert not better_by_margin("?", loss=rare * 0.99, other=rare).passed
    assert not better_by_margin("?", loss=0.4985, other=0.5).passed


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


def test_a_version_with_a_damaged_booster_is_not_promoted_by_force_either(tmp_path: Path) -> None:
    first, damaged = a_version(tmp_path, "2024-01-01"), a_version(tmp_path, "2024-02-01")
    promote(tmp_path, SEGMENTS, first)
    (tmp_path / SEGMENTS / damaged / "booster0.txt").write_text("another tree")
    log = (tmp_path / "promotions.jsonl").read_text()
    with pytest.raises(ArtifactDamaged, match=r"booster0\.txt"):
        promote(tmp_path, SEGMENTS, damaged, force=True)
    assert the_champion(tmp_path) == first
    assert (tmp_path / "promotions.jsonl").read_text() == log


def test_a_version_that_does_not_fit_the_features_of_today_is_not_promoted(tmp_path: Path) -> None:
    version = a_version(tmp_path, "2024-01-01", needs="n_order")
    with pytest.raises(ArtifactMismatch, match="Closest: 'n_orders'"):
        promote(tmp_path, SEGMENTS, version)
    assert read_champions(tmp_path) == {}


def test_rolling_back_to_a_damaged_version_is_refused(tmp_path: Path) -> None:
    first = a_version(tmp_path, "2024-01-01")
    second = a_version(tmp_path, "2024-02-01", champion=first)
    promote(tmp_path, SEGMENTS, first)
    promote(tmp_path, SEGMENTS, second)
    (tmp_path / SEGMENTS / first / "booster0.txt").unlink()
    with pytest.raises(ArtifactDamaged):
        rollback(tmp_path, SEGMENTS)
    assert the_champion(tmp_path) == second


def test_versions_are_listed_by_day(tmp_path: Path) -> None:
    late, early = a_version(tmp_path, "2024-03-01"), a_version(tmp_path, "2024-01-01")
    assert versions(tmp_path, SEGMENTS) == [early, late]


def test_of_champions_changed_at_once_each_follows_the_one_before(tmp_path: Path) -> None:
    two = [a_version(tmp_path, day) for day in ("2026-01-01", "2026-01-02")]
    together = Barrier(len(two), timeout=60.0)

    def take_turns(version: str) -> None:
        together.wait()
        for _ in range(30):
            promote(tmp_path, SEGMENTS, version, force=True)

    with ThreadPoolExecutor(len(two)) as pool:
        list(pool.map(take_turns, two))
    lines = [json.loads(line) for line in (tmp_path / "promotions.jsonl").read_text().splitlines()]
    assert [line["previous"] for line in lines] == [None, *(line["version"] for line in lines[:-1])]
    assert the_champion(tmp_path) == lines[-1]["version"]


def test_a_champion_promoted_while_another_model_is_loses_nothing(tmp_path: Path) -> None:
    names = [SEGMENTS, NEXT_PURCHASE]
    versions = {name: [a_version(tmp_path, day, name=name) for day in ("2026-01-01", "2026-01-02")] for name in names}
    together = Barrier(len(names), timeout=60.0)

    def take_turns(name: str) -> list[bool]:
        kept = []
        for turn in range(20):
            wanted = versions[name][turn % 2]
            together.wait()
            try:
                promote(tmp_path, name, wanted, force=True)
            finally:
                together.wait()
            kept.append(read_champions(tmp_path).get(name, {}).get("version") == wanted)
        return kept

    with ThreadPoolExecutor(len(names)) as pool:
        assert all(all(kept) for kept in pool.map(take_turns, names))


def test_before_the_first_training_there_is_nothing_to_roll_back_to(tmp_path: Path) -> None:
    with pytest.raises(CallersMistake, match="no champion came before the first one"):
        rollback(tmp_path / "artifacts", SEGMENTS)
