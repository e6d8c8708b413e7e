"""The benchmark of training imports the world that it says, and watches functions that there are."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.training.job import STEPS
from experiments.benchmarks.training.measure import disk_bytes, disk_watched
from experiments.benchmarks.training.steps import Steps
from experiments.benchmarks.training.world import END, new_workspace, write_export
from features.brand import load_brand
from features.importing.mapping_file import load_mapping
from features.importing.report import ImportReport
from features.importing.run import Import, run_import
from features.schema import feature_schema
from features.snapshot_origin import stored_drawn, stored_snapshots
from features.workspace import Workspace
from training.artifact import read_description
from training.dataset import WorkspaceSource
from training.drift.watching import watch
from training.groups import stages_of
from training.learning import train_models
from training.promotion import promote
from training.some_customers import lines_of, who_taught


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ImportReport]:
    folder = tmp_path_factory.mktemp("retailer")
    return _imported(folder, n_customers=100, n_events=2_000)


def _imported(folder: Path, *, n_customers: int, n_events: int) -> tuple[Workspace, ImportReport]:
    write_export(folder / "export", n_events=n_events, n_customers=n_customers)
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


def test_what_lay_on_the_disk_only_for_a_while_is_counted(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept", tmp_path / "staging" / "gone"
    gone.parent.mkdir()
    kept.write_bytes(b"." * 100)
    with disk_watched(tmp_path, every_seconds=0.001) as most:
        assert most() == 100
        gone.write_bytes(b"." * 50)
        while most() < 150:
            time.sleep(0.001)
        gone.unlink()
    assert (disk_bytes(tmp_path), most()) == (100, 150)


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


def test_of_more_customers_than_asked_for_so_many_are_drawn_and_everything_of_them_is_in_one_order(
    imported: tuple[Workspace, ImportReport],
) -> None:
    everybody = WorkspaceSource(imported[0])

    some = everybody.at_most(50)

    drawn, whole, frame = some.snapshot(END), everybody.snapshot(END), some.frame(END)
    of_whole = np.isin(whole.customer_keys, drawn.customer_keys)
    assert 40 <= len(drawn.customer_keys) == of_whole.sum() <= 60
    np.testing.assert_array_equal(drawn.X, whole.X[of_whole])
    np.testing.assert_array_equal(frame["customer_key"], drawn.customer_keys)
    np.testing.assert_array_equal(stages_of(some, END), frame["stage"])
    np.testing.assert_array_equal(stages_of(some, END), stages_of(everybody, END)[of_whole])
    assert (some.n_customers, everybody.n_customers) == (100, 100)
    np.testing.assert_array_equal(some.orders_at_us, everybody.orders_at_us)


def test_a_shop_of_no_more_customers_than_asked_for_is_learned_from_as_it_is(
    imported: tuple[Workspace, ImportReport],
) -> None:
    everybody = WorkspaceSource(imported[0])
    assert everybody.at_most(100) is everybody
    assert who_taught(everybody) == {}


def test_what_was_learned_of_some_customers_says_of_how_many_of_how_many(
    imported: tuple[Workspace, ImportReport],
) -> None:
    source = WorkspaceSource(imported[0]).at_most(50)
    n = len(source.snapshot(END).customer_keys)

    told = who_taught(source)

    assert told == {"customers": {"drawn": n, "of": 100}}
    assert lines_of(told) == (f"{n} of 100 customers, drawn by their key, taught and judged it (training.customers).",)


def test_brand_yaml_says_how_many_customers_teach_and_no_snapshot_of_others_is_made_nor_for_a_look_at_drift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, _ = _imported(tmp_path, n_customers=400, n_events=8_000)
    with workspace.brand_file.open("a", encoding="utf-8") as brand:
        brand.write("training: {customers: 200}\n")

    (done,) = train_models(workspace, models=("segments",), as_of=None)

    assert done.version is not None, done.refused
    told = read_description(workspace.artifacts, "segments", done.version)["customers"]
    assert told["of"] == 400
    assert 150 < told["drawn"] < 250
    said = f"{told['drawn']} of 400 customers"
    assert any(said in note for note in done.notes)
    assert said in (workspace.artifacts / "segments" / done.version / "card.md").read_text("utf-8")
    assert len(list(stored_drawn(workspace))) >= 5
    promote(workspace.artifacts, "segments", done.version, schema=feature_schema(load_brand(workspace), workspace))
    monkeypatch.setattr("training.drift.watching.MOST_CUSTOMERS", 100)
    (looked,) = watch(workspace).models
    assert 50 < looked.n_now < 150
    assert not list(stored_snapshots(workspace))


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
