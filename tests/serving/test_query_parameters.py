"""A query parameter that nobody takes is refused, where a person or a program asked with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from serving.engine import Engine
from tests.serving.conftest import starter
from tests.serving.erasing_world import call

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ASKED = {"customer_id": "c", "placement": "chat_reply", "channel": "web"}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(starter(tmp_path_factory.mktemp("parameters") / "shop")) as engine:
        yield engine


def decisions(engine: Engine) -> int:
    (told,) = engine.reader.execute("SELECT count(*) FROM decisions").fetchone()
    return int(told)


def refused(engine: Engine, method: str, path: str, body: object = None) -> list[dict[str, Any]]:
    answer = call(engine, method, path, body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    faults: list[dict[str, Any]] = answer.json()["errors"]
    return faults


def test_what_belongs_into_the_body_is_not_taken_for_said_behind_the_address(engine: Engine) -> None:
    (fault,) = refused(engine, "POST", "/v1/decisions?dry_run=true", ASKED)
    assert fault["pointer"] == "/dry_run"
    assert "in the body" in fault["detail"]
    assert decisions(engine) == 0
    assert call(engine, "POST", "/v1/decisions", ASKED).status_code == 200
    assert decisions(engine) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/v1/customers/c", "/v1/customers/c/traits", "/v1/decisions/d", "/v1/moments")),
        *(("GET", path) for path in ("/v1/reach", "/report", "/report/audience/s.csv", "/decisions/d")),
        *(("POST", path) for path in ("/v1/outcomes", "/v1/decisions/batch", "/v1/decisions/d/exposure")),
        ("DELETE", "/v1/customers/c"),
    ],
)
def test_every_question_refuses_a_parameter_that_it_does_not_take(engine: Engine, method: str, path: str) -> None:
    names = [fault["pointer"] for fault in refused(engine, method, f"{path}?pagee=2&nonsense=1")]
    assert names == ["/pagee", "/nonsense"]


def test_a_misspelt_parameter_is_told_with_the_closest(engine: Engine) -> None:
    (near,) = refused(engine, "GET", "/v1/customers/c?within_day=30")
    assert near["detail"].endswith("Closest: 'within_days'.")
    (far,) = refused(engine, "GET", "/v1/moments?page=2")
    assert far["detail"].endswith("There are: limit, moment, since.")
    assert call(engine, "GET", "/v1/customers/c?within_days=30").status_code == 200


def test_what_others_put_behind_an_address_keeps_no_customer_and_no_probe_out(engine: Engine) -> None:
    for path in ("/livez?now=1", "/readyz?x=y", "/metrics?x=y", "/?utm_source=mail"):
        assert call(engine, "GET", path).status_code == 200, path
    token = engine.stamper.mint.token("01JZZZZZZZZZZZZZZZZZZZZZZZ", 0, "unsubscribe")
    assert call(engine, "GET", f"/u/{token}?utm_source=mail").status_code == 200
    event = {"userId": "c", "event": "Product Viewed", "messageId": "m"}
    assert call(engine, "POST", "/v1/track?writeKey=abc", event).status_code == 202
