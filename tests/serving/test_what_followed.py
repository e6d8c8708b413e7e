"""What followed a decision is told with what a reader has to know before they count it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.serving.joining_world import World, a_joining_shop

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(a_joining_shop(tmp_path_factory.mktemp("followed") / "shop"))
    yield world
    world.engine.close()


def followed(world: World, told: dict[str, Any]) -> list[dict[str, Any]]:
    outcomes: list[dict[str, Any]] = world.send("GET", f"/v1/decisions/{told['decision_id']}").json()["outcomes"]
    return [{name: value for name, value in one.items() if name != "occurred_at"} for one in outcomes]


def page(world: World, told: dict[str, Any]) -> str:
    return world.send("GET", f"/decisions/{told['decision_id']}").text


def test_a_late_conversion_is_told_as_one(world: World) -> None:
    told = world.decided("ann")
    world.clock.later(days=8)
    world.report({"decision_id": told["decision_id"], "outcome": "converted", "value": 10.0})
    late = {"outcome": "converted", "goal": "order", "value": 10.0, "joined_by": "decision_id", "slot": 0}
    assert followed(world, told) == [late | {"is_late": True}]
    assert "(late: after the attribution window, counted for no rate)" in page(world, told)


def test_a_failure_says_its_code_and_when_to_come_again(world: World) -> None:
    told = world.decided("bo", "weekly", "mail")
    failed = {"outcome": "failed", "code": "131049", "retry_after_seconds": 3600}
    world.report(failed | {"decision_id": told["decision_id"]})
    (outcome,) = followed(world, told)
    assert (outcome["reason"], outcome["retry_after_seconds"]) == ("131049", 3600.0)
    assert "Failed (131049)" in page(world, told)


def test_an_outcome_of_a_list_says_whose_it_is_and_flags_only_what_is_up(world: World) -> None:
    told = world.decided("cy", limit=2)
    world.report({"decision_id": told["decision_id"], "slot": 1, "outcome": "clicked"})
    assert followed(world, told) == [
        {"outcome": "clicked", "goal": None, "value": None, "joined_by": "decision_id", "slot": 1}
    ]


def test_what_was_seen_when_its_reservation_was_over_is_flagged(world: World) -> None:
    told = world.decided("di", "weekly", "mail", defer=True)
    world.clock.later(days=2)
    world.report({"decision_id": told["decision_id"], "outcome": "opened"})
    assert [one["over_cap"] for one in followed(world, told)] == [True]
    assert "Opened (seen when its reservation was over)" in page(world, told)
