"""Which actions are still new: how often each was exposed, counted where exposures are written.

An action is new until customers could really see it `exploration.exposures` times. A reservation that was never exposed
is no exposure, one whose delivery failed is taken back, and what was counted stays counted when a customer is erased.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping

from experiments.exploration import SCHEMA, explores, read_exposures, still_new
from features.brand import Exploration
from features.catalogue import Catalogue
from features.database import insert_rows

__all__ = [
    "SCHEMA",
    "NewActions",
    "count_all_exposures",
    "count_earlier_exposures",
    "count_exposures",
    "read_exposures",
]

READ_AGAIN_SECONDS = 1.0  # an exposure more or less decides nothing; as for the rates

_COUNT = """
INSERT INTO action_exposures VALUES (?, max(?2, 0))
ON CONFLICT (action_id) DO UPDATE SET n_exposures = max(n_exposures + ?2, 0)
"""
_COUNT_ALL = "INSERT INTO action_exposures VALUES"
_ADD = "ON CONFLICT (action_id) DO UPDATE SET n_exposures = n_exposures + excluded.n_exposures"
_COUNT_EARLIER = """
INSERT OR IGNORE INTO action_exposures
SELECT action_id, sum(n_decided) FROM action_statistics
WHERE NOT EXISTS (SELECT 1 FROM action_exposures) GROUP BY action_id
"""


def count_exposures(connection: sqlite3.Connection, action_id: str, n: int = 1) -> None:
    """Counts exposures of an action, or takes some back with a negative number; inside somebody's transaction."""
    connection.execute(_COUNT, (action_id, n))


def count_all_exposures(connection: sqlite3.Connection, n_exposures: Mapping[str, int]) -> None:
    """As `count_exposures`, of several actions that were exposed, so many times each."""
    insert_rows(connection, _COUNT_ALL, list(n_exposures.items()), _ADD)


def count_earlier_exposures(connection: sqlite3.Connection) -> None:
    """Counts the decisions of a ledger from before exposures were counted; does nothing once any are."""
    connection.execute(_COUNT_EARLIER)


class NewActions:
    """The new actions of one catalogue with their exposures so far; keeps one reading for a moment."""

    def __init__(self, connection: sqlite3.Connection, catalogue: Catalogue, exploration: Exploration) -> None:
        self._connection = connection
        self._catalogue = catalogue
        self._exploration = exploration
        self._new: Mapping[str, int] = {}
        self._read_at = -READ_AGAIN_SECONDS

    def read(self) -> Mapping[str, int]:
        """The exposures so far of each action that is still new; empty where nothing is explored."""
        if not explores(self._exploration):
            return self._new
        now = time.monotonic()
        if now - self._read_at >= READ_AGAIN_SECONDS:
            self._new = still_new(self._catalogue, self._exploration, read_exposures(self._connection))
            self._read_at = now
        return self._new

    def forget(self) -> None:
        """Reads anew next time."""
        self._read_at = -READ_AGAIN_SECONDS
