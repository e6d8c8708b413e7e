"""docs/outcomes.md says what is so: every outcome, field and flag is explained, and its example is taken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from experiments.records import Outcome
from serving.http import build_app
from serving.joining.machines import FASTEST_SECONDS
from serving.outcome_rows import Recorded
from serving.schemas import OUTCOMES_IN_ONE_REQUEST, OutcomeReport

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "outcomes.md").read_text("utf-8")
NAMED = set(re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)))


def test_every_outcome_and_every_field_of_a_report_is_explained() -> None:
    known = set(get_args(Outcome)) | set(OutcomeReport.model_fields) - {"outcome_id", "occurred_at"}
    assert known - NAMED == set()


def test_every_flag_of_the_answer_is_explained() -> None:
    recorded = Recorded("o", "recorded", "d", "token", "clicked", is_late=True, is_machine=True, over_cap=True)
    assert set(recorded.as_dict()) - {"outcome_id"} - NAMED == set()


def test_the_example_is_taken() -> None:
    (example,) = re.findall(r"-d '(\[.*?\])'", PAGE, re.DOTALL)
    for report in json.loads(example.replace("…", "x")):
        OutcomeReport.model_validate_json(json.dumps(report))


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"up to {OUTCOMES_IN_ONE_REQUEST:,}" in PAGE
    assert f"within {FASTEST_SECONDS:g} seconds" in PAGE


def test_the_paths_are_there() -> None:
    paths = {str(getattr(route, "path", "")) for route in build_app().router.routes}
    told = {path.partition("?")[0] for path in re.findall(r"`(?:GET|POST) (/[ruo]/[^`]+)`", PAGE)}
    assert told == {"/r/{token}", "/o/{token}.gif", "/u/{token}"}
    assert told <= paths


def test_the_settings_are_explained_where_the_others_are() -> None:
    page = (DOCS / "serving.md").read_text("utf-8")
    assert "`RAPPORT_PUBLIC_URL`" in page
    assert "`RAPPORT_TOKEN_SECRET`" in page
