"""What every identity store must do: one person is one customer, whoever says so, in whichever order, also at once.

SQLite today; whichever store comes next joins `STORES` and has to pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.database import connect
from features.identity import IdentityTable
from features.merges import survivor_of, survivors

Open = Callable[[], IdentityTable]


def sqlite(folder: Path) -> Open:
    return lambda: IdentityTable(connect(folder / "rapport.db"))


STORES = {"sqlite": sqlite}


@pytest.fixture(params=list(STORES))
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens the same store once more, as another process would."""
    return STORES[request.param](tmp_path)


@pytest.fixture
def identity(opened: Open) -> IdentityTable:
    return opened()


def test_a_device_never_seen_is_attached_to_its_user_and_nobody_is_merged(identity: IdentityTable) -> None:
    ana = identity.key_or_new("ana")
    assert identity.join(user_id="ana", anonymous_id="phone", at_us=5) == (ana, None, False)
    assert identity.key("phone", "anonymous") == ana
    assert identity.merges() == []
    assert identity.version() == 0  # nobody's key has changed


def test_a_user_never_seen_takes_over_the_history_of_the_device(identity: IdentityTable) -> None:
    phone = identity.key_or_new("phone", "anonymous")
    assert identity.join(user_id="ana", anonymous_id="phone", at_us=5) == (phone, None, False)
    assert identity.key("ana") == phone
    assert identity.merges() == []


def test_two_ids_never_seen_are_one_new_customer(identity: IdentityTable) -> None:
    joined = identity.join(user_id="ana", anonymous_id="phone", at_us=5)
    assert identity.key("ana") == identity.key("phone", "anonymous") == joined.key
    assert identity.join(user_id="ana", anonymous_id="phone", at_us=6) == (joined.key, None, False)


def test_a_known_device_becomes_part_of_the_known_user(identity: IdentityTable) -> None:
    ana, phone = identity.key_or_new("ana"), identity.key_or_new("phone", "anonymous")
    assert identity.join(user_id="ana", anonymous_id="phone", at_us=5) == (ana, phone, False)
    assert identity.key("phone", "anonymous") == ana
    assert identity.keys_of(ana) == identity.keys_of(phone) == (ana, phone)
    assert identity.resolve(phone) == ana
    assert identity.id_of(phone) == identity.id_of(ana) == "ana"
    assert identity.merges() == [(phone, ana, 5)]
    assert identity.version() == 1


def test_a_shared_device_makes_nobody_one_it_follows_the_newest_user(identity: IdentityTable) -> None:
    ana = identity.join(user_id="ana", anonymous_id="tablet", at_us=1).key
    ben = identity.key_or_new("ben")
    assert identity.join(user_id="ben", anonymous_id="tablet", at_us=2) == (ben, None, True)
    assert identity.key("tablet", "anonymous") == ben
    assert identity.key("ana") == ana != ben
    assert identity.keys_of(ana) == (ana,)
    assert (identity.conflicts(), identity.version(), identity.merges()) == (1, 1, [])
    cleo = identity.join(user_id="cleo", anonymous_id="tablet", at_us=3)
    assert cleo.is_conflict
    assert cleo.key not in (ana, ben)


def test_alias_makes_two_users_one(identity: IdentityTable) -> None:
    old, new = identity.key_or_new("ana@old"), identity.key_or_new("ana@new")
    assert identity.alias(previous_id="ana@old", user_id="ana@new", at_us=9) == (new, old, False)
    assert identity.key("ana@old") == new
    assert identity.alias(previous_id="ana@old", user_id="ana@new", at_us=10) == (new, None, False)
    assert identity.alias(previous_id="ana@new", user_id="ana@old", at_us=11) == (new, None, False)


def test_alias_to_an_id_never_seen_renames(identity: IdentityTable) -> None:
    old = identity.key_or_new("lead-7")
    assert identity.alias(previous_id="lead-7", user_id="ana", at_us=9) == (old, None, False)
    assert identity.key("ana") == old


def test_alias_from_an_id_never_seen_awaits_its_events_of_either_kind(identity: IdentityTable) -> None:
    ana = identity.key_or_new("ana")
    identity.alias(previous_id="still-on-its-way", user_id="ana", at_us=9)
    assert identity.key("still-on-its-way") == identity.key("still-on-its-way", "anonymous") == ana


def test_alias_from_a_shared_device_makes_no_two_users_one(identity: IdentityTable) -> None:
    identity.join(user_id="ana", anonymous_id="tablet", at_us=1)
    ben = identity.key_or_new("ben")
    assert identity.alias(previous_id="tablet", user_id="ben", at_us=2) == (ben, None, True)


NAMES = ("ana", "ben", "phone", "tablet", "new")
said = st.one_of(
    st.tuples(st.just("alias"), st.sampled_from(NAMES), st.sampled_from(NAMES)),  # also of an id to itself
    st.tuples(st.just("join"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.sampled_from(["user", "anonymous"]), st.sampled_from(NAMES), st.none()),
)


@settings(max_examples=40, deadline=None)
@given(calls=st.lists(said, max_size=10))
def test_whatever_is_said_of_ids_is_taken_and_every_id_stays_at_a_survivor(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str, str, str | None]]
) -> None:
    identity = IdentityTable(connect(tmp_path_factory.mktemp("ids") / "rapport.db"))
    for at_us, (what, one, other) in enumerate(calls):
        if other is None:
            identity.key_or_new(one, "user" if what == "user" else "anonymous")
            continue
        n_merges = len(identity.merges())
        if what == "join":
            joined = identity.join(user_id=one, anonymous_id=other, at_us=at_us)
        else:
            joined = identity.alias(previous_id=other, user_id=one, at_us=at_us)
        assert identity.key(one) == identity.resolve(joined.key) == joined.key
        assert len(identity.merges()) - n_merges == (joined.merged_from is not None)
        assert what == "join" or one != other or joined.merged_from is None
    for customer_id, _, key, _ in zip(*identity.as_arrow().to_pydict().values(), strict=True):
        assert identity.resolve(key) == key, customer_id


