"""`GET /v1/customers/{id}/traits`, over the app: evidence, what speaks against it, what was withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from serving.engine import Engine
from tests.serving.erasing_world import NOON, a_shop, ago, call, track


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(a_shop(tmp_path_factory.mktemp("traits") / "shop"), clock=lambda: NOON) as opened:
        yield opened


def traits(engine: Engine, user: str) -> dict[str, Any]:
    answer = call(engine, "GET", f"/v1/customers/{user}/traits")
    assert answer.status_code == 200, answer.text
    assert answer.json()["as_of"] == NOON.isoformat()
    return {one["trait"]: one for one in answer.json()["traits"]}


def test_each_trait_has_its_value_its_confidence_now_and_its_evidence(engine: Engine) -> None:
    asked = {
        "question": "Need?",
        "channel": "web",
        "notice_version": "7",
        "locale_shown": "hi",
        "conversation_id": "c1",
    }
    track(engine, "ann/1", "Question Answered", days_ago=120, trait="skin_need", answer="acne")
    track(engine, "ann/1", "Question Answered", days_ago=60, trait="skin_need", answer="dryness", step="need", **asked)
    track(engine, "ann/1", "Question Answered", days_ago=1, trait="wish", answer="rain", question="What for?")
    found = traits(engine, "ann/1")
    need = found["skin_need"]
    assert (need["value"], need["confidence"]) == ("dryness", 0.707107)  # 0.5 ** (60 / 120)
    expected = asked | {"step": "need", "purpose": "personalisation", "said_at": ago(60).isoformat()}
    assert expected.items() <= need["evidence"].items()
    assert [one["value"] for one in need["superseded"]] == ["acne"]
    assert (found["wish"]["value"], found["wish"]["evidence"]["purpose"]) == ("rain", "marketing")


def test_what_the_customer_does_speaks_against_what_they_said(engine: Engine) -> None:
    track(engine, "bob", "Question Answered", days_ago=60, trait="interests", answer=["fragrance"])
    for days in (1, 2, 3):
        track(engine, "bob", "Product Viewed", days_ago=days, products=[{"product_id": "p", "category": "Hair Care"}])
    (against,) = traits(engine, "bob")["interests"]["contradicted_by"]
    assert against["rule"] == "categories"
    assert against["found"] == {"n_products": 3, "n_declared": 0, "by_choice": {"haircare": 3}}


def test_a_purpose_withdrawn_in_the_same_batch_is_not_known_to_anything_after_it(engine: Engine) -> None:
    def event(number: int, name: str, **properties: object) -> dict[str, object]:
        said_at = ago(1 - number / 100).isoformat()
        called = {"type": "track", "userId": "cleo", "messageId": f"cleo-{number}", "timestamp": said_at}
        return {**called, "event": name, "properties": properties}

    said = event(1, "Question Answered", trait="skin_need", answer="acne")
    stop = event(2, "Consent Withdrawn", purpose="personalisation")
    assert call(engine, "POST", "/v1/batch", {"batch": [said, stop]}).status_code == 202
    need = traits(engine, "cleo")["skin_need"]
    assert (need["value"], need["confidence"], need["withdrawn_by"]) == (None, None, "purpose")
    assert need["withdrawn_at"] == stop["timestamp"]
    assert call(engine, "GET", "/v1/customers/cleo").json()["declared"] == {}


def test_nobody_is_told_of_the_never_seen(engine: Engine) -> None:
    answer = call(engine, "GET", "/v1/customers/nobody/traits")
    assert (answer.status_code, "never heard" in answer.text) == (404, True)
