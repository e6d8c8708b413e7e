"""Rules about the tree itself that no linter of ours knows."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ROOMS = ("features", "training", "experiments", "serving")
SOURCES = sorted(path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py"))


@cache  # each of them is asked of once a vendor
def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def test_nothing_at_the_top_level_but_the_fixed_points() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {name.split("/")[0] for name in tracked if "/" in name}
    assert folders == {*ROOMS, "tests", "docs", ".ci"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_module_loads_code_from_bytes(path: Path) -> None:
    assert not _imported(path) & {"pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve"}


def test_vendors_live_in_their_rooms() -> None:
    homes = {
        "feast": ("features/",),
        "mlflow": ("training/registry.py",),
        "bentoml": ("serving/",),
    }
    strays = [
        f"{path.relative_to(REPOSITORY)} imports {vendor}"
        for path in SOURCES
        if "benchmarks" not in path.parts
        for vendor, allowed in homes.items()
        if any(name.split(".")[0] == vendor for name in _imported(path))
        and not str(path.relative_to(REPOSITORY)).startswith(allowed)
    ]
    assert strays == []


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, json\n"
        "from features.command_line import app\n"
        "sys.argv = ['rapport', '--help']\n"
        "try:\n    app(prog_name='rapport')\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(run.stderr.splitlines()[-1])}
    heavy = {"pandas", "numpy", "feast", "mlflow", "bentoml", "lightgbm", "sklearn", "duckdb", "pyarrow", "altair"}
    assert loaded & heavy == set()
    assert "simulate" in run.stdout


def test_the_process_above_the_workers_imports_nothing_that_only_they_need() -> None:
    loaded = _modules_after("import serving.service")
    assert loaded & {"pandas", "numpy", "feast", "lightgbm", "sklearn", "duckdb", "pyarrow", "cel", "fastapi"} == set()
    assert "bentoml" in loaded


def test_cel_comes_without_its_interactive_shell() -> None:
    loaded = _modules_after("from features.expressions import cel; assert cel.compile('1 + 1').execute() == 2")
    assert loaded & {"prompt_toolkit", "pygments", "rich"} == set()
    assert "cel" in loaded


def test_verbs_that_read_no_tables_of_the_lake_come_without_pandas(tmp_path: Path) -> None:
    verbs = (
        ("init", f"{tmp_path}/shop"),
        ("check", "--workspace", f"{tmp_path}/shop"),
        ("catalogue", "preview", "--workspace", f"{tmp_path}/shop", "--out", f"{tmp_path}/preview.html"),
        ("dead-letters", "list", "--workspace", f"{tmp_path}/shop"),
    )
    ran = "".join(f"; run_verb(*{words!r})" for words in verbs)
    loaded = _modules_after(f"from features.command_line import run_verb{ran}")
    assert loaded & {"pandas", "feast", "mlflow", "lightgbm", "sklearn", "scipy", "bentoml"} == set()
    assert "duckdb" in loaded


def _modules_after(code: str) -> set[str]:
    """The top-level packages that a process of its own has loaded."""
    told = "; import json, sys; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code + told], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(run.stdout.splitlines()[-1])}


def test_no_registry_host_is_committed() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    host = re.compile(r"https?://[^ )\"]*(pypi|npmjs|debian\.org|/simple)")
    named = [
        name
        for name in tracked
        if name != "tests/architecture/test_the_tree.py"
        and host.search((REPOSITORY / name).read_text(encoding="utf-8", errors="ignore"))
    ]
    assert named == []


def test_constraints_pin_everything_that_is_declared() -> None:
    pins = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    declared = re.findall(
        r'^    "([A-Za-z0-9-]+)',
        (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8").split("[project.scripts]")[0],
        re.M,
    )
    assert {name.lower() for name in declared} - pins == set()
