"""The rates as the ledger's counts stand now, read again only when somebody has committed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from serving.ledger_rows import read_counts
from serving.values import Rates

READ_AGAIN_SECONDS = 1.0  # under load every decision commits; its count moves a rate by a few thousandths

AGES_AFTER = timedelta(minutes=10)  # decisions mature also while nobody commits


class RatesReader:
    """Keeps one reading of the counts for a moment; `forget` after an outcome makes the next reading fresh."""

    def __init__(self, connection: sqlite3.Connection, *, strength: float, window: timedelta) -> None:
        self._connection = connection
        self._window = window
        self._strength = strength
        self._priors: Mapping[str, float] = {}
        self._rates: Rates | None = None
        self._data_version = -1
        self._stood_at = datetime.min.replace(tzinfo=UTC)
        self._read_at = 0.0

    def read(self, at: datetime, *, priors: Mapping[str, float]) -> Rates:
        """The rates of all actions by segment and stage at an instant, by every process's counts.

        Args:
            at: the instant.
            priors: what is believed of each action before anything was measured; of the catalogue in use.
        """
        if priors is not self._priors:
            self._rates, self._priors = None, priors
        now = time.monotonic()
        if self._rates is not None and now - self._read_at < READ_AGAIN_SECONDS:
            return self._rates
        data_version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        if self._rates is None or data_version != self._data_version or at - self._stood_at > AGES_AFTER:
            counts = read_counts(self._connection, at=at, window=self._window)
            self._rates = Rates(counts, priors=self._priors, strength=self._strength)
            self._data_version, self._stood_at = data_version, at
        self._read_at = now
        return self._rates

    def forget(self) -> None:
        """Reads anew next time."""
        self._rates = None
