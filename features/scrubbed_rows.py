"""What the database holds of withdrawn purposes: looked for while others write, taken out a few people at a time.

A row is replaced only where it still says what was read; what has changed meanwhile is looked at again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from features.brand import Brand
from features.database import transaction
from features.erasure import LATE_US
from features.evidence import Withdrawal
from features.lake import instant_us
from features.texts import has_texts
from features.withdrawing import payload_without, record_without

_INPUTS = "inputs"
PEOPLE_AT_ONCE = 50  # of whom rows are replaced in one transaction: decisions wait for milliseconds


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with withdrawn purposes: under which keys, which, and until when decisions may have used them."""

    keys: tuple[int, ...]
    withdrawals: tuple[Withdrawal, ...]
    asked: frozenset[str]  # traits that were asked for these purposes, whatever their own purpose is

    @property
    def until_us(self) -> int:
        """Until when a decision may have been made that used what was withdrawn."""
        return max(instant_us(one.received_at) for one in self.withdrawals) + LATE_US

    @property
    def purposes(self) -> frozenset[str]:
        """What they have withdrawn."""
        return frozenset(one.purpose for one in self.withdrawals)


class _Edit(NamedTuple):
    """One value that is to be replaced, as it was read."""

    table: str
    column: str
    id_column: str
    row_id: object
    before: str
    after: str | None


def scrub_rows(
    connection: sqlite3.Connection,
    people: Sequence[Person],
    traits: Collection[str],
    *,
    brand: Brand,
    purposes: Collection[str],
) -> tuple[int, int]:
    """Takes what people said out of log, texts, records and kept answers.

    Args:
        connection: in no transaction.
        people: with the same withdrawn purposes.
        traits: those of these purposes.
        brand: whose event names count.
        purposes: the withdrawn ones.

    Returns:
        How many statements, and how many records and kept answers.
    """
    n_statements = n_records = 0
    for start in range(0, len(people), PEOPLE_AT_ONCE):
        batch = people[start : start + PEOPLE_AT_ONCE]
        keys = [key for person in batch for key in person.keys]
        while True:
            edits = list(_edits(connection, batch, keys, traits, brand=brand, purposes=purposes))
            n_texts = _texts(connection, "SELECT count(*)", keys, traits, purposes)
            if not edits and not n_texts:
                break
            with transaction(connection):
                for edit in edits:
                    n_replaced = _replace(connection, edit)
                    if edit.table == "event_log":
                        n_statements += n_replaced
                    elif edit.column != _INPUTS:  # of a record that is counted already
                        n_records += n_replaced
                n_statements += _texts(connection, "DELETE", keys, traits, purposes)
    return n_statements, n_records


def _replace(connection: sqlite3.Connection, edit: _Edit) -> int:
    query = f"UPDATE {edit.table} SET {edit.column} = ? WHERE {edit.id_column} = ? AND {edit.column} = ?"
    return connection.execute(query, (edit.after, edit.row_id, edit.before)).rowcount


def _edits(
    connection: sqlite3.Connection,
    people: Sequence[Person],
    keys: Sequence[int],
    traits: Collection[str],
    *,
    brand: Brand,
    purposes: Collection[str],
) -> Iterator[_Edit]:
    marks = ", ".join(str(key) for key in keys)
    rows = connection.execute(f"SELECT log_seq, payload FROM event_log WHERE customer_key IN ({marks})").fetchall()
    for log_seq, payload in rows:
        left = payload_without(payload, traits, brand, purposes=purposes)
        if left is not None:
            yield _Edit("event_log", "payload", "log_seq", log_seq, payload, left)
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "decisions" in tables:
        for person in people:
            yield from _records(connection, person, {*traits, *person.asked}, has_answers="answers" in tables)


def _records(
    connection: sqlite3.Connection, person: Person, traits: Collection[str], *, has_answers: bool
) -> Iterator[_Edit]:
    """The decisions of before a purpose's withdrawal was committed, each once, and the answers kept for their retries.

    Between its arrival and its commit decisions are made that do not know of it yet: none later than LATE_US after.
    """
    marks, values = ", ".join(str(key) for key in person.keys), (person.until_us, json.dumps(sorted(person.purposes)))
    missing = (
        "EXISTS (SELECT 1 FROM json_each(?2) AS p WHERE p.value NOT IN "
        "(SELECT value FROM json_each(coalesce(json_extract({text}, '$.withdrawn'), '[]'))))"
    )
    mine = f"customer_key IN ({marks}) AND decided_at < ?1"
    found = {"decisions": f"SELECT decision_id, record FROM decisions WHERE {mine} AND {missing.format(text='record')}"}
    if has_answers:
        found["answers"] = (
            f"SELECT decision_id, answer FROM answers WHERE {missing.format(text='answer')} AND decision_id IN "
            f"(SELECT decision_id FROM decisions WHERE {mine})"
        )
    columns = {"decisions": "record", "answers": "answer"}
    if _keeps_inputs(connection):  # all of it goes: what a customer said is in its numbers too
        query = f"SELECT decision_id, inputs FROM decisions WHERE {mine} AND inputs IS NOT NULL"
        for decision_id, text in connection.execute(query, values[:1]).fetchall():
            yield _Edit("decisions", _INPUTS, "decision_id", decision_id, text, None)
    for table, query in found.items():
        for decision_id, text in connection.execute(query, values).fetchall():
            left = record_without(text, traits, person.purposes)
            yield _Edit(table, columns[table], "decision_id", decision_id, text, left)


def _keeps_inputs(connection: sqlite3.Connection) -> bool:
    query = "SELECT 1 FROM pragma_table_info('decisions') WHERE name = ?"
    return connection.execute(query, (_INPUTS,)).fetchone() is not None


def _texts(
    connection: sqlite3.Connection, what: str, keys: Sequence[int], traits: Collection[str], purposes: Collection[str]
) -> int:
    """Counts or deletes free text about these traits, and what was given for these purposes by its own words."""
    if not has_texts(connection):
        return 0
    marks = ", ".join(str(key) for key in keys)
    query = (
        f"{what} FROM texts WHERE customer_key IN ({marks}) AND (trait IN (SELECT value FROM json_each(?)) "
        "OR purpose IN (SELECT value FROM json_each(?)))"
    )
    done = connection.execute(query, (json.dumps(sorted(traits)), json.dumps(sorted(purposes))))
    return done.rowcount if what == "DELETE" else int(done.fetchone()[0])
