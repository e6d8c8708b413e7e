"""The demo itself, small: it ends by itself, speaks three languages and proves what it earned."""

from __future__ import annotations

import re
from pathlib import Path

from tests.journeys.shop import free_port, run, script_of


def test_the_demo_proves_itself_beside_the_truth(tmp_path: Path) -> None:
    told = run(
        "demo", "--folder", str(tmp_path / "demo"), "--customers", "1000", "--days", "300", "--port", str(free_port()),
        "--once",
    )  # fmt: skip
    assert told.count("curl -s http://127.0.0.1:") >= 3
    for language in ("en", "hi", "th"):
        assert f"brand ({language})" in told
        assert script_of(language).search(told)
    number = r"([+-]\d+\.\d+)"
    measured = re.search(rf"measured uplift {number} percentage points, 95% interval {number} … {number}", told)
    truth = re.search(rf"true uplift     {number} percentage points", told)
    assert measured, told
    assert truth, told
    value, low, high = (float(text) for text in measured.groups())
    assert low < value < high
    assert float(truth[1]) > 0.0
    # One interval in twenty misses; hardly any misses by its own half-width, so what fails here is not luck.
    slack = (high - low) / 2
    assert low - slack < float(truth[1]) < high + slack
    assert "/report" in told
