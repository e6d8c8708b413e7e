"""The benchmark of training imports the world that it says, and watches functions that there are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.training.job import STEPS
from experiments.benchmarks.training.steps import Steps
from experiments.benchmarks.training.world import END, new_workspace, write_export
from features.brand import load_brand
from features.importing.mapping_file import load_mapping
from features.importing.report import ImportReport
from features.importing.run import Import, run_import
from features.workspace import Workspace
from training.dataset import WorkspaceSource


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ImportReport]:
    folder = tmp_path_factory.mktemp("retailer")
    write_export(folder / "export", n_events=2_000, n_customers=100)
    workspace = new_workspace(folder / "shop", horizons_days=(30,))
    brand = load_brand(workspace)
    mapped = load_mapping(folder / "export" / "mapping.yaml", brand)
    return workspace, run_import(Import(workspace, brand, mapped, (str(folder / "export" / "events"),)))


def test_the_benchmarks_retailer_is_imported_whole_with_every_customer(
    imported: tuple[Workspace, ImportReport],
) -> None:
    workspace, report = imported

    assert (report.n_new, report.n_customers, report.quarantined) == (2_000, 100, {})
    assert report.events["Order Completed"] > 50
    assert load_brand(workspace).horizons_days == (30,)


def test_a_model_is_given_the_same_inputs_alone_as_beside_what_was_declared(
    imported: tuple[Workspace, ImportReport],
) -> None:
    source = WorkspaceSource(imported[0])

    alone, frame = source.snapshot(END), source.frame(END)

    np.testing.assert_array_equal(alone.customer_keys, frame["customer_key"])
    np.testing.assert_array_equal(alone.X, frame[list(source.inputs)].to_numpy(np.float32, na_value=np.nan))


def test_snapshots_that_do_not_fit_into_memory_together_are_read_again_and_are_the_same(
    imported: tuple[Workspace, ImportReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = WorkspaceSource(imported[0])
    monkeypatch.setattr("training.dataset.MOST_BYTES", source.snapshot(END).X.nbytes)
    first = source.snapshot(END)
    source.snapshot(END - timedelta(days=7))

    again = source.snapshot(END)

    assert again is not first
    np.testing.assert_array_equal(again.X, first.X)


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
