"""What every test may use: the real data's folder, a browser, and one way to say why a test cannot run here."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

REPOSITORY = Path(__file__).resolve().parents[1]

# What Python compiled is kept, also where images for builds forbid it: else each process that tests start compiles all
# that it imports, and each process of pytest rewrites every assertion anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Nothing that collecting the tests makes is garbage; to look for some takes a fifth of its time.
gc.disable()

# BentoML, Feast, NumPy and LightGBM read these when they are imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `rapport` itself says; threads that spin take the others' core
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def _folder_of_this_run(places: Path) -> Path:
    """A folder that is gone at the end of the run; what a run left that was killed itself goes when the next begins."""
    for left in places.glob(f"{_PREFIX}*"):
        if not _lives(int(left.name.removeprefix(_PREFIX))):
            shutil.rmtree(left, ignore_errors=True)
    folder = places / f"{_PREFIX}{os.getpid()}"
    folder.mkdir(exist_ok=True)
    # The library of metrics closes its files in a handler of its own, which is registered later and so runs before.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _memory() -> Path | None:
    """A file system in memory with room for all workspaces of a run; None where there is none.

    On a disk a third of what tests take is waiting for it: a few thousand commits and files, each there before it is
    said to be. A process that is killed loses nothing in memory either. What is left of failed tests goes with the
    rest: PYTEST_DEBUG_TEMPROOT=/tmp keeps it, as pytest does.
    """
    memory, meminfo = Path("/dev/shm"), Path("/proc/meminfo")
    if not os.access(memory, os.W_OK) or not meminfo.is_file() or shutil.disk_usage(memory).free < _ROOM:
        return None
    (available,) = (line.split()[1] for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    return memory if int(available) * 1_024 > 3 * _ROOM else None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError as fault:
        return isinstance(fault, PermissionError)  # another user's
    return True


_PREFIX = "rapport-tests-"
_ROOM = 2 * 1_024**3  # bytes: several times what a whole run leaves
if not Path(os.environ.get("TMPDIR", "")).name.startswith(_PREFIX):  # else xdist started us, from a process that did
    # Asked before TMPDIR changes, which is for what the processes that tests start leave, above all the killed ones.
    _folder, _in_memory = _folder_of_this_run(Path(tempfile.gettempdir())), _memory()
    if _in_memory is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_folder_of_this_run(_in_memory)))
    (_folder / "metrics").mkdir(exist_ok=True)
    os.environ["TMPDIR"] = str(_folder)
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(_folder / "metrics"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """From then on garbage is looked for, and only among what tests make: not among all that was imported."""
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


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