def test_an_alias_of_an_id_to_itself_says_nothing(identity: IdentityTable) -> None:
    new = identity.alias(previous_id="ana", user_id="ana", at_us=5)
    assert new == identity.alias(previous_id="ana", user_id="ana", at_us=6) == (identity.key("ana"), None, False)
    phone = identity.key_or_new("phone", "anonymous")
    assert identity.alias(previous_id="phone", user_id="phone", at_us=7).key != phone
    assert (identity.merges(), identity.version()) == ([], 0)


def test_chains_of_joins_end_at_one_survivor(identity: IdentityTable) -> None:
    phone = identity.key_or_new("phone", "anonymous")
    ana, anna = identity.key_or_new("ana"), identity.key_or_new("anna")
    identity.join(user_id="ana", anonymous_id="phone", at_us=1)
    identity.alias(previous_id="ana", user_id="anna", at_us=2)
    assert identity.keys_of(anna) == (anna, *sorted((phone, ana)))
    assert [identity.resolve(key) for key in (phone, ana, anna)] == [anna] * 3
    assert identity.key("phone", "anonymous") == anna
    assert survivors(identity.merges()) == {phone: anna, ana: anna}


def test_ids_of_either_kind_are_found_the_users_first(identity: IdentityTable) -> None:
    user, device = identity.key_or_new("7"), identity.key_or_new("7", "anonymous")
    phone = identity.key_or_new("phone", "anonymous")
    assert [identity.key_said(one) for one in ("7", "phone", "new")] == [user, phone, None]
    found = identity.keys_said(["7", "phone", "new"])
    assert found == {"7": user, "phone": phone, "new": identity.key("new")}
    assert device != user


def test_whoever_is_forgotten_moves_the_version_and_keeps_no_id(identity: IdentityTable) -> None:
    ana = identity.join(user_id="ana", anonymous_id="phone", at_us=1).key
    assert identity.forget([ana]) == 2
    assert identity.key("ana") is None
    assert identity.version() == 1
    assert identity.key_or_new("ana") > ana


USERS, DEVICES = ("ana", "ben", "cleo"), ("phone", "tablet", "laptop")
calls = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(USERS), st.sampled_from(DEVICES)),
        st.tuples(st.sampled_from(USERS), st.none()),
        st.tuples(st.none(), st.sampled_from(DEVICES)),
    ),
    max_size=16,
)


@settings(max_examples=40, deadline=None)
@given(calls=calls, sizes=st.lists(st.integers(1, 6), min_size=1, max_size=16))
def test_calls_in_batches_come_to_what_calls_one_by_one_come_to(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[str | None, str | None]], sizes: list[int]
) -> None:
    batched, single = (IdentityTable(connect(tmp_path_factory.mktemp("ids") / "rapport.db")) for _ in range(2))
    alone = [single.join_many([call], at_us=1)[0] for call in calls]
    together, start = [], 0
    for size in sizes * len(calls):
        together += batched.join_many(calls[start : start + size], at_us=1)
        start += size
    names = [(name, "user") for name in USERS] + [(name, "anonymous") for name in DEVICES]
    for table, joined in ((batched, together), (single, alone)):
        for (user, device), one in zip(calls, joined, strict=True):  # every answer is a key of the person it named
            assert one.key in table.keys_of(one.key)
            assert user is None or table.key(user) == table.resolve(one.key)
            assert user is not None or device is not None
    groups = [
        {frozenset(name for name in names if table.key(*name) == key) for key in {table.key(*name) for name in names}}  # type: ignore[arg-type]
        for table in (batched, single)
    ]
    assert groups[0] == groups[1]
    assert batched.conflicts() == single.conflicts()


def test_joins_from_many_threads_leave_one_customer_a_person_and_every_id_at_its_survivor(opened: Open) -> None:
    opened()
    n_people, barrier = 12, threading.Barrier(4)

    def call(worker: int) -> None:
        table = opened()
        barrier.wait()
        for person in range(n_people):
            user, device, phone = f"user-{person}", f"device-{person}", f"phone-{person}"
            steps: list[Callable[[], object]] = [
                partial(table.key_or_new, user),
                partial(table.key_or_new, device, "anonymous"),
                partial(table.join, user_id=user, anonymous_id=device, at_us=1),
                partial(table.join, user_id=user, anonymous_id=phone, at_us=1),
            ]
            for step in steps[worker:] + steps[:worker]:
                step()

    threads = [threading.Thread(target=call, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    identity = opened()
    people = set()
    for person in range(n_people):
        key = identity.key(f"user-{person}")
        assert key is not None
        assert key == identity.key(f"device-{person}", "anonymous") == identity.key(f"phone-{person}", "anonymous")
        assert identity.resolve(key) == key
        people.add(key)
    assert len(people) == n_people
    assert identity.conflicts() == 0
    assert all(identity.resolve(merge.from_key) in people for merge in identity.merges())
    assert survivor_of(identity._connection, 10**9) == 10**9
