"""The newest row of a customer: value, age, or why it is missing.

One packed cell a customer in Feast's online store. Everyone's row is written by `materialize`; the rows of customers
with newer events are recomputed from all of their history by the same SQL, never patched.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.brand import Brand, load_brand
from features.database import connect
from features.definitions import DECISION_VIEW, decision_service, open_store, quiet, vectors_path
from features.event_log import EventLog
from features.packing import EPOCH, CustomerState, Missing, pack, unpack
from features.schema import FeatureSchema, feature_schema
from features.snapshots import build_snapshot, check_as_of, rows_of
from features.workspace import Workspace

if TYPE_CHECKING:
    from feast import FeatureStore

REFRESHED_AT_ONCE = 500


class OnlineFeatures:
    """The online rows of one workspace. One a process; reads are safe from several threads."""

    def __init__(self, workspace: Workspace, *, brand: Brand, schema: FeatureSchema, store: FeatureStore) -> None:
        self.workspace = workspace
        self.brand = brand
        self.schema = schema
        self._store = store
        self._service = store.get_feature_service(decision_service(schema))
        self._connection: sqlite3.Connection = connect(workspace.database)
        self.log = EventLog(self._connection)
        self._lock = threading.Lock()

    @classmethod
    def open(cls, workspace: Workspace, brand: Brand | None = None) -> OnlineFeatures:
        """Opens the stores, which takes seconds: once at start."""
        brand = brand or load_brand(workspace)
        schema = feature_schema(brand, workspace)
        return cls(workspace, brand=brand, schema=schema, store=open_store(workspace, brand, schema=schema))

    def close(self) -> None:
        """Closes the database."""
        self._connection.close()

    def read(self, customer_key: int) -> CustomerState | Missing:
        """The newest row of one customer, or why there is none."""
        return self.read_many([customer_key])[0]

    def read_many(self, customer_keys: Sequence[int]) -> list[CustomerState | Missing]:
        """The newest rows of customers, in the order of their keys."""
        if not customer_keys:
            return []
        rows = [{"customer_key": int(key)} for key in customer_keys]
        with self._lock:
            answer = self._store.get_online_features(features=self._service, entity_rows=rows).proto
        names = list(answer.metadata.feature_names.val)
        vectors = answer.results[names.index("vector")].values
        states = answer.results[names.index("state")].values
        return [self._state(vector.bytes_val, state.bytes_val) for vector, state in zip(vectors, states, strict=True)]

    def read_current(self, customer_key: int) -> CustomerState | Missing:
        """The row of one customer with every event of the log in it: recomputed first where it is behind."""
        state = self.read(customer_key)
        with self._lock:
            newest = self.log.newest_of(customer_key)
        covered = state.log_seq if isinstance(state, CustomerState) else 0
        if newest <= covered:
            return state
        self.refresh([customer_key])
        return self.read(customer_key)

    def refresh(self, customers: Sequence[int], *, now: datetime | None = None) -> int:
        """Recomputes the rows of customers from lake and log, and writes them; gives how many rows were written.

        Args:
            customers: their keys.
            now: the instant to stand at; the present, or just after the newest event received, where it is None.
        """
        written = 0
        for start in range(0, len(customers), REFRESHED_AT_ONCE):
            written += self._refresh(customers[start : start + REFRESHED_AT_ONCE], now=now)
        return written

    def _refresh(self, customers: Sequence[int], *, now: datetime | None) -> int:
        with self._lock:
            log = self.log.of_customers(customers)
        as_of = check_as_of(now) if now is not None else _present(log)
        table = rows_of(self.workspace, customers, as_of=as_of, brand=self.brand, schema=self.schema, log=log)
        pairs = zip(log["customer_key"].to_pylist(), log["log_seq"].to_pylist(), strict=True)
        self._write(pack(table, self.schema, log_seqs=dict(pairs)))
        return int(table.num_rows)

    def _write(self, packed: pa.Table) -> None:
        if not packed.num_rows:
            return
        frame = packed.to_pandas()
        with self._lock, quiet():
            self._store.write_to_online_store(DECISION_VIEW, frame)

    def materialize(self, as_of: datetime) -> int:
        """Fills the online store with everyone's row as of an instant, then with what has happened since.

        Returns:
            How many customers have a row.
        """
        table = pq.read_table(build_snapshot(self.workspace, as_of))
        with self._lock:
            log_seqs = self.log.newest_before(as_of)
        packed = pack(table, self.schema, log_seqs=log_seqs)
        path = vectors_path(self.workspace)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        pq.write_table(packed, partial, compression="zstd")
        partial.replace(path)
        if packed.num_rows:
            with self._lock, quiet():
                self._store.materialize(
                    start_date=as_of - timedelta(seconds=1),
                    end_date=as_of + timedelta(seconds=1),
                    feature_views=[DECISION_VIEW],
                )
        with self._lock:
            behind = self.log.customers_since(as_of)
        self.refresh(behind)
        return int(packed.num_rows)

    def _state(self, vector: bytes, state: bytes) -> CustomerState | Missing:
        return unpack(vector, state, schema=self.schema) if state else Missing("unknown_customer")


def materialize(workspace: Workspace, as_of: datetime | None = None, *, brand: Brand | None = None) -> int:
    """Fills the online store of a workspace as of an instant (None: now); gives how many customers it holds."""
    online = OnlineFeatures.open(workspace, brand)
    try:
        return online.materialize(check_as_of(as_of) if as_of is not None else datetime.now(UTC))
    finally:
        online.close()


def _present(log: pa.Table) -> datetime:
    """Now, or just after the newest event that was received, should a clock run behind."""
    now = datetime.now(UTC)
    if not log.num_rows:
        return now
    newest: Any = max(log["received_at"].cast(pa.int64()).to_pylist())
    return max(now, EPOCH + timedelta(microseconds=newest + 1))
