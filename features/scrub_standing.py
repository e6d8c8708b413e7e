"""Up to where everybody who ever withdrew something has been looked at, so that nobody is looked at twice.

A person's standing changes with each event of theirs, with a join, with the brand's traits; and once more when the last
of what the log held of them has come into the lake. It is taken before anything of theirs is read, and written once all
of it is done. What an import brings has no place in the log: after one everybody is looked at again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from features.brand import Brand
from features.database import transaction
from features.event_log import EventLog
from features.lake_changes import earliest_since
from features.lake_manifest import Manifest

SCHEMA = """
CREATE TABLE IF NOT EXISTS scrubbed (
    customer_key INTEGER PRIMARY KEY,   -- that stands for a person who has ever withdrawn something
    standing     TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS scrubbed_lake (
    origin      TEXT NOT NULL,
    lake_commit INTEGER NOT NULL        -- up to which all imports have been looked through
) STRICT;
"""
_WRITTEN_AT_ONCE = 500

Keys = tuple[int, ...]


class Standing:
    """Where everybody stands as a scrub begins.

    Args:
        connection: to the workspace's database, with SCHEMA.
        manifest: the lake's.
        brand: whose traits and events count.
    """

    def __init__(self, connection: sqlite3.Connection, manifest: Manifest, brand: Brand) -> None:
        self._connection, self._manifest = connection, manifest
        self._log = EventLog(connection)
        self._traits = {name: [one.type, list(one.choices), one.purpose] for name, one in brand.traits.items()}
        self._events = brand.events.model_dump()
        self._said: dict[int, str] = {}
        if not self._is_lake_known():
            with transaction(connection):
                connection.execute("DELETE FROM scrubbed")

    def changed(self, people: Iterable[Keys]) -> list[Keys]:
        """Those of whom there may be something that nobody has looked at."""
        known = dict(self._connection.execute("SELECT customer_key, standing FROM scrubbed"))
        self._said = {keys[0]: self._of(keys) for keys in people}
        return [keys for keys in people if known.get(keys[0]) != self._said[keys[0]]]

    def write(self, people: Sequence[Keys]) -> None:
        """Notes that these people have been looked at, as they stood when the scrub began."""
        rows = [(keys[0], self._said[keys[0]]) for keys in people]
        for start in range(0, len(rows), _WRITTEN_AT_ONCE):
            with transaction(self._connection):
                self._connection.executemany(
                    "INSERT OR REPLACE INTO scrubbed VALUES (?, ?)", rows[start : start + _WRITTEN_AT_ONCE]
                )
        if not self._is_lake_known():
            with transaction(self._connection):
                self._connection.execute("DELETE FROM scrubbed_lake")
                values = (self._manifest.origin, self._manifest.commit)
                self._connection.execute("INSERT INTO scrubbed_lake VALUES (?, ?)", values)

    def _is_lake_known(self) -> bool:
        row = self._connection.execute("SELECT origin, lake_commit FROM scrubbed_lake").fetchone()
        if row is None or row[0] != self._manifest.origin or row[1] > self._manifest.commit:
            return False
        return earliest_since(self._manifest.imported, row[1]) is None

    def _of(self, keys: Keys) -> str:
        newest = self._log.newest_of(keys)
        parts = [keys, newest, newest <= self._manifest.log_through, self._traits, self._events]
        return blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
