"""Two years of a real shop's orders, imported as anybody would, and the four dates on which models are judged."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from features.workspace import Workspace

HORIZON_DAYS = 91
CUTS = (date(2010, 12, 10), date(2011, 3, 11), date(2011, 6, 10), date(2011, 9, 10))
ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data" / "online_retail"
FILES = {
    "online_retail_II_2009_2010.parquet": "online_retail_ii_2009.yaml",
    "online_retail.parquet": "online_retail.yaml",
}


def import_online_retail(folder: Path) -> Workspace:
    """A new workspace with every order of the two files, as `rapport init` and `rapport import` make it."""
    from features.command_line import run_verb

    run_verb("init", str(folder))
    brand = folder / "brand.yaml"
    text = brand.read_text(encoding="utf-8")
    values = {"currency": "GBP", "time_zone": "Europe/London", "horizons_days": f"[7, 30, {HORIZON_DAYS}]"}
    for name, value in values.items():
        text = re.sub(rf"(?m)^{name}:.*$", f"{name}: {value}", text)
    brand.write_text(text, encoding="utf-8")
    for file, mapping in FILES.items():
        by = str(ROOT / "docs" / "mappings" / mapping)
        run_verb("import", str(DATA / file), "--mapping", by, "--workspace", str(folder))
    return Workspace(folder.resolve())


def asked_for(description: str | None, arguments: Sequence[str] | None) -> tuple[Workspace | None, Sequence[date]]:
    """The workspace that a command line names, if any, and the dates that it asks for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cut", action="append", type=date.fromisoformat, help="only this date; default all four")
    parser.add_argument("--workspace", type=Path, help="one that both files were imported into already")
    given = parser.parse_args(arguments)
    return Workspace(given.workspace.resolve()) if given.workspace else None, given.cut or CUTS
