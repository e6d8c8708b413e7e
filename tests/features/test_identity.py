"""Outside ids and customer keys."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from features.database import connect
from features.identity import IdentityTable


@pytest.fixture
def identity(tmp_path: Path) -> IdentityTable:
    return IdentityTable(connect(tmp_path / "state" / "rapport.db"))


def test_an_id_never_seen_has_no_key_until_it_is_given_one(identity: IdentityTable) -> None:
    assert identity.key("ana") is None
    key = identity.key_or_new("ana")
    assert identity.key("ana") == key
    assert identity.key_or_new("ana") == key
    assert identity.id_of(key) == "ana"


def test_a_user_and_a_device_of_the_same_name_are_two(identity: IdentityTable) -> None:
    assert identity.key_or_new("7", "user") != identity.key_or_new("7", "anonymous")


def test_many_ids_get_keys_in_the_order_given(identity: IdentityTable) -> None:
    identity.key_or_new("b")
    assert identity.keys_for(["c", "b", "a", "c"]) == {"b": 1, "c": 2, "a": 3}


def test_more_ids_than_one_query_takes_are_all_found_again(identity: IdentityTable) -> None:
    ids = [f"customer {n}" for n in range(1_501)]
    keys = identity.keys_for(ids)
    assert len(set(keys.values())) == 1_501
    assert identity.keys_for(ids) == keys


def test_a_key_is_not_given_again_after_its_customer_is_erased(tmp_path: Path) -> None:
    connection = connect(tmp_path / "rapport.db")
    identity = IdentityTable(connection)
    erased = identity.key_or_new("gone")
    connection.execute("DELETE FROM identity")
    connection.commit()
    assert identity.key_or_new("next") > erased


def test_when_a_customer_was_first_seen_is_kept(identity: IdentityTable) -> None:
    identity.keys_for(["ana"], first_seen_at={"ana": 123})
    identity.keys_for(["ana"], first_seen_at={"ana": 999})
    assert identity.as_arrow().to_pylist() == [
        {"customer_id": "ana", "kind": "user", "customer_key": 1, "first_seen_at": 123}
    ]


def test_two_threads_asking_for_the_same_new_id_get_one_key(tmp_path: Path) -> None:
    IdentityTable(connect(tmp_path / "rapport.db"))
    keys: list[int] = []

    def ask() -> None:
        connection = connect(tmp_path / "rapport.db")
        keys.extend(IdentityTable(connection).keys_for([f"c{n}" for n in range(50)]).values())
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 4 * 50
    assert len(set(keys)) == 50


def test_inside_a_transaction_a_key_stands_or_falls_with_it(tmp_path: Path) -> None:
    connection = connect(tmp_path / "rapport.db")
    identity = IdentityTable(connection)
    connection.execute("BEGIN IMMEDIATE")
    identity.key_or_new("ana")
    connection.rollback()
    assert identity.key("ana") is None
