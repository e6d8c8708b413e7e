"""MLflow is opened by what is recorded, not by what is refused."""

from __future__ import annotations

from pathlib import Path

from features.workspace import Workspace
from training.registry import Registry


def test_a_registry_of_which_nothing_is_asked_opens_no_database(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    with Registry(workspace):
        pass

    assert not (workspace.state / "mlflow.db").exists()
