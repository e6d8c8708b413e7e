"""The newest row of a customer: value, age, or why it is missing.

One packed cell a customer in Feast's online store. Everyone's row is written by `materialize`; the rows of customers
with newer events are recomputed from all of their history by the same SQL, never patched.

Invariant: a row says which log_seq it covers and whose keys are in it. Stores do not compare what they are given, so a
late writer may put an older row over a newer one: whoever reads it sees that it is behind, and recomputes it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from features.brand import Brand, load_brand
from features.database import connect
from features.definitions import open_store
from features.event_log import PRUNED_THROUGH, EventLog
from features.identity import IdentityTable
from features.merges import Merge, merges_of
from features.online_rows import OnlineRows, Row
from features.packing import EPOCH, CustomerState, Missing, pack, unpack
from features.recompute import Recomputer
from features.schema import FeatureSchema, feature_schema
from features.snapshots import check_as_of
from features.workspace import Workspace

if TYPE_CHECKING:
    from feast import FeatureStore

RECOMPUTED_AT_ONCE = 100
UNKNOWN_CUSTOMER = "unknown_customer"


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Rows made anew: what they say, and their cells, which are not in the store yet."""

    states: dict[int, CustomerState | Missing]  # by the key that stands for the person
    rows: tuple[Row, ...]


