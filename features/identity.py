"""Which outside id is which customer: the only table where ids of shops and of devices meet `customer_key`.

An id always points to the survivor of its customer (features/merges.py). Whoever keeps keys in memory compares
`version()`: every merge, re-pointing and erasure moves it, in the same transaction.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple, TypeVar

import pyarrow as pa

from features import merges
from features.contract import CustomerKey
from features.database import create_tables, transaction
from features.merges import Merge

Kind = Literal["user", "anonymous"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS identity (
    customer_id   TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('user', 'anonymous')),
    customer_key  INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,     -- microseconds since the epoch, UTC
    PRIMARY KEY (kind, customer_id)
) STRICT;
CREATE INDEX IF NOT EXISTS identity_of_key ON identity (customer_key);
CREATE TABLE IF NOT EXISTS customer_keys (last INTEGER NOT NULL) STRICT;   -- one row; a key is never given twice
INSERT INTO customer_keys SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM customer_keys);
CREATE TABLE IF NOT EXISTS identity_version (n INTEGER NOT NULL) STRICT;   -- one row
INSERT INTO identity_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM identity_version);
CREATE TABLE IF NOT EXISTS identity_conflicts (n INTEGER NOT NULL) STRICT; -- one row: devices found to be shared
INSERT INTO identity_conflicts SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM identity_conflicts);
"""
_TABLES = ("identity", "customer_keys", "identity_version", "identity_conflicts", "customer_merges")

_BATCH = 20_000
_LOOK_UP = 500  # ids in one IN (…): below every SQLite's limit of variables
_T = TypeVar("_T")


class Joined(NamedTuple):
    """What a join came to.

    Attributes:
        key: the survivor under which the person goes on.
        merged_from: the key that became part of it just now, or None.
        is_conflict: nobody was merged, because the device belongs to another user already; it points to `key` now.
    """

    key: CustomerKey
    merged_from: int | None = None
    is_conflict: bool = False


