"""A customer's row as of now, for an event loop: recomputed beside it, and of whoever they are afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from features.event_log import EventLog
from features.online import OnlineFeatures
from features.packing import CustomerState, Missing
from features.refresher import Refresher
from serving.people import Keys

LOOKS = 3  # joins that come in between, one upon the other, are waited for so often


class CurrentRows:
    """Reads rows; recomputes those that are behind in the refresher's thread, which takes milliseconds.

    Args:
        online: whose rows.
        refresher: of the same.
        reader: a connection of the event loop's thread.
    """

    def __init__(self, online: OnlineFeatures, refresher: Refresher, reader: sqlite3.Connection) -> None:
        self._online, self._refresher = online, refresher
        self._log = EventLog(reader)

    def among(self, people: Sequence[Keys]) -> list[CustomerState | Missing | None]:
        """The row of each person as it is stored; None where it lacks an event of theirs.

        Args:
            people: the keys of each, in as many queries as of one; nobody's where the key is none that was given.
        """
        states = self._online.read_many([keys[0] for keys in people])
        behind = self._online.are_behind(states, people, self._log)
        return [None if is_behind else state for state, is_behind in zip(states, behind, strict=True)]

    async def of(self, keys: Keys, *, ask: Callable[[], Keys | None]) -> tuple[Keys, CustomerState | Missing]:
        """The keys of one person, and their row with every event of the log in it.

        Args:
            keys: as they were looked up just now.
            ask: looks them up; once more after each wait, since a join may have come in between: then the row of the
                old keys is nobody's any more.
        """
        for _ in range(LOOKS):
            state = self._online.read(keys[0])
            if not self._online.is_behind(state, keys, self._log):
                return keys, state
            state = await self._refresher.current_soon(keys)
            if (now := ask() or keys) == keys:
                return keys, state
            keys = now
        return keys, self._online.read(keys[0])
