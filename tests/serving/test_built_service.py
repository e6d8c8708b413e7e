"""Built and served: what `bentoml build` packs answers by itself, from the packed files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.serving.conftest import served, starter

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_built_bento_serves_decisions_from_its_own_files(tmp_path: Path) -> None:
    home = tmp_path / "bentoml"
    home.mkdir()
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag"],
        cwd=REPOSITORY,
        env={**os.environ, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"},
        capture_output=True,
        check=True,
        timeout=120,
    )
    (bento,) = (path.parent for path in home.glob("bentos/rapport/*/bento.yaml"))
    packed = bento / "src"
    assert not (packed / "experiments" / "benchmarks").exists()
    assert not (packed / "tests").exists()
    page = packed / "serving" / "templates" / "home.html"
    page.write_text(page.read_text().replace("<h1>Rapport</h1>", "<h1>Packed</h1>"))
    variables = {"BENTOML_HOME": str(home), "PYTHONSAFEPATH": "", "RAPPORT_WORKERS": "1"}
    with served(starter(tmp_path / "shop"), service=str(bento), variables=variables) as address:
        with urllib.request.urlopen(f"{address}/", timeout=10) as answer:
            assert b"<h1>Packed</h1>" in answer.read()
        asked = {"customer_id": "c", "placement": "chat_reply", "channel": "web", "locale": "th"}
        request = urllib.request.Request(
            f"{address}/v1/decisions", json.dumps(asked).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer)["message"]["locale"] == "th"
