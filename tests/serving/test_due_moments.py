"""From an event in the log to a moment that a consumer reads: each comes once, by the state at that instant."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.erasure import erase
from features.identity import IdentityTable
from features.moments import table
from features.online import OnlineFeatures
from features.packing import CustomerState
from serving.engine import Engine
from serving.refusals import RequestRefused
from tests.serving.conftest import starter
from tests.serving.moments_world import BRAND, World, with_these_moments
from tests.serving.tiny_world import Clock

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    workspace = with_these_moments(starter(tmp_path_factory.mktemp("moments") / "shop"))
    clock = Clock()
    with Engine(workspace, clock=clock) as engine:
        world = World(engine, clock)
        yield world
        world.evaluator.close()


def test_a_cart_that_was_left_comes_after_its_wait_and_not_before(world: World) -> None:
    key = world.customer()
    world.put_in_cart(key)
    world.later(hours=2.9)
    assert world.moments_of(key) == []
    world.later(hours=0.2)
    world.later(hours=1)
    assert world.moments_of(key) == ["abandoned_cart"]


def test_who_ordered_meanwhile_is_left_alone_and_the_reason_is_kept(world: World) -> None:
    key = world.customer()
    world.put_in_cart(key)
    world.later(hours=1)
    world.ordered(key)
    world.later(hours=2.5)
    assert world.moments_of(key) == []
    assert world.waits_of(key)["abandoned_cart"] == ("closed", "when")


def test_a_newer_trigger_starts_the_wait_again(world: World) -> None:
    key = world.customer()
    world.put_in_cart(key)
    world.later(hours=2)
    world.put_in_cart(key)
    world.later(hours=2)
    assert world.moments_of(key) == []
    world.later(hours=1.1)
    assert world.moments_of(key) == ["abandoned_cart"]


def test_an_older_event_that_arrives_late_does_not_bring_it_again(world: World) -> None:
    key = world.customer()
    world.put_in_cart(key)
    world.later(hours=4)
    world.put_in_cart(key, late_by=timedelta(hours=30))
    world.later(hours=100)
    assert world.moments_of(key) == ["abandoned_cart"]


def test_it_comes_at_most_once_in_its_days_and_again_after_them(world: World) -> None:
    key = world.customer()
    world.put_in_cart(key)
    world.later(hours=4)
    world.put_in_cart(key)
    world.later(hours=4)
    assert world.waits_of(key)["abandoned_cart"] == ("closed", "too_soon")
    world.clock.now += timedelta(days=2)
    world.put_in_cart(key)
    world.later(hours=4)
    assert world.moments_of(key) == ["abandoned_cart"] * 2


def test_what_could_not_be_said_in_time_is_not_said_late(world: World) -> None:
    key = world.customer()
    world.put_in_cart(key)
    world.evaluator.follow()
    world.later(days=3)
    assert world.moments_of(key) == []
    assert world.waits_of(key)["abandoned_cart"] == ("closed", "expired")
    stale = world.customer()
    world.put_in_cart(stale, late_by=timedelta(days=3))
    world.later(hours=0)
    assert world.waits_of(stale) == {}


def test_a_condition_on_what_nobody_knows_closes_it_as_unknown(world: World) -> None:
    silent, told = world.customer(), world.customer()
    world.happened(told, "Question Answered", trait="skin_need", answer="acne")
    for key in (silent, told):
        world.happened(key, "Quiz Left")
    world.later(hours=1)
    assert world.waits_of(silent)["quiz_left"] == ("closed", "when_unknown: 'skin_need' is not known.")
    assert world.moments_of(told) == ["quiz_left"]


def test_counts_over_windows_are_of_the_instant_of_the_look(world: World) -> None:
    key = world.customer()
    world.ordered(key)
    world.later(hours=1)
    state = world.engine.online.read_current(key, at=world.clock.now)
    assert isinstance(state, CustomerState)
    assert state.vector[world.engine.schema.numeric.index("n_orders_7d")] == 1
    world.later(days=8)
    assert "quiet_week" in world.moments_of(key)


def test_of_whom_nothing_is_known_yet_it_is_put_off_until_it_expires(world: World) -> None:
    key = world.customer()
    at = int(world.clock.now.timestamp() * 1e6)
    trigger = table.Trigger("abandoned_cart", key, at)
    rules = world.evaluator._rules
    world.engine.ledger.write(lambda connection: table.arm(connection, [trigger], rules, now=at))
    assert world.later(hours=3).n_put_off == 1
    assert world.later(minutes=9).n_put_off == 0
    assert world.later(minutes=2).n_put_off == 1
    assert world.waits_of(key)["abandoned_cart"] == ("open", "unknown_customer")
    world.later(days=2)
    assert world.waits_of(key)["abandoned_cart"] == ("closed", "expired")


def test_joined_customers_wait_as_one_and_it_comes_once_for_both(world: World) -> None:
    def join(connection: sqlite3.Connection) -> tuple[int, int]:
        identity = IdentityTable(connection)
        user, device = identity.key_or_new("joined-u"), identity.key_or_new("joined-a", "anonymous")
        return int(user), int(device)

    user, device = world.engine.ledger.write(join)
    world.put_in_cart(device)
    world.evaluator.follow()
    world.clock.now += timedelta(hours=1)
    world.put_in_cart(user)
    world.evaluator.follow()
    at_us = int(world.clock.now.timestamp() * 1e6)
    world.engine.ledger.write(
        lambda connection: IdentityTable(connection).join(user_id="joined-u", anonymous_id="joined-a", at_us=at_us)
    )
    world.later(hours=2.5)
    assert world.moments_of(user, device) == []  # the device's wait is over, the person's is not
    world.later(hours=1)
    assert world.moments_of(user, device) == ["abandoned_cart"]
    assert world.waits_of(device) == {}


def test_a_moment_of_before_the_join_counts_for_both_and_goes_by_the_id_that_stands(world: World) -> None:
    def keys(connection: sqlite3.Connection) -> tuple[int, int]:
        identity = IdentityTable(connection)
        return int(identity.key_or_new("later-u")), int(identity.key_or_new("later-a", "anonymous"))

    user, device = world.engine.ledger.write(keys)
    world.put_in_cart(device)
    world.later(hours=4)
    assert world.moments_of(device) == ["abandoned_cart"]
    at_us = int(world.clock.now.timestamp() * 1e6)
    world.engine.ledger.write(
        lambda connection: IdentityTable(connection).join(user_id="later-u", anonymous_id="later-a", at_us=at_us)
    )
    world.put_in_cart(user)
    world.later(hours=4)
    assert world.waits_of(user)["abandoned_cart"] == ("closed", "too_soon")
    assert [one["moment"] for one in world.told()["moments"] if one["customer_id"] == "later-u"] == ["abandoned_cart"]


def test_an_order_between_the_look_and_the_writing_is_seen(world: World) -> None:
    key = world.customer()
    world.put_in_cart(key)
    world.later(hours=2)
    judge = world.evaluator._judge

    def judge_then_order(due: Any, at: datetime) -> Any:
        verdicts = judge(due, at)
        if any(row.customer_key == key for row in due):
            world.evaluator._judge = judge  # type: ignore[method-assign]
            world.ordered(key)
        return verdicts

    world.evaluator._judge = judge_then_order  # type: ignore[method-assign]
    world.later(hours=1.5)
    assert world.waits_of(key)["abandoned_cart"] == ("open", None)
    world.later(seconds=1)
    assert world.moments_of(key) == []
    assert world.waits_of(key)["abandoned_cart"] == ("closed", "when")


def test_whoever_was_erased_is_in_no_answer_and_the_cursor_goes_on(world: World) -> None:
    key, other = world.customer(), world.customer()
    for one in (key, other):
        world.put_in_cart(one)
    before = world.told()["next"]
    world.later(hours=4)
    assert world.moments_of(key, other) == ["abandoned_cart"] * 2
    name = world.engine.id_of(key)
    assert name is not None
    world.put_in_cart(key)  # the next one waits already
    world.evaluator.follow()
    receipt = erase(world.engine.workspace, name, now=world.clock.now)
    assert "moments" in json.dumps(receipt)
    told = world.told(since=before)
    assert [one["customer_id"] for one in told["moments"]] == [world.engine.id_of(other)]
    assert (world.moments_of(key), world.waits_of(key)) == ([], {})
    newest = world.told()["next"]
    world.put_in_cart(last := world.customer())
    world.later(hours=4)
    assert world.moments_of(last) == ["abandoned_cart"]
    assert world.told(since=newest)["next"] > newest


def test_the_answer_says_what_when_and_why(world: World) -> None:
    key = world.customer()
    at = world.clock.now
    world.put_in_cart(key)
    world.later(hours=3.5)
    told = world.told(moment="abandoned_cart")["moments"][-1]
    assert told | {"moment_seq": 0} == {
        "moment_seq": 0,
        "moment": "abandoned_cart",
        "customer_id": world.engine.id_of(key),
        "placement": "weekly_message",
        "due_at": (at + timedelta(hours=3)).isoformat(),
        "fired_at": (at + timedelta(hours=3.5)).isoformat(),
        "expires_at": (at + timedelta(hours=3, days=2)).isoformat(),
        "why": {"event": "Product Added", "event_at": at.isoformat(), "when": "!ordered_since_trigger"},
    }


@given(limits=st.lists(st.integers(1, 4), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None)
def test_a_consumer_who_follows_the_cursor_gets_each_moment_once_in_order(world: World, limits: list[int]) -> None:
    if not world.told()["moments"]:
        for key in [world.customer() for _ in range(5)]:
            world.put_in_cart(key)
        world.later(hours=4)
    every = [one["moment_seq"] for one in world.told()["moments"]]
    seen, since = [], 0
    for limit in itertools.cycle(limits):
        told = world.told(since=since, limit=limit)
        if not told["moments"] and not told["is_more"]:
            break
        seen += [one["moment_seq"] for one in told["moments"]]
        since = told["next"]
    assert seen == every == sorted(set(every))


def test_a_cursor_of_another_database_is_refused(world: World) -> None:
    with pytest.raises(RequestRefused, match="a cursor of another database"):
        world.told(since=10**9)


def test_a_changed_wait_holds_for_what_waits_already_and_a_moment_taken_out_is_closed(tmp_path: Path) -> None:
    workspace, clock = with_these_moments(starter(tmp_path / "shop")), Clock()
    with Engine(workspace, clock=clock) as engine:
        world = World(engine, clock)
        key = world.customer()
        world.put_in_cart(key)
        world.ordered(key, late_by=timedelta(minutes=1))
        world.later(hours=0)
        world.evaluator.close()
    shorter = BRAND.replace("wait_hours: 3", "wait_hours: 1").replace("  thanks:", "  thank_you:")
    text = workspace.brand_file.read_text("utf-8").replace(BRAND, shorter)
    workspace.brand_file.write_text(text, "utf-8")
    with Engine(workspace, clock=clock) as engine:
        world = World(engine, clock)
        world.later(hours=1)
        assert world.moments_of(key) == ["abandoned_cart"]
        world.later(hours=24)
        assert world.waits_of(key)["thanks"] == ("closed", "not_in_brand")
        world.evaluator.close()


def test_a_row_that_was_made_for_a_look_is_not_kept_in_the_process(tmp_path: Path) -> None:
    workspace, clock = with_these_moments(starter(tmp_path / "shop")), Clock()
    with Engine(workspace, clock=clock) as engine:
        world = World(engine, clock)
        key = world.customer()
        world.ordered(key)
        engine.online.read_current(key, at=clock.now)
        world.later(days=8, minutes=1)  # the row is older than a day: it is made anew for the look
        assert engine.online._unwritten == {}
        at = clock.now + timedelta(days=1)
        with contextlib.closing(OnlineFeatures.open(workspace)) as elsewhere:  # as `rapport run` does
            elsewhere.materialize(at)
        state = engine.online.read(key)
        assert isinstance(state, CustomerState)
        assert state.as_of == at
        world.evaluator.close()


def test_one_customer_whose_row_cannot_be_made_keeps_nobody_elses_moments(tmp_path: Path) -> None:
    workspace, clock = with_these_moments(starter(tmp_path / "shop")), Clock()
    sql = "SELECT customer_key, max(CAST(step AS INTEGER)) AS steps FROM events GROUP BY customer_key"
    (workspace.sql_folder / "steps.sql").write_text(sql, "utf-8")
    with Engine(workspace, clock=clock) as engine:
        world = World(engine, clock)
        before, broken, after = (world.customer() for _ in range(3))
        for key in (before, broken, after):
            world.put_in_cart(key, step="first" if key == broken else "1")
        done = world.later(hours=4)
        assert (done.n_fired, done.n_put_off) == (2, 1)
        assert world.moments_of(before, after) == ["abandoned_cart"] * 2
        assert world.waits_of(broken) == {"abandoned_cart": ("open", "not_recomputed")}
        world.evaluator.close()
