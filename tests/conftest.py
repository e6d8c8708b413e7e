"""What every test may use: the real data's folder, a browser, and one way to say why a test cannot run here."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parents[1]

# BentoML, Feast and NumPy read these when they are imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    _metrics = tempfile.mkdtemp(prefix="rapport-metrics-")
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics
    # The library of metrics closes its files in a handler of its own, which is registered later and so runs before.
    atexit.register(shutil.rmtree, _metrics, ignore_errors=True)

settings.register_profile(
    "rapport", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], max_examples=25
)
settings.load_profile("rapport")


def _missing(reason: str) -> None:
    """Skips with the reason; in CI, where everything has to be there, fails."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"The real data is not on this machine: {folder} is missing.")
    return folder


def _program(name: str, *, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        _missing(f"No {name} on this machine: 'apt-get install {package}' brings it.")
    return str(path)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a real browser."""
    return _program("chromium", package="chromium")


@pytest.fixture(scope="session")
def curl() -> str:
    """The path of curl."""
    return _program("curl", package="curl")


@pytest.fixture(scope="session")
def node() -> str:
    """The path of Node.js."""
    return _program("node", package="nodejs")
