"""Outcomes as they are reported: exact or by the window, in any order, more than once, too late; what each moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from tests.serving.joining_world import World, a_joining_shop, payload, problem_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(a_joining_shop(tmp_path_factory.mktemp("reported") / "shop"))
    yield world
    world.engine.close()


@pytest.fixture(autouse=True)
def another_month(world: World) -> None:
    world.clock.later(days=30)


def contact(world: World, told: dict[str, Any], columns: str) -> tuple[Any, ...]:
    return world.rows(f"SELECT {columns} FROM contacts WHERE decision_id = ?", told["decision_id"])[0]


def test_a_payload_alone_says_what_happened(world: World) -> None:
    told = world.decided("ann-1")
    recorded = world.report({"token": payload(told, "Never")}, {"token": payload(told, "Dry")})
    assert [(one["outcome"], one["joined_by"], one["decision_id"]) for one in recorded] == [
        ("refused", "token", told["decision_id"]),
        ("replied", "token", told["decision_id"]),
    ]
    assert world.outcomes(told["decision_id"], "outcome, reason") == [("refused", "never"), ("replied", None)]


@pytest.mark.parametrize("typed", [str, str.lower, str.swapcase, " {}\n".format])
def test_a_coupon_code_alone_is_redeemed_however_it_was_typed(world: World, typed: Callable[[str], str]) -> None:
    told = world.decided(f"ann-2-{typed('Aa').strip()}", "deal")
    (recorded,) = world.report({"coupon_code": typed(told["coupon_code"])})
    assert (recorded["outcome"], recorded["joined_by"], recorded["decision_id"]) == (
        "redeemed",
        "coupon",
        told["decision_id"],
    )


def test_the_same_report_is_written_once(world: World) -> None:
    told = world.decided("ann-3")
    report = {"token": payload(told, "Dry")}
    assert [one["status"] for one in world.report(report, report)] == ["recorded", "duplicate"]
    assert world.report(report)[0]["status"] == "duplicate"
    assert len(world.outcomes(told["decision_id"])) == 1


@pytest.mark.parametrize(
    ("report", "status", "pointer", "says"),
    [
        ({"token": "forged"}, 422, "/token", "was not made here"),
        ({"token": "forged", "outcome": "clicked"}, 422, "/token", "exactly as it was"),
        ({"coupon_code": "NOBODYS"}, 404, "/coupon_code", "given out by no decision"),
        ({"decision_id": "nope", "outcome": "sent"}, 404, "/decision_id", "there is no decision 'nope'"),
        ({"decision_id": "nope"}, 422, "/outcome", "is missing"),
        ({"outcome": "sent"}, 422, "/decision_id", "exactly one of"),
        ({"decision_id": "a", "coupon_code": "b", "outcome": "sent"}, 422, "/coupon_code", "exactly one of"),
        ({"customer_id": "a", "slot": 1, "outcome": "sent"}, 422, "/slot", "beside a decision_id"),
        ({"customer_id": "a", "outcome": "sent", "reason": "never"}, 422, "/reason", "'refused' only"),
        ({"customer_id": "a", "outcome": "refused", "reason": "later"}, 422, "/reason", "never"),
        ({"customer_id": "a", "outcome": "sent", "code": "131049"}, 422, "/code", "'failed' only"),
        ({"customer_id": "a", "outcome": "failed", "retry_after_seconds": -1}, 422, "/retry_after_seconds", "equal"),
        ({"customer_id": "a", "outcome": "converted", "value": 1.0, "currency": "XXX"}, 422, "/currency", "EUR"),
        ({"customer_id": "a", "outcome": "sent", "user_agent": "x"}, 422, "/user_agent", "'opened' or 'clicked'"),
        (
            {"customer_id": "a", "outcome": "sent", "occurred_at": "0001-01-01T00:00:00+05:30"},
            422,
            "/occurred_at",
            "UTC",
        ),
        ({"customer_id": "a" * 10_000, "outcome": "sent"}, 422, "/customer_id", "at most 256"),
        ({"token": "A" * 10_000}, 422, "/token", "at most 512"),
    ],
)
def test_what_is_wrong_is_explained_and_nothing_is_written(
    world: World, report: dict[str, Any], status: int, pointer: str, says: str
) -> None:
    before = world.n_outcomes()
    answer = world.send("POST", "/v1/outcomes", json=report)
    assert answer.status_code == status
    faults = {fault["pointer"]: fault["detail"] for fault in problem_of(answer)["errors"]}
    assert says in faults[pointer]
    assert world.n_outcomes() == before


def test_one_forged_token_in_a_list_writes_none_of_it(world: World) -> None:
    told = world.decided("ann-4")
    good = {"decision_id": told["decision_id"], "outcome": "sent"}
    answer = world.send("POST", "/v1/outcomes", json=[good, {"token": "forged"}])
    assert answer.status_code == 422
    assert [fault["pointer"] for fault in problem_of(answer)["errors"]] == ["/1/token"]
    assert world.outcomes(told["decision_id"]) == []


def test_what_comes_after_the_window_is_kept_flagged_and_not_counted(world: World) -> None:
    told = world.decided("ann-5")
    before = world.counts("hello")
    world.clock.later(days=8)
    (recorded,) = world.report({"decision_id": told["decision_id"], "outcome": "converted", "value": 10.0})
    assert (recorded["status"], recorded["is_late"]) == ("recorded", True)
    assert world.outcomes(told["decision_id"], "outcome, is_late") == [("converted", 1)]
    assert world.counts("hello") == before


def test_a_failure_was_no_attempt_whatever_order_the_reports_come_in(world: World) -> None:
    for order in permutations(("sent", "failed")):
        told = world.decided("ann-6")
        decided, converted = world.counts("hello")
        world.report(*({"decision_id": told["decision_id"], "outcome": outcome} for outcome in order))
        assert world.counts("hello") == (decided - 1, converted)
        assert contact(world, told, "exposed_at, released_why") == (None, "failed")


def test_proof_of_delivery_beats_a_failure_whatever_order_the_reports_come_in(world: World) -> None:
    for order in permutations(("sent", "failed", "delivered")):
        told = world.decided("ann-7")
        before = world.counts("hello")
        world.report(*({"decision_id": told["decision_id"], "outcome": outcome} for outcome in order))
        assert world.counts("hello") == before
        assert contact(world, told, "exposed_at IS NOT NULL") == (1,)


def test_a_failure_that_says_when_to_come_again_keeps_that_channel_quiet_until_then(world: World) -> None:
    told = world.decided("limited", "weekly", "mail")
    assert told["action"]["id"] == "hello"
    failed = {"decision_id": told["decision_id"], "outcome": "failed", "code": "131049", "retry_after_seconds": 3600}
    world.report(failed)
    assert world.outcomes(told["decision_id"], "reason, retry_after_seconds") == [("131049", 3600.0)]
    again = world.decided("limited", "weekly", "mail")
    assert again["action"]["id"] == "nothing"
    until = {one["eligible_at"] for one in again["suppressed"] if one["action_id"] == "hello"}
    assert until == {(world.clock.now + timedelta(hours=1)).isoformat()}
    world.clock.later(hours=1)
    assert world.decided("limited", "weekly", "mail")["action"]["id"] == "hello"


def test_a_deferred_decision_is_exposed_by_what_shows_that_it_was_there(world: World) -> None:
    told = world.decided("deferred", "weekly", "mail", defer=True)
    assert contact(world, told, "exposed_at, open_until IS NOT NULL") == (None, 1)
    world.clock.later(hours=1)
    world.report({"decision_id": told["decision_id"], "outcome": "opened", "user_agent": "Mozilla/5.0"})
    assert contact(world, told, "exposed_at") == (None,)  # a proxy has looked, and nobody else
    (recorded,) = world.report({"decision_id": told["decision_id"], "outcome": "read"})
    assert "over_cap" not in recorded
    assert contact(world, told, "exposed_at IS NOT NULL, open_until") == (1, None)


def test_what_is_seen_after_its_reservation_was_over_is_kept_and_flagged(world: World) -> None:
    told = world.decided("slow", "weekly", "mail", defer=True)
    world.clock.later(days=2)
    (recorded,) = world.report({"decision_id": told["decision_id"], "outcome": "opened"})
    assert recorded["over_cap"] is True
    assert world.outcomes(told["decision_id"], "outcome, over_cap") == [("opened", 1)]


def test_a_failure_gives_back_the_coupon_code(world: World) -> None:
    free = "SELECT n_free FROM coupon_pools WHERE pool = 'spring'"
    (before,) = world.rows(free)
    told = world.decided("coupon", "deal", defer=True)
    assert world.rows(free) == [(before[0] - 1,)]
    world.report({"decision_id": told["decision_id"], "outcome": "failed"})
    assert world.rows(free) == [before]


def test_a_slot_s_outcome_is_that_slot_s(world: World) -> None:
    told = world.decided("list", limit=2)
    assert len(told["slots"]) == 2
    world.report({"decision_id": told["decision_id"], "slot": 1, "outcome": "clicked"})
    query = "SELECT slot, clicked_at IS NOT NULL FROM contacts WHERE decision_id = ? ORDER BY slot"
    assert world.rows(query, told["decision_id"]) == [(0, 0), (1, 1)]
    tokens = {
        world.mint.read(slot["message"]["open_url"][len("https://r.example.com/o/") : -4]) for slot in told["slots"]
    }
    assert {said.slot for said in tokens if said is not None} == {0, 1}


def test_a_conversion_of_a_list_is_the_action_s_that_was_clicked(world: World) -> None:
    told = world.decided("lister", limit=2)
    first, second = (slot["action"]["id"] for slot in told["slots"])
    before = world.counts(first)[1], world.counts(second)[1]
    world.report({"decision_id": told["decision_id"], "slot": 1, "outcome": "clicked"})
    world.clock.later(minutes=5)
    world.report({"customer_id": "lister", "outcome": "converted", "value": 10.0})
    assert (world.counts(first)[1], world.counts(second)[1]) == (before[0], before[1] + 1)


def listed(world: World, customer_id: str) -> tuple[str, list[str]]:
    told = world.decided(customer_id, limit=2)
    return told["decision_id"], [slot["action"]["id"] for slot in told["slots"]]


def of_slots(world: World, decision_id: str, columns: str) -> list[tuple[Any, ...]]:
    return world.rows(f"SELECT {columns} FROM contacts WHERE decision_id = ? ORDER BY slot", decision_id)


def test_a_conversion_that_says_no_slot_is_written_of_the_slot_that_it_is_of(world: World) -> None:
    for n, order in enumerate(permutations(({}, {"slot": 1}))):
        decision_id, (first, second) = listed(world, f"one-slot-{n}")
        before = world.counts(first)[1], world.counts(second)[1]
        world.report({"decision_id": decision_id, "slot": 1, "outcome": "clicked"})
        world.clock.later(minutes=5)
        for said in order:
            world.report({"decision_id": decision_id, "outcome": "converted"} | said)
        assert world.outcomes(decision_id, "outcome, slot") == [("clicked", 1), ("converted", 1), ("converted", 1)]
        assert of_slots(world, decision_id, "converted_at IS NOT NULL") == [(0,), (1,)]
        assert (world.counts(first)[1], world.counts(second)[1]) == (before[0], before[1] + 1)


def test_what_was_clicked_of_a_list_arrived_and_the_rest_failed_whatever_order_the_reports_come_in(
    world: World,
) -> None:
    reports: tuple[dict[str, Any], ...] = ({"outcome": "clicked", "slot": 1}, {"outcome": "failed"})
    for n, order in enumerate(permutations(reports)):
        decision_id, (first, second) = listed(world, f"half-{n}")
        before = world.counts(first)[0], world.counts(second)[0]
        for report in order:
            world.report({"decision_id": decision_id} | report)
        assert (world.counts(first)[0], world.counts(second)[0]) == (before[0] - 1, before[1])
        assert of_slots(world, decision_id, "released_why") == [("failed",), (None,)]


def test_a_list_that_was_delivered_whole_is_not_taken_back_by_a_failure_of_one_slot(world: World) -> None:
    decision_id, ids = listed(world, "whole")
    before = [world.counts(action_id)[0] for action_id in ids]
    world.report({"decision_id": decision_id, "outcome": "failed", "slot": 1})
    world.report({"decision_id": decision_id, "outcome": "delivered"})
    assert [world.counts(action_id)[0] for action_id in ids] == before
    assert of_slots(world, decision_id, "released_why") == [(None,), (None,)]


def test_a_list_that_could_not_be_sent_was_no_attempt_of_any_of_its_actions(world: World) -> None:
    told = world.decided("unsent", limit=2)
    ids = [slot["action"]["id"] for slot in told["slots"]]
    before = [world.counts(action_id)[0] for action_id in ids]
    world.report({"decision_id": told["decision_id"], "outcome": "failed"})
    assert [world.counts(action_id)[0] for action_id in ids] == [n - 1 for n in before]


def test_what_a_provider_calls_a_machine_is_one(world: World) -> None:
    told = world.decided("ann-8")
    (recorded,) = world.report({"decision_id": told["decision_id"], "outcome": "clicked", "is_machine": True})
    assert recorded["is_machine"] is True
    assert contact(world, told, "clicked_at") == (None,)


def test_a_thousand_outcomes_go_in_one_request(world: World) -> None:
    told = world.decided("many")
    at = world.clock.now.isoformat()
    reports = [
        {"decision_id": told["decision_id"], "outcome": "opened", "outcome_id": f"many-{n}", "occurred_at": at}
        for n in range(1_000)
    ]
    assert {one["status"] for one in world.report(*reports)} == {"recorded"}
    assert {one["status"] for one in world.report(*reports)} == {"duplicate"}


def not_sent(world: World, customer_id: str) -> tuple[dict[str, Any], tuple[int, int]]:
    """A deferred decision whose time was over before it was exposed, and the counts before it was made."""
    before = world.counts("hello")
    told = world.decided(customer_id, "weekly", "mail", defer=True)
    assert told["action"]["id"] == "hello"
    assert world.counts("hello") == (before[0] + 1, before[1])
    world.clock.later(days=2)
    world.decided("somebody else", "deal")  # in passing
    assert contact(world, told, "released_why") == ("unexposed",)
    return told, before


def test_what_was_never_exposed_was_no_attempt_until_it_is_seen_after_all(world: World) -> None:
    world.decided("first of all")
    told, before = not_sent(world, "unsent-1")
    assert world.counts("hello") == before
    for _ in range(2):
        assert world.send("POST", f"/v1/decisions/{told['decision_id']}/exposure", json={}).status_code == 200
        assert world.counts("hello") == (before[0] + 1, before[1])


def test_what_was_never_exposed_is_taken_back_once_whatever_is_reported_of_it(world: World) -> None:
    world.decided("first of all")
    told, before = not_sent(world, "unsent-2")
    for outcome, n in (("failed", 0), ("failed", 0), ("sent", 0), ("delivered", 1), ("read", 1), ("failed", 1)):
        world.report({"decision_id": told["decision_id"], "outcome": outcome})
        assert world.counts("hello") == (before[0] + n, before[1]), outcome


def test_of_a_list_that_was_never_exposed_each_action_is_counted_as_it_is_seen(world: World) -> None:
    world.decided("first of all", limit=2)
    before = {action_id: world.counts(action_id)[0] for action_id in ("hello", "tip")}
    told = world.decided("unsent-3", "weekly", "mail", defer=True, limit=2)
    assert {slot["action"]["id"] for slot in told["slots"]} == {"hello", "tip"}
    second = told["slots"][1]["action"]["id"]
    world.clock.later(days=2)
    world.decided("somebody else", "deal")
    assert {action_id: world.counts(action_id)[0] for action_id in before} == before
    world.report({"decision_id": told["decision_id"], "slot": 1, "outcome": "clicked"})
    assert {action_id: world.counts(action_id)[0] for action_id in before} == before | {second: before[second] + 1}
