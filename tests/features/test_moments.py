"""What brand.yaml may say of moments, and how a trigger in the log or in a snapshot becomes a wait."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.brand import load_brand
from features.checking import check_workspace
from features.database import connect, transaction
from features.event_log import EventLog
from features.faults import Fault, InvalidFile
from features.identity import IdentityTable
from features.merges import Merge, all_merges
from features.moments import catch_up, seed, seeding, table
from features.moments.following import THROUGH, follow
from features.moments.rules import MomentRule, moment_rules
from features.snapshot_origin import MADE_FROM
from features.snapshots import build_snapshot
from features.starting import write_starter
from features.sync import sync
from features.workspace import Workspace

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
HOUR = 3_600_000_000
NOON_US = int(NOON.timestamp()) * 1_000_000

Event = dict[str, Any]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    write_starter(tmp_path)
    return Workspace(tmp_path)


def changed(workspace: Workspace, old: str, new: str) -> None:
    text = workspace.brand_file.read_text("utf-8")
    assert text.count(old) >= 1, old
    workspace.brand_file.write_text(text.replace(old, new, 1), "utf-8")


def waits(workspace: Workspace) -> list[tuple[object, ...]]:
    with closing(connect(workspace.database)) as connection:
        query = "SELECT moment, customer_key, trigger_at, due_at, status FROM moments_due ORDER BY moment, customer_key"
        return connection.execute(query).fetchall()


# -- what may be said -------------------------------------------------------------------------------------------------

FAULTS = {
    "an event that does not exist": (
        "after: {event: add_to_cart}",
        "after: {event: add_to_carts}",
        "moments.abandoned_cart.after.event",
        "add_to_cart",
    ),
    "no event": ("after: {event: add_to_cart}", "after: {}", "moments.abandoned_cart.after", None),
    "two events": (
        "after: {event: add_to_cart}",
        "after: {event: add_to_cart, event_name: Cart}",
        "moments.abandoned_cart.after",
        None,
    ),
    "no wait": ("    wait_hours: 3\n", "", "moments.abandoned_cart", None),
    "an unknown key": ("    wait_hours: 3\n", "    wait_hour: 3\n    wait_days: 1\n", None, "wait_hours"),
    "a wait that is negative": ("wait_hours: 3", "wait_hours: -3", "moments.abandoned_cart.wait_hours", None),
    "a placement that does not exist": (
        "placement: weekly_message   #",
        "placement: weekly_massage   #",
        "moments.abandoned_cart.placement",
        "weekly_message",
    ),
    "a placement where the customer speaks first": (
        "placement: weekly_message   #",
        "placement: chat_reply   #",
        "moments.abandoned_cart.placement",
        None,
    ),
}


@pytest.mark.parametrize(("old", "new", "where", "closest"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_a_moment_says_where_and_what_is_closest(
    workspace: Workspace, old: str, new: str, where: str | None, closest: str | None
) -> None:
    changed(workspace, old, new)
    with pytest.raises(InvalidFile) as raised:
        load_brand(workspace)
    (fault,) = raised.value.faults
    assert where is None or fault.where == where
    assert fault.closest == closest
    assert fault.line is not None


def condition_fault(workspace: Workspace, when: str) -> Fault:
    changed(workspace, 'when: "n_orders == 1.0"', f'when: "{when}"')
    with pytest.raises(InvalidFile) as raised:
        moment_rules(workspace, load_brand(workspace))
    (fault,) = raised.value.faults
    assert fault.where == "moments.second_purchase.when"
    assert check_workspace(workspace).status == "FAIL"
    return fault


def test_a_condition_may_not_name_what_does_not_exist(workspace: Workspace) -> None:
    assert condition_fault(workspace, "hours_since_triger > 3.0").closest == "hours_since_trigger"


def test_a_condition_may_not_name_what_only_a_request_knows(workspace: Workspace) -> None:
    assert (
        condition_fault(workspace, "channel == 'email'").rule
        == "'channel' is known only while a decision is asked for."
    )


def test_a_condition_gives_true_or_false(workspace: Workspace) -> None:
    assert "gives number" in condition_fault(workspace, "n_orders").problem


def test_the_four_moments_that_are_shipped_can_come(workspace: Workspace) -> None:
    rules = moment_rules(workspace, load_brand(workspace))
    waits = {name: rule.wait_us / HOUR for name, rule in rules.items()}
    assert waits == {
        "abandoned_cart": 3,
        "post_purchase_follow_up": 7 * 24,
        "second_purchase": 30 * 24,
        "win_back": 90 * 24,
    }
    assert {rule.event for rule in rules.values()} == {"Product Added", "Order Completed"}


def test_a_trait_may_not_be_called_like_what_a_moment_knows(workspace: Workspace) -> None:
    changed(workspace, "  income:\n", "  hours_since_trigger:\n")
    with pytest.raises(InvalidFile, match="not free as the name of a trait"):
        load_brand(workspace)


def test_a_wait_adds_up_and_a_goal_or_any_event_can_start_it(workspace: Workspace) -> None:
    changed(
        workspace, "after: {event: add_to_cart}\n    wait_hours: 3", "after: {event: subscribe}\n    wait_hours: 30"
    )
    changed(workspace, "wait_hours: 30", "wait_days: 1\n    wait_minutes: 30")
    changed(workspace, "after: {event: order}", "after: {event_name: Quiz Left}")
    rules = moment_rules(workspace, load_brand(workspace))
    assert (rules["abandoned_cart"].event, rules["abandoned_cart"].wait_us) == ("Subscribed", 24.5 * HOUR)
    assert rules["post_purchase_follow_up"].event == "Quiz Left"


# -- from the log -----------------------------------------------------------------------------------------------------


def logged(workspace: Workspace, events: list[Event]) -> None:
    with closing(connect(workspace.database)) as connection:
        IdentityTable(connection).keys_for([f"c{n}" for n in range(1, 6)])
        EventLog(connection).append(events)


def rules_of(workspace: Workspace) -> dict[str, MomentRule]:
    return moment_rules(workspace, load_brand(workspace))


@pytest.fixture(scope="module")
def shipped_rules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, MomentRule]:
    workspace = Workspace(tmp_path_factory.mktemp("rules"))
    write_starter(workspace.root)
    return rules_of(workspace)


def killed_before_the_commit(connection: sqlite3.Connection, rules: dict[str, MomentRule]) -> None:
    with transaction(connection):
        assert follow(connection, rules, now=NOON_US).n_armed == 1
        raise RuntimeError("killed")


def test_the_watermark_and_the_waits_move_together_or_not_at_all(
    workspace: Workspace, shipped_rules: dict[str, MomentRule], an_event: Callable[..., Event]
) -> None:
    logged(workspace, [an_event(1, "Product Added"), an_event(2, "Product Viewed")])
    with closing(connect(workspace.database)) as connection:
        table.create(connection)
        with pytest.raises(RuntimeError, match="killed"):
            killed_before_the_commit(connection, shipped_rules)
        assert EventLog(connection).state(THROUGH) == 0
        assert waits(workspace) == []
        with transaction(connection):
            assert follow(connection, shipped_rules, now=NOON_US).n_armed == 1
        assert EventLog(connection).state(THROUGH) == 2
        with transaction(connection):
            assert follow(connection, shipped_rules, now=NOON_US).n_armed == 0


def test_a_control_is_not_a_message_that_a_moment_could_follow(
    workspace: Workspace, an_event: Callable[..., Event]
) -> None:
    changed(workspace, "after: {event: add_to_cart}", "after: {event: message_sent}")
    sent = [an_event(1, "Message Sent", action_id="nothing"), an_event(2, "Message Sent", action_id="tip")]
    logged(workspace, sent)
    catch_up(workspace, now=NOON)
    assert [(row[0], row[1]) for row in waits(workspace)] == [("abandoned_cart", 2)]


@given(
    events=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(["Product Added", "Order Completed"]), st.integers(1, 40)),
        max_size=12,
    ),
    seed_=st.integers(0, 99),
    cut=st.integers(0, 12),
    merged=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_shuffled_repeated_and_cut_anywhere_the_log_leaves_the_same_waits(
    tmp_path_factory: pytest.TempPathFactory,
    shipped_rules: dict[str, MomentRule],
    events: list[tuple[int, str, int]],
    seed_: int,
    cut: int,
    merged: bool,
) -> None:
    def left(order: list[tuple[int, str, int]], cut: int, *, merge_first: bool) -> list[tuple[object, ...]]:
        with closing(connect(tmp_path_factory.mktemp("log") / "rapport.db")) as connection:
            identity, log = IdentityTable(connection), EventLog(connection)
            identity.keys_for(["c1", "c2"])
            identity.keys_for(["a3", "a4"], "anonymous")
            table.create(connection)
            rows = [
                {
                    "event_id": f"{n}",
                    "customer_key": key,
                    "event": event,
                    "occurred_at": NOON - timedelta(hours=hours),
                    "received_at": NOON,
                }
                for n, (key, event, hours) in enumerate(order)
            ]
            for part, then in ((rows[:cut], merge_first), (rows[cut:], not merge_first)):
                log.append(part)
                if merged and then:
                    identity.join(user_id="c1", anonymous_id="a3", at_us=NOON_US)
                with transaction(connection):
                    follow(connection, shipped_rules, now=NOON_US)
            query = "SELECT moment, customer_key, trigger_at, due_at, status FROM moments_due ORDER BY 1, 2"
            return connection.execute(query).fetchall()

    again = [*events, *events[:3]]
    random.Random(seed_).shuffle(again)
    expected = left(events, len(events), merge_first=False)
    assert left(again, cut, merge_first=bool(seed_ % 2)) == expected
    newest: dict[tuple[str, int], int] = {}
    for key, event, hours in events:
        person = 1 if merged and key == 3 else key
        for rule in shipped_rules.values():
            at = NOON_US - hours * HOUR
            if rule.event == event and at + rule.wait_us + rule.expires_after_us >= NOON_US:
                newest[rule.name, person] = max(newest.get((rule.name, person), at), at)
    assert {(row[0], row[1]): row[2] for row in expected} == newest


# -- from a snapshot --------------------------------------------------------------------------------------------------


def imported(workspace: Workspace, n: int) -> None:
    with closing(connect(workspace.database)) as connection:
        IdentityTable(connection).keys_for([f"c{k}" for k in range(1, n + 1)])


def test_imported_customers_wait_from_their_snapshots_instants_once(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Event], an_order: Callable[..., Event]
) -> None:
    events = [
        an_order(1, days_ago=85),
        an_event(2, "Product Added", days_ago=1),
        an_order(3, days_ago=500),  # too long ago for any moment still to be said
        an_event(4, "Product Viewed", days_ago=1),
        an_order(5, days_ago=100),  # its win-back was due ten days ago, and can still be said for twenty
    ]
    workspace = a_workspace(events)
    imported(workspace, 5)
    assert seed(workspace, now=NOON).as_of is None  # no snapshot yet
    build_snapshot(workspace, NOON)
    first = seed(workspace, now=NOON)
    assert (first.as_of, first.n_armed, first.not_in_snapshots) == (NOON, 3, ())
    day = 24 * HOUR
    assert waits(workspace) == [
        ("abandoned_cart", 2, NOON_US - day, NOON_US - day + 3 * HOUR, "open"),
        ("win_back", 1, NOON_US - 85 * day, NOON_US + 5 * day, "open"),
        ("win_back", 5, NOON_US - 100 * day, NOON_US - 10 * day, "open"),
    ]
    assert seed(workspace, now=NOON).n_armed == 0


def test_a_seeded_wait_that_has_ended_does_not_begin_again_and_a_newer_order_moves_it(
    a_workspace: Callable[..., Workspace], an_event: Callable[..., Event], an_order: Callable[..., Event]
) -> None:
    workspace = a_workspace([an_order(1, days_ago=100)])
    imported(workspace, 1)
    build_snapshot(workspace, NOON)
    seed(workspace, now=NOON)
    with closing(connect(workspace.database)) as connection, transaction(connection):
        (due,) = table.due_rows(connection, now=NOON_US, limit=10)
        assert table.settle(connection, due, status="fired", reason=None)
    seed(workspace, now=NOON)
    assert [row[4] for row in waits(workspace)] == ["fired"]
    logged(workspace, [an_order(1, days_ago=1)])
    seed(workspace, now=NOON)
    assert {row[0]: row[4] for row in waits(workspace)} == {
        "post_purchase_follow_up": "open",
        "second_purchase": "open",
        "win_back": "open",
    }


def test_whoever_was_erased_is_not_seeded_from_an_older_snapshot(
    a_workspace: Callable[..., Workspace], an_order: Callable[..., Event]
) -> None:
    workspace = a_workspace([an_order(1, days_ago=100), an_order(2, days_ago=100)])
    imported(workspace, 2)
    build_snapshot(workspace, NOON)
    with closing(connect(workspace.database)) as connection:
        IdentityTable(connection).forget([1])
    seed(workspace, now=NOON)
    assert [row[1] for row in waits(workspace)] == [2]


def test_joins_are_read_once_for_a_whole_seeding_and_one_that_comes_meanwhile_is_seen(
    a_workspace: Callable[..., Workspace], an_order: Callable[..., Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = a_workspace([an_order(key, days_ago=100) for key in (1, 2, 3)])
    imported(workspace, 3)
    build_snapshot(workspace, NOON)
    n_read, read = 0, all_merges

    def read_and_joined(connection: sqlite3.Connection) -> list[Merge]:
        nonlocal n_read
        merges, n_read = read(connection), n_read + 1
        IdentityTable(connection).alias(previous_id="c3", user_id="c1", at_us=1)
        return merges

    monkeypatch.setattr(seeding, "_AT_ONCE", 1)
    monkeypatch.setattr("features.moments.seeding.all_merges", read_and_joined)
    seed(workspace, now=NOON)
    assert n_read == 1
    assert [row[1] for row in waits(workspace)] == [1, 2]


def test_a_snapshot_that_is_not_whole_yet_seeds_nobody(
    a_workspace: Callable[..., Workspace], an_order: Callable[..., Event]
) -> None:
    workspace = a_workspace([an_order(1, days_ago=100)])
    imported(workspace, 1)
    build_snapshot(workspace, NOON).with_name(MADE_FROM).unlink()
    assert seed(workspace, now=NOON).as_of is None


def test_a_moment_that_no_snapshot_can_start_is_told(workspace: Workspace) -> None:
    changed(workspace, "after: {event: add_to_cart}", "after: {event_name: Quiz Left}")
    assert seed(workspace, now=NOON).not_in_snapshots == ("abandoned_cart",)


def test_a_trigger_whose_event_is_pruned_from_the_log_waits_already(
    workspace: Workspace, an_event: Callable[..., Event]
) -> None:
    logged(workspace, [an_event(1, "Product Added", days_ago=0.5)])
    sync(workspace, now=NOON)
    assert [(row[0], row[1]) for row in waits(workspace)] == [("abandoned_cart", 1)]
