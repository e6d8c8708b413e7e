"""What goes on beside the rest ends as if it had been done in its place."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from features.workspace import Workspace
from training.beside import begun
from training.registry import Registry


def test_what_is_begun_goes_on_elsewhere_and_is_waited_for() -> None:
    may_end = threading.Event()

    def work() -> str:
        may_end.wait(60)
        return threading.current_thread().name

    result = begun(work)
    may_end.set()

    assert result() != threading.current_thread().name


def test_the_fault_of_what_was_begun_is_raised_where_it_is_waited_for() -> None:
    result = begun(lambda: int("seven"))

    with pytest.raises(ValueError, match="seven"):
        result()


def test_numpy_treats_faults_there_as_where_it_was_begun() -> None:
    with np.errstate(divide="raise"):
        result = begun(lambda: np.geterr()["divide"])

    assert result() == "raise"


def test_a_registry_opened_meanwhile_keeps_the_run_and_is_told_of_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (workspace.artifacts / "next_purchase" / "v1").mkdir(parents=True)

    with Registry(workspace) as registry:
        registry.open_meanwhile()
        registry.open_meanwhile()
        run = registry.record("next_purchase", "v1", parameters={"seed": 0}, metrics={}, figures={}, tags={})
        kept = registry.client.get_run(run).data.params

    assert kept == {"seed": "0"}


def test_a_registry_that_cannot_be_opened_says_so_to_who_records_not_to_who_does_not(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.state.parent.mkdir(parents=True, exist_ok=True)
    workspace.state.write_text("a file where the folder should be", "utf-8")

    with Registry(workspace) as registry:
        registry.open_meanwhile()
    with Registry(workspace) as registry:
        registry.open_meanwhile()
        with pytest.raises(FileExistsError):
            registry.record("next_purchase", "v1", parameters={}, metrics={}, figures={}, tags={})