class IdentityTable:
    """Outside ids and their customer keys, in the workspace's database. Keys count up from 1 and are never reused."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        tables = f"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN {_TABLES}"
        if connection.execute(tables).fetchone()[0] < len(_TABLES):
            create_tables(connection, SCHEMA + merges.SCHEMA)

    def key(self, customer_id: str, kind: Kind = "user") -> CustomerKey | None:
        """The customer's key, or None if that id was never seen."""
        row = self._connection.execute(
            "SELECT customer_key FROM identity WHERE kind = ? AND customer_id = ?", (kind, customer_id)
        ).fetchone()
        return None if row is None else CustomerKey(row[0])

    def key_said(self, customer_id: str) -> CustomerKey | None:
        """The key of an id that does not say its kind: the user's, else the device's; None where it was never seen."""
        known = self.key(customer_id)
        return known if known is not None else self.key(customer_id, "anonymous")

    def key_or_new(self, customer_id: str, kind: Kind = "user") -> CustomerKey:
        """The customer's key; a new one where that id was never seen."""
        known = self.key(customer_id, kind)
        return known if known is not None else self.keys_for([customer_id], kind)[customer_id]

    def keys_for(
        self, customer_ids: Iterable[str], kind: Kind = "user", *, first_seen_at: Mapping[str, int] | None = None
    ) -> dict[str, CustomerKey]:
        """Keys of many ids at once, new ones in the order given where an id was never seen.

        Args:
            customer_ids: outside ids; one said twice is one customer.
            kind: what the ids are.
            first_seen_at: microseconds since the epoch for each id; now where it does not say.
        """
        ids = list(dict.fromkeys(customer_ids))
        known = self._known(ids, kind)
        missing = [one for one in ids if one not in known]
        if missing:
            self._insert(missing, kind, first_seen_at or {})
            known |= self._known(missing, kind)
        return known

    def keys_said(self, customer_ids: Iterable[str]) -> dict[str, CustomerKey]:
        """Keys of ids that do not say their kind: the user's, else the device's of that name, else a new user's."""
        ids = list(dict.fromkeys(customer_ids))
        known = self._known(ids, "anonymous") | self._known(ids, "user")
        return known | self.keys_for([one for one in ids if one not in known])

    # -- joined customers ---------------------------------------------------------------------------------------

    def join(self, *, user_id: str, anonymous_id: str, at_us: int) -> Joined:
        """A call named both: the device's history becomes the user's.

        Args:
            user_id: the shop's id; its key survives.
            anonymous_id: the device's id. Where its customer carries another user id already, two people share a
                device: nobody is merged, the device points to this user from now on, and that is counted.
            at_us: when the call arrived, microseconds since the epoch.
        """
        with transaction(self._connection):
            user, device = self.key(user_id), self.key(anonymous_id, "anonymous")
            if device is None:
                key = user if user is not None else self._new_key(user_id, "user", at_us)
                self._attach(anonymous_id, "anonymous", key, at_us)
                return Joined(key)
            if user == device:
                return Joined(device)
            if self._has_user(device):
                key = user if user is not None else self._new_key(user_id, "user", at_us)
                return self._point_shared_device(anonymous_id, key)
            if user is None:
                self._attach(user_id, "user", device, at_us)
                return Joined(device)
            return self._merge(device, user, at_us=at_us, why="identify")

    def join_many(self, pairs: Sequence[tuple[str | None, str | None]], *, at_us: int) -> list[Joined]:
        """The customers of many calls, in their order: each (user_id, anonymous_id), at least one of them not None.

        New ids get keys, and calls that name both are joined as by `join`; calls that say nothing new, which most
        do, cost one look-up together.
        """
        with transaction(self._connection):
            users = self._known(list(dict.fromkeys(user for user, _ in pairs if user is not None)), "user")
            devices = self._known(list(dict.fromkeys(device for _, device in pairs if device is not None)), "anonymous")
            self._add_lone(pairs, users, "user", at_us=at_us)
            self._add_lone([(device, user) for user, device in pairs], devices, "anonymous", at_us=at_us)
            return [self._joined(user, device, users=users, devices=devices, at_us=at_us) for user, device in pairs]

    def alias(self, *, previous_id: str, user_id: str, at_us: int) -> Joined:
        """Somebody says that two ids are one person: the history of `previous_id` becomes that of `user_id`.

        Args:
            previous_id: a user's id, also one with orders of its own; else a device's, for which the rule of `join`
                holds: a shared device does not make two users one. One never seen is kept as both, for whichever
                event of it is still on its way.
            user_id: the id that goes on; its key survives where it has one.
            at_us: when the call arrived, microseconds since the epoch.
        """
        with transaction(self._connection):
            if previous_id == user_id:  # says nothing of anybody
                known = self.key(user_id)
                return Joined(known if known is not None else self._new_key(user_id, "user", at_us))
            previous, user = self.key(previous_id), self.key(user_id)
            if previous is None and self.key(previous_id, "anonymous") is not None:
                return self.join(user_id=user_id, anonymous_id=previous_id, at_us=at_us)
            if previous is None:
                key = user if user is not None else self._new_key(user_id, "user", at_us)
                self._attach(previous_id, "user", key, at_us)
                self._attach(previous_id, "anonymous", key, at_us)
                return Joined(key)
            if user is None:
                self._attach(user_id, "user", previous, at_us)
                return Joined(previous)
            if user == previous:
                return Joined(user)
            return self._merge(previous, user, at_us=at_us, why="alias")

    def resolve(self, key: int) -> CustomerKey:
        """The survivor: the key under which the person of that key goes on."""
        return CustomerKey(merges.survivor_of(self._connection, key))

    def keys_of(self, key: int) -> tuple[int, ...]:
        """Every key of that person: the survivor first, then every key that was joined into it."""
        return merges.keys_of(self._connection, key)

    def merges(self, *, after: int = 0) -> list[Merge]:
        """The merges, in the order in which they happened; only those after the first `after` of them."""
        return merges.all_merges(self._connection, after=after)

    def version(self) -> int:
        """Moves with every merge, re-pointing and erasure: while it stands, an id's key stands."""
        return int(self._connection.execute("SELECT n FROM identity_version").fetchone()[0])

    def conflicts(self) -> int:
        """How many times a device turned out to be shared by two users."""
        return int(self._connection.execute("SELECT n FROM identity_conflicts").fetchone()[0])

    def forget(self, customer_keys: Iterable[int]) -> int:
        """Removes every outside id of these customers; gives how many. Their keys are never given again."""
        with transaction(self._connection):
            removed = sum(
                self._connection.execute("DELETE FROM identity WHERE customer_key = ?", (int(key),)).rowcount
                for key in customer_keys
            )
            self._bump()
        return removed

    def id_of(self, customer_key: int) -> str | None:
        """The outside id of that key's person: the shop's own where there is one, else a device's; None if unknown."""
        row = self._connection.execute(
            "SELECT customer_id FROM identity WHERE customer_key = ? ORDER BY kind DESC, first_seen_at, rowid LIMIT 1",
            (self.resolve(customer_key),),
        ).fetchone()
        return None if row is None else str(row[0])

    def as_arrow(self) -> pa.Table:
        """Every row, with columns customer_id, kind, customer_key, first_seen_at (int64 µs)."""
        cursor = self._connection.execute("SELECT customer_id, kind, customer_key, first_seen_at FROM identity")
        batches = [
            pa.record_batch(list(zip(*rows, strict=True)), schema=_ARROW)
            for rows in iter(lambda: cursor.fetchmany(_BATCH), [])
        ]
        return pa.Table.from_batches(batches, schema=_ARROW)

    def _joined(
        self,
        user_id: str | None,
        anonymous_id: str | None,
        *,
        users: dict[str, CustomerKey],
        devices: dict[str, CustomerKey],
        at_us: int,
    ) -> Joined:
        """One call, by what is known of this batch's ids, which is kept current."""
        if user_id is not None and anonymous_id is not None:
            key = users.get(user_id)
            if key is not None and devices.get(anonymous_id) == key:
                return Joined(key)
            joined = self.join(user_id=user_id, anonymous_id=anonymous_id, at_us=at_us)
            users[user_id] = devices[anonymous_id] = joined.key
            if joined.merged_from is not None:
                for known in (users, devices):
                    known.update({one: joined.key for one, key in known.items() if key == joined.merged_from})
            return joined
        kind: Kind = "user" if user_id is not None else "anonymous"
        known, one = (users, user_id) if user_id is not None else (devices, anonymous_id)
        if one is None:
            raise ValueError("A call names a user_id or an anonymous_id; this one named neither.")
        if one not in known:
            known[one] = self._new_key(one, kind, at_us)
        return Joined(known[one])

    def _add_lone(
        self, pairs: Sequence[tuple[str | None, str | None]], known: dict[str, CustomerKey], kind: Kind, *, at_us: int
    ) -> None:
        """Keys for the new ids that no call of these names together with another id, all at once."""
        paired = {one for one, other in pairs if other is not None}
        lone = dict.fromkeys(one for one, other in pairs if one is not None and other is None)
        if new := [one for one in lone if one not in known and one not in paired]:
            known |= self.keys_for(new, kind, first_seen_at=dict.fromkeys(new, at_us))

    def _merge(self, from_key: CustomerKey, into_key: CustomerKey, *, at_us: int, why: str) -> Joined:
        self._connection.execute(
            "INSERT INTO customer_merges (from_key, into_key, merged_at, why) VALUES (?, ?, ?, ?)",
            (from_key, into_key, at_us, why),
        )
        self._connection.execute("UPDATE identity SET customer_key = ? WHERE customer_key = ?", (into_key, from_key))
        self._bump()
        return Joined(into_key, merged_from=from_key)

    def _point_shared_device(self, anonymous_id: str, key: CustomerKey) -> Joined:
        self._connection.execute(
            "UPDATE identity SET customer_key = ? WHERE kind = 'anonymous' AND customer_id = ?", (key, anonymous_id)
        )
        self._connection.execute("UPDATE identity_conflicts SET n = n + 1")
        self._bump()
        return Joined(key, is_conflict=True)

    def _has_user(self, key: int) -> bool:
        query = "SELECT 1 FROM identity WHERE customer_key = ? AND kind = 'user' LIMIT 1"
        return self._connection.execute(query, (key,)).fetchone() is not None

    def _new_key(self, customer_id: str, kind: Kind, at_us: int) -> CustomerKey:
        return self.keys_for([customer_id], kind, first_seen_at={customer_id: at_us})[customer_id]

    def _attach(self, customer_id: str, kind: Kind, key: int, at_us: int) -> None:
        self._connection.execute("INSERT INTO identity VALUES (?, ?, ?, ?)", (customer_id, kind, key, at_us))

    def _bump(self) -> None:
        self._connection.execute("UPDATE identity_version SET n = n + 1")

    def _known(self, ids: Sequence[str], kind: Kind) -> dict[str, CustomerKey]:
        known: dict[str, CustomerKey] = {}
        for batch in _batches(ids, _LOOK_UP):
            marks = ",".join("?" * len(batch))
            query = f"SELECT customer_id, customer_key FROM identity WHERE kind = ? AND customer_id IN ({marks})"
            known.update((row[0], CustomerKey(row[1])) for row in self._connection.execute(query, (kind, *batch)))
        return known

    def _insert(self, ids: Sequence[str], kind: Kind, first_seen_at: Mapping[str, int]) -> None:
        now = time.time_ns() // 1_000
        with transaction(self._connection):
            last = self._connection.execute("SELECT last FROM customer_keys").fetchone()[0]
            known = self._known(ids, kind)  # another process may have been faster
            new = [one for one in ids if one not in known]
            rows = ((one, kind, last + n, first_seen_at.get(one, now)) for n, one in enumerate(new, start=1))
            self._connection.executemany("INSERT INTO identity VALUES (?, ?, ?, ?)", rows)
            self._connection.execute("UPDATE customer_keys SET last = ?", (last + len(new),))


_ARROW = pa.schema(
    [("customer_id", pa.string()), ("kind", pa.string()), ("customer_key", pa.int64()), ("first_seen_at", pa.int64())]
)


def _batches(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
