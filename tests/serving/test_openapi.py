"""What /openapi.json says is so: its examples are taken as they stand, and what is refused is refused as it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from features.starting import write_starter
from features.workspace import Workspace
from serving.engine import Engine
from serving.openapi import EXAMPLES
from serving.problems import PROBLEM_JSON
from tests.serving.erasing_world import NOON, call


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    root = tmp_path_factory.mktemp("shop")
    write_starter(root)
    with Engine(Workspace(root), clock=lambda: NOON) as opened:
        yield opened


@pytest.fixture(scope="module")
def paths(engine: Engine) -> dict[str, Any]:
    told: dict[str, Any] = call(engine, "GET", "/openapi.json").json()["paths"]
    return told


def test_every_body_has_an_example_and_it_is_taken_as_it_stands(engine: Engine, paths: dict[str, Any]) -> None:
    posts = {path: found["post"] for path, found in paths.items() if "requestBody" in found.get("post", {})}
    assert set(posts) == set(EXAMPLES)
    for path in EXAMPLES:  # that of d-42 first
        example = posts[path]["requestBody"]["content"]["application/json"]["example"]
        answer = call(engine, "POST", path.replace("{decision_id}", "d-42"), example)
        assert answer.status_code in (200, 202), (path, answer.text)
    assert call(engine, "GET", "/v1/decisions/d-42").status_code == 200


def test_whatever_is_refused_is_a_problem_and_said_so(engine: Engine, paths: dict[str, Any]) -> None:
    for path, operations in paths.items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == [PROBLEM_JSON], (method, path, status)
            if "requestBody" in operation:
                refused = call(engine, method.upper(), path.replace("{decision_id}", "d-42"), {"no such field": None})
                assert str(refused.status_code) in operation["responses"], (path, refused.text)
                if refused.status_code != 202:  # an event that cannot be taken is kept, with its verdict
                    assert refused.headers["content-type"] == PROBLEM_JSON, path


def test_pages_are_not_said_to_be_json(paths: dict[str, Any]) -> None:
    assert list(paths["/report"]["get"]["responses"]["200"]["content"]) == ["text/html"]
    assert list(paths["/metrics"]["get"]["responses"]["200"]["content"]) == ["text/plain"]


def test_a_method_that_is_not_taken_is_told_all_that_are(engine: Engine) -> None:
    answer = call(engine, "PUT", "/v1/customers/c-42")
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD")
    assert "it takes DELETE, GET" in answer.json()["detail"]


def test_a_slash_too_many_is_nowhere_and_is_told_the_path(engine: Engine) -> None:
    answer = call(engine, "POST", "/v1/outcomes/", {})
    assert answer.status_code == 404
    assert "Closest: '/v1/outcomes'" in answer.json()["detail"]


@pytest.mark.parametrize(("asked", "meant"), [("/healthz", "/readyz"), ("/health", "/readyz"), ("/ping", "/livez")])
def test_a_probe_by_the_name_that_others_give_it_is_told_ours(engine: Engine, asked: str, meant: str) -> None:
    assert f"Closest: '{meant}'" in call(engine, "GET", asked).json()["detail"]


def test_null_is_called_null(engine: Engine) -> None:
    asked = {"customer_id": "c-42", "placement": "chat_reply", "channel": "web", "limit": None}
    (error,) = call(engine, "POST", "/v1/decisions", asked).json()["errors"]
    assert error["pointer"] == "/limit"
    assert error["detail"].startswith("is null: ")
