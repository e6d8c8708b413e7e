"""The README's commands run as they stand, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet

from tests.conftest import REPOSITORY


def commands_of_the_readme() -> str:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- tested: begin -->\n```bash\n(.*?)```\n<!-- tested: end -->", readme, re.DOTALL)
    assert blocks
    return "\n".join(blocks)


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands_of_the_readme()],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=1_200,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert (tmp_path / "report" / "index.html").is_file()
    (scores,) = (tmp_path / "shop" / "lake" / "scores").rglob("*.parquet")
    scored = pyarrow.parquet.read_table(scores).to_pylist()
    assert len(scored) == 800
    likely = {days: f"purchase_propensity_{days}d" for days in (7, 30, 90)}
    served = {days: name for days, name in likely.items() if scored[0][name] is not None}
    assert served  # the shop's last day is today, so which windows are calm enough to be sure of differs by the day
    for one in scored:
        assert all(one[f"expected_orders_{days}d"] >= one[name] - 1e-6 for days, name in served.items())
        assert one["expected_spend_90d"] >= one["expected_spend_30d"] > 0.0


def test_every_link_of_readme_and_docs_leads_somewhere() -> None:
    pages = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs").rglob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in link
    ]
    assert len(links) > 100
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []
