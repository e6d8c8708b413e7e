"""What is dear to make and read by many tests: made by whichever process of the run asks first, copied by all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from features.locks import queued


def made_once(name: str, make: Callable[[Path], object], *, places: pytest.TempPathFactory) -> Path:
    """The folder that `make` filled, once a run of the suite. It is read only: `a_copy` is one's own.

    Args:
        name: of the folder, the same in every process.
        make: is given the folder, which is empty or not there. What it leaves when it fails is made anew.
        places: pytest's, of any of the run's processes.
    """
    base = places.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, whole = shared / f"once-{name}", shared / f"once-{name}.whole"
    with queued(shared / f"once-{name}.lock"):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            whole.touch()
    return folder


def a_copy(of: Path, *, places: pytest.TempPathFactory) -> Path:
    """A copy of a folder, for a test to change."""
    return Path(shutil.copytree(of, places.mktemp(of.name) / of.name))
