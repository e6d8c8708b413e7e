"""The door to Feast's online store: one packed cell a customer, read and written by key.

Feast's own `get_online_features` costs 290 µs a customer, most of it in checks and copies a cell; the same store read
through its provider costs 45, and its SQLite file read straight a third of that (docs/decisions: online-rows). Reading
and writing have a store, hence a connection, each: whoever reads does not wait for a commit to reach the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from features.definitions import CELL, DECISION_VIEW
from features.feast_loading import load_feast
from features.stored_cells import stored_cells

if TYPE_CHECKING:
    from feast import FeatureStore

READ_AT_ONCE = 50  # a decision that wants its one row waits no longer for whoever reads many
WRITTEN_AT_ONCE = 1_000  # rows a transaction: another process that wants to write waits for milliseconds
Row = tuple[int, bytes, datetime]  # customer_key, cell, as_of


def stored_order(customer_keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of customers in the order in which the store's indexes hold them.

    Feast writes a key with its lowest byte first. Everybody's rows, written in another order than that, change a page
    of each index apiece; in that order they fill one page after the other.
    """
    return np.argsort(customer_keys.astype("<i8").view(">u8"), kind="stable")


class OnlineRows:
    """The cells of one workspace's online store. Safe from several threads; several processes may write."""

    def __init__(self, store: FeatureStore) -> None:
        load_feast()
        from feast.infra.provider import get_provider
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value

        self._config = store.config
        self._view = store.get_feature_view(DECISION_VIEW)
        self._reader, self._writer = get_provider(self._config), get_provider(self._config)
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._entity_key, self._value = EntityKey, Value
        self._cells = stored_cells(store, self._view, feature=CELL)

    def read(self, customer_keys: Sequence[int]) -> list[bytes | None]:
        """The newest cell of each customer, in the order of their keys; None where there is none."""
        cells: list[bytes | None] = []
        for start in range(0, len(customer_keys), READ_AT_ONCE):
            cells += self._read(customer_keys[start : start + READ_AT_ONCE])
        return cells

    def close(self) -> None:
        """Lets go of the file that is read."""
        with self._reading:
            if self._cells is not None:
                self._cells.close()

    def write(self, rows: Iterable[Row]) -> int:
        """Replaces the cells of customers, in small transactions; gives how many were written.

        The last writer wins: a store does not compare. A cell says which log_seq it covers, so whoever reads one that
        was written late notices.
        """
        remaining, written = iter(rows), 0
        while batch := list(islice(remaining, WRITTEN_AT_ONCE)):
            cells = [(self._key(key), {CELL: self._value(bytes_val=cell)}, at, None) for key, cell, at in batch]
            with self._writing:
                self._writer.online_write_batch(self._config, self._view, cells, None)
            written += len(batch)
        return written

    def _read(self, customer_keys: Sequence[int]) -> list[bytes | None]:
        if self._cells is not None:
            with self._reading:
                stored = self._cells.read(customer_keys)
            return [None if value is None else self._value.FromString(value).bytes_val for value in stored]
        keys = [self._key(key) for key in customer_keys]
        with self._reading:
            found = self._reader.online_read(self._config, self._view, keys, [CELL])
        return [values[CELL].bytes_val if values and CELL in values else None for _, values in found]

    def _key(self, customer_key: int) -> object:
        return self._entity_key(join_keys=["customer_key"], entity_values=[self._value(int64_val=int(customer_key))])
