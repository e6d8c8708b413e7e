"""How steady segments are, how well they are foretold, and whether they matter, on every data set that there is.

    .venv/bin/python -m experiments.benchmarks.models.segments [--data online_retail] [--workspace DIR]

Online Retail has behaviour and nothing declared; Starbucks has declared profiles, and 30 days in all: "later" is 7 days
there; the simulated brand has both, and is the only one whose truth is known. Each is what `rapport evaluate segments`
prints, as of the latest day that can be judged: what is shown was found, taught and calibrated before it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from features.workspace import Workspace
from training.evaluating.segments import evaluate_segments
from training.evaluating.segments_cli import as_markdown


def _online_retail(folder: Path) -> Workspace:
    from experiments.benchmarks.models.online_retail import import_online_retail

    return import_online_retail(folder)


def _starbucks(folder: Path) -> Workspace:
    from experiments.benchmarks.models.starbucks import import_starbucks

    return import_starbucks(folder)


def _simulated(folder: Path) -> Workspace:
    """5,000 customers over a year and a half."""
    from features.command_line import run_verb

    export, shop = folder / "export", folder / "shop"
    words = ("--customers", "5000", "--days", "548", "--seed", "7", "--end", "2026-11-01")
    run_verb("simulate", "--out", str(export), *words)
    run_verb("init", str(shop))
    mapping = ("--mapping", str(export / "mapping.yaml"))
    run_verb("import", str(export / "events.parquet"), *mapping, "--workspace", str(shop))
    return Workspace(shop.resolve())


DATA: dict[str, tuple[Callable[[Path], Workspace], int]] = {
    "online_retail": (_online_retail, 90),
    "starbucks": (_starbucks, 7),
    "simulated": (_simulated, 90),
}


def tables(workspace: Workspace | None = None, *, data: str) -> str:
    """The tables of one data set, as Markdown.

    Args:
        workspace: one that holds it already; None to import it.
        data: a name in `DATA`.
    """
    make, onward_days = DATA[data]
    with tempfile.TemporaryDirectory() as folder:
        place = workspace or make(Path(folder) / "data")
        return f"### {data}\n" + as_markdown(evaluate_segments(place, onward_days=onward_days))


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", choices=tuple(DATA), help="only this one; default all")
    parser.add_argument("--workspace", type=Path, help="one that holds the data already; with one --data")
    given = parser.parse_args(arguments)
    for data in given.data or DATA:
        print(tables(Workspace(given.workspace.resolve()) if given.workspace else None, data=data), flush=True)


if __name__ == "__main__":
    main()
