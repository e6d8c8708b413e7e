from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = ("experiments/simulator/", "experiments/cli.py", "serving/demo")
IMPORT = re.compile(
    r"^\s*(from|import)\s+experiments\.simulator|^\s*from\s+experiments\s+import\s+.*\bsimulator\b", re.M
)
TRUTH = re.compile(r"world\.npz|TRUTH_FOLDER")


def test_only_the_demo_and_the_tests_know_the_simulated_truth() -> None:
    offenders = []
    for room in ("features", "training", "experiments", "serving"):
        for path in (ROOT / room).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            text = path.read_text(encoding="utf-8")
            if not name.startswith((*ALLOWED, "experiments/benchmarks/")) and (
                IMPORT.search(text) or TRUTH.search(text)
            ):
                offenders.append(name)
    assert offenders == []


def test_the_verbs_take_only_the_verb_from_the_simulator() -> None:
    text = (ROOT / "experiments" / "cli.py").read_text(encoding="utf-8")
    assert set(re.findall(r"from (experiments\.simulator\S*) import", text)) == {"experiments.simulator.cli"}
