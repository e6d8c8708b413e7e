from __future__ import annotations

import asyncio
import csv
import io
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.types import Message

from features.workspace import Workspace
from serving.http import build_app
from tests.experiments.conftest import ReportWorld
from tests.serving.conftest import starter

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def scored_shop(tmp_path: Path) -> Workspace:
    """Anna is in s1, which has a name; cy is in s2, which has none."""
    world = ReportWorld(starter(tmp_path / "shop"))
    world.score_day(date(2026, 3, 29), [(1, "s1", "loyalty"), (3, "s2", "awareness")], names={"s1": {"en": "Quiet"}})
    world.identify([(1, "anna", "user"), (3, "cy", "user")])
    return world.workspace


def asked(workspace: Workspace, segment: str) -> list[Message]:
    sent: list[Message] = []
    app = build_app()
    app.state.engine = SimpleNamespace(workspace=workspace)

    async def receive() -> Message:
        await asyncio.sleep(0 if not sent else 60)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    path = f"/report/audience/{segment}.csv"
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b"", "app": app}
    asyncio.run(app(scope, receive, send))
    return sent


@pytest.mark.parametrize(("segment", "customer"), [("s1", "anna"), ("s2", "cy")])
def test_an_audience_starts_to_answer_before_its_rows_are_there(
    scored_shop: Workspace, segment: str, customer: str
) -> None:
    start, *bodies = asked(scored_shop, segment)
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-type"] == b"text/csv; charset=utf-8"
    assert b"content-length" not in headers
    text = b"".join(body.get("body", b"") for body in bodies).decode().removeprefix("\ufeff")
    assert [row["customer_id"] for row in csv.DictReader(io.StringIO(text))] == [customer]


def test_a_segment_that_the_scores_do_not_have_is_not_found(scored_shop: Workspace) -> None:
    start, body = asked(scored_shop, "s22")
    assert start["status"] == 404
    assert b"Closest" in body["body"]
