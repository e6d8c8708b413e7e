"""MLflow is opened by what is recorded, not by what is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from features.workspace import Workspace
from training.registry import Registry


def test_a_registry_of_which_nothing_is_asked_opens_no_database(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    with Registry(workspace):
        pass

    assert not (workspace.state / "mlflow.db").exists()


FITS_MEANWHILE = """
import sys, time
from pathlib import Path
from sklearn.linear_model import LinearRegression
from features.workspace import Workspace
from training.registry import Registry

with Registry(Workspace(Path(sys.argv[1]))) as registry:
    registry.open_meanwhile()
    while not hasattr(sys.modules.get("mlflow"), "MlflowClient"):
        LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
        time.sleep(0.001)
"""


def test_scikit_learn_fits_while_mlflow_is_being_imported(tmp_path: Path) -> None:
    pytest.importorskip("polars")  # MLflow imports it, and scikit-learn looks it up, where it is installed
    (tmp_path / "state").mkdir()
    done = subprocess.run([sys.executable, "-c", FITS_MEANWHILE, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-800:]
