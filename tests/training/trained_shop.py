"""What the tests of the verbs share: the shop that was trained once, read as each verb's reader does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from features.command_line import run_verb
from training.artifact import verify, write_artifact
from training.calibration import Calibration

VENDORS_WARN = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    run_verb(*words)
    return json.loads(capsys.readouterr().out)


def a_twin(trained: Path, version: str, *, shifted: float) -> str:
    """The champion as if it had been made in August, its log-odds moved: so there are windows that it did not know."""
    artifacts = trained / "artifacts"
    description, boosters = verify(artifacts, "next_purchase", version)
    heads = [
        head | {"calibration": Calibration.from_dict(head["calibration"]).shifted(shifted).as_dict()}
        for head in description["heads"]
    ]
    made = {name: value for name, value in description.items() if name not in ("version", "files")}
    return write_artifact(artifacts, made | {"as_of": "2026-08-20T00:00:00+00:00", "heads": heads}, boosters)
