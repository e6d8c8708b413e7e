"""Which event ids were ever taken: exact, for ever, at a price that hardly grows with their number.

Ids are random, so that each one put into a large B-tree dirties a page of its own: 4 KiB written twice for 16 bytes,
three quarters of what a durable event cost. So new ids are appended, one row a write (`recent_message_ids`), where
every process reads them into memory; slice by slice they are folded into `message_ids` in its own order, where
neighbours share a page. An id is taken if it is in either.

The invariant: whoever asks holds the database's write lock, and memory holds the ids of exactly the recent rows that
the database holds now. A row's token tells whether it is the one that was read or, after a rollback, another of the
same number; one that is there proves all before it: rows are appended under the lock, and deleted from the front.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

SCHEMA = """
CREATE TABLE IF NOT EXISTS message_ids (
    id BLOB PRIMARY KEY                 -- blake2b, 128 bits, of the event_id
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recent_message_ids (
    run   INTEGER PRIMARY KEY AUTOINCREMENT,
    token INTEGER NOT NULL,             -- random
    ids   BLOB NOT NULL                 -- as in message_ids, one after the other
) STRICT;
CREATE TABLE IF NOT EXISTS message_ids_fold (   -- one row: recent rows up to `through` are folded in from `slice` on
    through INTEGER NOT NULL,
    slice   INTEGER NOT NULL
) STRICT;
INSERT INTO message_ids_fold SELECT 0, 0 WHERE NOT EXISTS (SELECT 1 FROM message_ids_fold);
"""
TABLES = ("message_ids", "recent_message_ids", "message_ids_fold")

BYTES = 16
_SLICES = 256  # by an id's first byte
_FOLDED_PER_TAKEN = 2  # while they are folded; so at most half as many again are waiting when they are done
_TOGETHER = (
    512,
    64,
    8,
    1,
)  # rows of one statement: Python lets go of its lock, and waits for it again, once a statement


def message_id(event_id: str) -> bytes:
    """The fingerprint by which an event_id is known for ever: 128 bits, never twice by chance."""
    return blake2b(event_id.encode("utf-8", "surrogatepass"), digest_size=BYTES).digest()


class _Run(NamedTuple):
    number: int
    token: int
    ids: bytes


class _Memory:
    """The recent ids of one database, for every connection of this process to it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owed = 0  # how many ids are to be folded in before the next are taken
        self.clear()

    def clear(self) -> None:
        self.runs: deque[_Run] = deque()
        self.slices: list[set[bytes]] = [set() for _ in range(_SLICES)]
        self.n_ids = 0

    def add(self, run: _Run) -> None:
        self.runs.append(run)
        for id_ in _split(run.ids):
            self.slices[id_[0]].add(id_)
        self.n_ids += len(run.ids) // BYTES

    def drop(self, run: _Run) -> None:
        for id_ in _split(run.ids):
            self.slices[id_[0]].discard(id_)
        self.n_ids -= len(run.ids) // BYTES


_memories: dict[str, _Memory] = {}


class MessageIds:
    """The ids taken in one database; used inside a transaction that may write.

    Args:
        connection: to the database, whose tables are there.
        folded_at: so many recent ids are folded in; memory holds up to half as many again, 100 bytes each.
    """

    def __init__(self, connection: sqlite3.Connection, *, folded_at: int = 262144) -> None:
        self._connection = connection
        self._folded_at = folded_at
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        self._memory = _memories.setdefault(path, _Memory()) if path else _Memory()

    def take(self, ids: Sequence[bytes]) -> list[int]:
        """Takes ids for ever; gives the places, rising, of those that nobody had taken: of two alike, the first."""
        with self._memory.lock:
            self._catch_up()
            slices, fresh = self._memory.slices, dict[bytes, int]()
            for place, id_ in enumerate(ids):
                if id_ not in slices[id_[0]]:
                    fresh.setdefault(id_, place)
            for id_ in self._stored(sorted(fresh)):
                del fresh[id_]
            if fresh:
                self._connection.execute(
                    "INSERT INTO recent_message_ids (token, ids) VALUES (?, ?)",
                    (secrets.randbits(63), b"".join(fresh)),
                )
            self._fold(len(fresh))
        return list(fresh.values())

    def _catch_up(self) -> None:
        """Makes memory hold what the database holds: what others have written is read, what was undone is dropped."""
        memory = self._memory
        runs = memory.runs
        first = self._connection.execute("SELECT run, token FROM recent_message_ids ORDER BY run LIMIT 1").fetchone()
        while runs and first is not None and runs[0].number < first[0]:  # folded in since
            memory.drop(runs.popleft())
        if first is None or (runs and runs[0][:2] != first):
            memory.clear()
            runs = memory.runs
        while runs and not self._has(runs[-1]):
            memory.drop(runs.pop())
        newest = runs[-1].number if runs else 0
        query = "SELECT run, token, ids FROM recent_message_ids WHERE run > ? ORDER BY run"
        for row in self._connection.execute(query, (newest,)):
            memory.add(_Run(*row))

    def _has(self, run: _Run) -> bool:
        query = "SELECT 1 FROM recent_message_ids WHERE run = ? AND token = ?"
        return self._connection.execute(query, (run.number, run.token)).fetchone() is not None

    def _stored(self, ids: Sequence[bytes]) -> Iterator[bytes]:
        """Those of these ids that are folded in."""
        for part in _parts(ids):
            query = f"WITH asked (id) AS (VALUES {_rows(len(part))}) SELECT group_concat(hex(id), '') FROM asked "
            found = self._connection.execute(query + "WHERE id IN message_ids", part).fetchone()[0]
            if found:
                yield from _split(bytes.fromhex(found))

    def _fold(self, n_taken: int) -> None:
        """Folds in about twice as many ids as were just taken, where it is time to."""
        memory = self._memory
        through, at = self._connection.execute("SELECT through, slice FROM message_ids_fold").fetchone()
        if not memory.runs or memory.runs[0].number > through:  # none is being folded in
            if memory.n_ids < self._folded_at and len(memory.runs) < self._folded_at // 8 + 1:
                return
            through, at, memory.owed = memory.runs[-1].number, 0, 0
        memory.owed += _FOLDED_PER_TAKEN * n_taken
        while at < _SLICES and memory.owed >= len(memory.slices[at]):
            memory.owed -= len(memory.slices[at])
            for part in _parts(sorted(memory.slices[at])):
                self._connection.execute(
                    f"INSERT INTO message_ids VALUES {_rows(len(part))} ON CONFLICT DO NOTHING", part
                )
            at += 1
        if at == _SLICES:
            self._connection.execute("DELETE FROM recent_message_ids WHERE run <= ?", (through,))
        self._connection.execute("UPDATE message_ids_fold SET through = ?, slice = ?", (through, at))


def _split(ids: bytes) -> Iterator[bytes]:
    return (ids[start : start + BYTES] for start in range(0, len(ids), BYTES))


def _parts(rows: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    """The rows in parts of few sizes, so that each size's statement is prepared once."""
    start = 0
    for size in _TOGETHER:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


@lru_cache
def _rows(n_rows: int) -> str:
    return ", ".join(["(?)"] * n_rows)
