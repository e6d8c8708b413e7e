"""Cells read straight from the SQLite file in which Feast's online store keeps them: one statement, one look-up.

Feast's own way to the same bytes makes a message for each key, packs it, quotes a table's name and reads two columns
that nobody asks for: 86 µs of a decision that is alone, of which this leaves a third. What is known here of Feast is
asked of Feast when the store is opened: the name of the table, and how it writes a key. Writing stays Feast's.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from feast import FeatureStore

_NUMBER = struct.Struct("<q")
_TRIED = (0, 1, 2**40 + 3)
BUSY_SECONDS = 5.0


class StoredCells:
    """The cells of one feature of a view; of one thread at a time.

    Args:
        file: the SQLite file of the store.
        table: where Feast keeps the view.
        feature: the one that is read.
        before: what stands in a key before the number of its customer.
    """

    def __init__(self, file: Path, *, table: str, feature: str, before: bytes) -> None:
        self._file, self._feature, self._before = file, feature, before
        quoted = table.replace('"', '""')
        self._select = f'SELECT entity_key, value FROM "{quoted}" WHERE feature_name = ? AND entity_key IN (%s)'
        self._connection: sqlite3.Connection | None = None

    def read(self, customer_keys: Sequence[int]) -> list[bytes | None]:
        """What is stored of each customer, as Feast wrapped it; None where nothing is."""
        keys = [self._before + _NUMBER.pack(key) for key in customer_keys]
        asked = self._select % ("?" if len(keys) == 1 else ", ".join("?" * len(keys)))
        found = dict(self._opened().execute(asked, (self._feature, *keys)).fetchall())
        return [found.get(key) for key in keys]

    def close(self) -> None:
        """Lets go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._file, timeout=BUSY_SECONDS, check_same_thread=False)
        return self._connection


def stored_cells(store: FeatureStore, view: Any, *, feature: str) -> StoredCells | None:
    """The cells of a view; None where they lie elsewhere than in SQLite, or under keys that are written otherwise."""
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.infra.online_stores.helpers import compute_table_id
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    config = store.config
    if config.online_store.type != "sqlite":
        return None
    versioned = config.registry.enable_online_feature_view_versioning
    join_keys = [entity.name for entity in view.entity_columns]

    def written(number: int) -> bytes:
        key = EntityKey(join_keys=join_keys, entity_values=[Value(int64_val=number)] * len(join_keys))
        return bytes(
            serialize_entity_key(key, entity_key_serialization_version=config.entity_key_serialization_version)
        )

    before = written(0)[: -_NUMBER.size]
    if any(written(number) != before + _NUMBER.pack(number) for number in _TRIED):
        return None
    file = Path(config.online_store.path)
    table = compute_table_id(config.project, view, versioned)
    return StoredCells(file, table=table, feature=feature, before=before)
