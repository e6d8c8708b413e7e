"""Event ids are taken once, for ever: through folds, rollbacks, other processes and connections."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import message_ids
from features.database import connect, create_tables, transaction
from features.message_ids import MessageIds, message_id

FOLDED_AT = 24


class UndoneError(Exception):
    """The transaction is not to stand."""


def open_ids(path: Path) -> MessageIds:
    connection = connect(path)
    connection.isolation_level = None
    create_tables(connection, message_ids.SCHEMA)
    return MessageIds(connection, folded_at=FOLDED_AT)


def another_process(ids: MessageIds) -> None:
    """What this process remembers is of no use to another: each has its own memory."""
    ids._memory = message_ids._Memory()


steps = st.lists(
    st.tuples(
        st.integers(0, 2),  # which of two processes, or the first over another connection
        st.lists(st.lists(st.integers(0, 80), max_size=12), min_size=1, max_size=3),  # takes of one transaction
        st.booleans(),  # whether it stands
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_an_id_is_new_exactly_once_whatever_is_folded_undone_or_done_by_others(
    steps: list[tuple[int, list[list[int]], bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rapport.db"
        processes = [open_ids(path), open_ids(path), open_ids(path)]
        another_process(processes[1])
        taken: set[bytes] = set()
        for which, takes, stands in steps:
            ids, seen = processes[which], set(taken)
            try:
                with transaction(ids._connection):
                    for numbers in takes:
                        asked = [message_id(str(number)) for number in numbers]
                        expected = []
                        for place, id_ in enumerate(asked):
                            if id_ not in seen:
                                expected.append(place)
                                seen.add(id_)
                        assert ids.take(asked) == expected
                    if not stands:
                        raise UndoneError
                taken = seen
            except UndoneError:
                pass
        for ids in processes:
            ids._connection.close()


def test_ids_are_folded_into_the_large_table_and_memory_lets_go_of_them(tmp_path: Path) -> None:
    ids = open_ids(tmp_path / "rapport.db")
    for start in range(0, 600, 6):
        with transaction(ids._connection):
            ids.take([message_id(str(number)) for number in range(start, start + 6)])
    (n_folded,) = ids._connection.execute("SELECT count(*) FROM message_ids").fetchone()
    assert n_folded > 600 - 3 * FOLDED_AT
    assert ids._memory.n_ids < 3 * FOLDED_AT
    with transaction(ids._connection):
        assert ids.take([message_id(str(number)) for number in range(600)]) == []


def test_a_process_that_starts_later_knows_ids_that_are_not_folded_yet(tmp_path: Path) -> None:
    with closing(open_ids(tmp_path / "rapport.db")._connection) as connection, transaction(connection):
        MessageIds(connection).take([message_id("a"), message_id("b")])
    later = open_ids(tmp_path / "rapport.db")
    another_process(later)
    with transaction(later._connection):
        assert later.take([message_id("b"), message_id("c"), message_id("c")]) == [1]


def test_a_database_put_in_the_place_of_another_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "rapport.db"
    for _ in range(2):
        ids = open_ids(path)
        with transaction(ids._connection):
            assert ids.take([message_id("a")]) == [0]
        ids._connection.close()
        for file in tmp_path.iterdir():
            file.unlink()


@pytest.mark.parametrize("event_id", ["", "x" * 10_000, "ünïcode", "\ud800"])
def test_any_text_has_a_fingerprint(event_id: str) -> None:
    assert len(message_id(event_id)) == message_ids.BYTES
