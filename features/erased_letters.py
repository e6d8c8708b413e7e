"""Calls that could not be taken and that name an erased person: found before the transaction, removed inside it.

A letter is found by the columns that say whose it is, and by its body: whoever it was sent for, it may name the person
beside them. Looking through the bodies takes as long as there are letters; that is done while others write.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_OF_WHOM = ("user_id", "anonymous_id", "previous_id")
_SAID = frozenset({"body", "context"})  # as it was sent, and what its batch said of all its calls
_SAYS_WHOM = ("userId", "anonymousId", "previousId")  # where a number is an id and no quantity


@dataclass(frozen=True, slots=True)
class Letters:
    """The numbers of letters that name a person, among those up to a number."""

    numbers: tuple[int, ...] = ()
    through: int = 0


NO_LETTERS = Letters()


def letters_naming(connection: sqlite3.Connection, ids: Sequence[str], *, after: int = 0) -> Letters:
    """Those that name any of these ids.

    As whose they are, as a string of their JSON however that is escaped, or as a word of what is no JSON.

    Args:
        connection: to the workspace's database.
        ids: every outside id of the person.
        after: the number up to which letters have been looked at already.
    """
    columns = {row[1] for row in connection.execute("PRAGMA table_info(dead_letters)")}
    if not columns or not ids:
        return NO_LETTERS
    (through,) = connection.execute("SELECT coalesce(max(number), 0) FROM dead_letters").fetchone()
    whose = [name for name in _OF_WHOM if name in columns]
    marks = ", ".join("?" * len(ids))
    named = " UNION ".join(f"SELECT number FROM dead_letters WHERE {name} IN ({marks})" for name in whose)
    numbers = {row[0] for row in connection.execute(named, [*ids] * len(whose))}
    # Where neither the id's bytes nor any escape stand, nothing of it can be said.
    looked_for = [b"\\", *(one.encode("utf-8", "surrogatepass") for one in ids)]
    for said in _SAID & columns:
        may_name = " OR ".join([f"instr({said}, ?) > 0"] * len(looked_for))
        query = f"SELECT number, {said} FROM dead_letters WHERE number > ? AND number <= ? AND ({may_name})"
        rows = connection.execute(query, (after, through, *looked_for))
        numbers |= {number for number, text in rows if _names(bytes(text), ids)}
    return Letters(tuple(sorted(numbers)), through)


def forget_letters(connection: sqlite3.Connection, ids: Sequence[str], found: Letters) -> int:
    """Removes those that were found, and what has come since, in the caller's transaction; gives how many."""
    late = letters_naming(connection, ids, after=found.through)
    numbers = sorted({*found.numbers, *late.numbers})
    return sum(
        connection.execute("DELETE FROM dead_letters WHERE number = ?", (number,)).rowcount for number in numbers
    )


def _names(body: bytes, ids: Sequence[str]) -> bool:
    text = body.decode("utf-8", "replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text) for one in ids)
    return not set(_strings(said)).isdisjoint(ids)


def _strings(said: Any) -> Iterator[str]:
    """Every string of a JSON value, names too, and numbers that say whose it is."""
    rest = [said]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            rest.extend(one)
        elif isinstance(one, dict):
            yield from one
            yield from (str(one[name]) for name in _SAYS_WHOM if isinstance(one.get(name), int))
            rest.extend(one.values())
