"""The benchmark of training imports the world that it says, and watches functions that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.benchmarks.training.job import STEPS
from experiments.benchmarks.training.steps import Steps
from experiments.benchmarks.training.world import new_workspace, write_export
from features.brand import load_brand
from features.importing.mapping_file import load_mapping
from features.importing.run import Import, run_import


def test_the_benchmarks_retailer_is_imported_whole_with_every_customer(tmp_path: Path) -> None:
    write_export(tmp_path / "export", n_events=2_000, n_customers=100)
    workspace = new_workspace(tmp_path / "shop", horizons_days=(30,))
    brand = load_brand(workspace)
    mapped = load_mapping(tmp_path / "export" / "mapping.yaml", brand)

    report = run_import(Import(workspace, brand, mapped, (str(tmp_path / "export" / "events"),)))

    assert (report.n_new, report.n_customers, report.quarantined) == (2_000, 100, {})
    assert report.events["Order Completed"] > 50
    assert brand.horizons_days == (30,)


def test_every_function_that_the_benchmark_watches_is_there() -> None:
    with Steps().watching(STEPS):
        pass


def test_watched_functions_are_themselves_again_afterwards() -> None:
    before = Path.exists
    with Steps().watching({"looked": ["pathlib:Path.exists"]}):
        assert Path.exists is not before
    assert Path.exists is before


def test_the_time_of_an_inner_step_is_not_the_outer_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 5.0, 7.0])  # the outer begins, the inner begins and ends, the outer ends
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    steps = Steps()

    with steps.step("outer"), steps.step("inner"):
        pass

    assert steps.seconds == {"outer": 1.0 + 2.0, "inner": 4.0}