class OnlineFeatures:
    """The online rows of one workspace. One a process; safe from several threads."""

    def __init__(self, workspace: Workspace, *, brand: Brand, schema: FeatureSchema, store: FeatureStore) -> None:
        self.workspace = workspace
        self.brand = brand
        self.schema = schema
        self.store = store
        self.rows = OnlineRows(store)
        self._connection: sqlite3.Connection = connect(workspace.database)
        self.log = EventLog(self._connection)
        self.identity = IdentityTable(self._connection)
        self._lock = threading.Lock()  # of the connection
        self._recomputer = Recomputer(workspace, brand, schema)
        self._unwritten: dict[int, CustomerState] = {}

    @classmethod
    def open(cls, workspace: Workspace, brand: Brand | None = None) -> OnlineFeatures:
        """Opens the stores, which takes seconds: once at start."""
        brand = brand or load_brand(workspace)
        schema = feature_schema(brand, workspace)
        return cls(workspace, brand=brand, schema=schema, store=open_store(workspace, brand, schema=schema))

    def close(self) -> None:
        """Closes the database."""
        self._recomputer.close()
        self.rows.close()
        self._connection.close()

    def read(self, customer_key: int) -> CustomerState | Missing:
        """The newest row of one customer, or why there is none."""
        return self.read_many([customer_key])[0]

    def read_many(self, customer_keys: Sequence[int]) -> list[CustomerState | Missing]:
        """The newest rows of customers, in the order of their keys."""
        cells = self.rows.read(customer_keys)
        return [
            self._unwritten.get(key) or (unpack(cell, schema=self.schema) if cell else Missing(UNKNOWN_CUSTOMER))
            for key, cell in zip(customer_keys, cells, strict=True)
        ]

    def read_current(self, keys: int | Sequence[int], at: datetime | None = None) -> CustomerState | Missing:
        """The row of one person with every event of the log in it: recomputed first, and written, where it is behind.

        Args:
            keys: every key of the person, the one that stands for them first; or any one of them.
            at: the instant to stand at when recomputing; the present where it is None.
        """
        if isinstance(keys, int):
            with self._lock:
                keys = self.identity.keys_of(keys)
        state = self.read(keys[0])
        with self._lock:
            is_behind = self.is_behind(state, keys, self.log)
        if not is_behind:
            return state
        made = self.recompute([tuple(keys)], at=at)
        self.write(made)
        return made.states[keys[0]]

    def is_behind(self, state: CustomerState | Missing, keys: Sequence[int], log: EventLog) -> bool:
        """Whether the log holds an event of this person that their row does not, or the row is of other keys.

        Args:
            state: as it was read.
            keys: every key of the person, the one that stands for them first.
            log: over a connection that is the caller's alone.
        """
        return self.are_behind([state], [keys], log)[0]

    def are_behind(
        self, states: Sequence[CustomerState | Missing], people: Sequence[Sequence[int]], log: EventLog
    ) -> list[bool]:
        """As `is_behind`, of several people in as many queries as of one."""
        newest = log.newest_of_each(people)
        # What was pruned is not there to be compared: a row of before that instant may lack it.
        pruned = log.state(PRUNED_THROUGH)
        return [
            latest > 0
            if isinstance(state, Missing)
            else latest > state.log_seq or state.joined != tuple(keys[1:]) or state.log_seq < pruned
            for state, keys, latest in zip(states, people, newest, strict=True)
        ]

    def people_of(self, customers: Sequence[int]) -> list[tuple[int, ...]]:
        """The people of these keys, any of theirs: every key of each, the one that stands for them first."""
        with self._lock:
            return list(dict.fromkeys(self.identity.keys_of(key) for key in customers))

    def current_among(self, people: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], CustomerState | Missing]:
        """The rows of those people whose rows lack nothing."""
        states = list(zip(people, self.read_many([keys[0] for keys in people]), strict=True))
        with self._lock:
            return {keys: state for keys, state in states if not self.is_behind(state, keys, self.log)}

    def recompute(self, people: Sequence[Sequence[int]], *, at: datetime | None = None) -> Recomputed:
        """The rows of people from all of their history, lake and log; `write` puts them into the store.

        Until they are written, this process reads them from memory.

        Args:
            people: the keys of each, the one that stands for them first.
            at: the instant to stand at, never before what was received already; the present where it is None.
        """
        every = [int(key) for keys in people for key in keys]
        log_seq, log, merges = self._known(every)
        as_of = _instant(check_as_of(at) if at is not None else datetime.now(UTC), log, merges)
        table = self._recomputer.rows([int(keys[0]) for keys in people], as_of=as_of, log=log, merges=merges)
        joined = {int(keys[0]): tuple(keys[1:]) for keys in people if len(keys) > 1}
        cells = pack(table, self.schema, log_seq=log_seq, joined=joined)
        rows = tuple((key, cell, as_of) for key, cell in zip(table["customer_key"].to_pylist(), cells, strict=True))
        states: dict[int, CustomerState | Missing] = {int(keys[0]): Missing(UNKNOWN_CUSTOMER) for keys in people}
        states |= {key: unpack(cell, schema=self.schema) for key, cell, _ in rows}
        self._unwritten |= {key: state for key, state in states.items() if isinstance(state, CustomerState)}
        return Recomputed(states, rows)

    def write(self, made: Recomputed) -> int:
        """Puts recomputed rows into the store; gives how many."""
        try:
            return self.rows.write(made.rows)
        finally:
            for key, state in made.states.items():
                if self._unwritten.get(key) is state:  # else a newer one waits to be written
                    self._unwritten.pop(key, None)

    def refresh(self, customers: Sequence[int], *, now: datetime | None = None) -> int:
        """Recomputes the rows of customers, and writes them; gives how many rows were written.

        Args:
            customers: their keys, any of a person's.
            now: the instant to stand at; the present where it is None.
        """
        people, written = self.people_of(customers), 0
        for start in range(0, len(people), RECOMPUTED_AT_ONCE):
            written += self.write(self.recompute(people[start : start + RECOMPUTED_AT_ONCE], at=now))
        return written

    def materialize(self, as_of: datetime) -> int:
        """Fills the online store with everyone's row as of an instant, then with what has happened since.

        Returns:
            How many customers had a row as of that instant.
        """
        from features.materializing import fill

        return fill(self, as_of)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The database as of one instant, for as long as the block lasts; other threads wait."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                self._connection.rollback()
                raise

    def _known(self, keys: Sequence[int]) -> tuple[int, pa.Table, list[Merge]]:
        """How far the log goes, these customers' events in it, and who was merged: all of one instant."""
        in_the_lake = self._recomputer.by_customer.log_through
        with self.transaction() as connection:
            merges = merges_of(connection, keys)
            return self.log.newest(), self.log.of_customers(keys, after=in_the_lake), merges


def materialize(workspace: Workspace, as_of: datetime | None = None, *, brand: Brand | None = None) -> int:
    """Fills the online store of a workspace as of an instant (None: now); gives how many customers had a row then."""
    online = OnlineFeatures.open(workspace, brand)
    try:
        return online.materialize(check_as_of(as_of) if as_of is not None else datetime.now(UTC))
    finally:
        online.close()


def _instant(now: datetime, log: pa.Table, merges: Sequence[Merge]) -> datetime:
    """Now, or just after the newest thing that is known, should a clock run behind."""
    received: list[Any] = log["received_at"].cast(pa.int64()).to_pylist()
    newest = max([*received, *(merge.merged_at_us for merge in merges)], default=0)
    return max(now, EPOCH + timedelta(microseconds=newest + 1))
