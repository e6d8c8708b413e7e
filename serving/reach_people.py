"""Everybody whom the shop knows, with what reach asks of them: segment, arm, consent, and where they last were."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from experiments.assignment import assign
from experiments.records import HOLDOUT
from experiments.report.scores import score_days
from features.database import connect
from features.event_log import EventLog
from features.identity import IdentityTable
from features.lake import Lake, instant_us, quoted
from features.merges import survivors
from features.packing import CustomerState
from features.snapshot_origin import as_of_of, newest_snapshot
from serving.contact.consent import EVERY_CHANNEL, unsubscribed_channels
from serving.contact.resting import Resting
from serving.engine import Engine
from serving.reach import NEVER, Flags, Names, People

Keys = npt.NDArray[np.int64]

_SEEN_IN_LOG = """
SELECT customer_key, json_extract(payload, '$.channel') AS channel, max(occurred_at) FROM event_log
WHERE log_seq > ? AND channel IS NOT NULL AND json_extract(payload, '$.event') <> ? GROUP BY 1, 2
"""
_SEEN_IN_DECISIONS = """
SELECT customer_key, channel, max(decided_at) FROM decisions WHERE initiated_by = 'customer' GROUP BY 1, 2
"""
_CONSENTED_SINCE = """
SELECT DISTINCT customer_key FROM event_log
WHERE max(received_at, occurred_at) >= ? AND json_extract(payload, '$.event') IN (?, ?)
"""


def read_people(engine: Engine, *, at: datetime) -> tuple[People, date | None]:
    """Everybody, and the day of the scores that their segments are of; seconds for a hundred thousand."""
    with closing(connect(engine.workspace.database)) as connection:
        return _Reading(engine, connection, at).people()


class _Reading:
    """One pass over everything that is known; its own connection, so that decisions go on beside it."""

    def __init__(self, engine: Engine, connection: sqlite3.Connection, at: datetime) -> None:
        self._engine, self._connection, self._at = engine, connection, at
        self._workspace, self._brand = engine.workspace, engine.brand
        identity = IdentityTable(connection)
        self._merges = identity.merges()
        self._ends = survivors(self._merges)
        keys = connection.execute("SELECT DISTINCT customer_key FROM identity").fetchall()
        self._keys: Keys = np.unique(np.array([key for (key,) in keys], dtype=np.int64))

    def people(self) -> tuple[People, date | None]:
        """Everybody, and the day of their segments."""
        segment, day = self._segments()
        resting, rests_until_us = self._resting()
        salt, rate = self._brand.name, self._brand.holdout_rate
        held_out = [assign(key, salt=salt, holdout_rate=rate).arm == HOLDOUT for key in self._keys.tolist()]
        people = People(
            keys=self._keys,
            segment=segment,
            is_held_out=np.array(held_out, dtype=bool),
            consents=self._consents(),
            unsubscribed=self._unsubscribed(),
            last_seen_us=self._last_seen(),
            resting=resting,
            rests_until_us=rests_until_us,
        )
        return people, day

    def _places(self, keys: Iterable[int]) -> npt.NDArray[np.int64]:
        """Where the people of these keys stand; -1 for whom nobody knows any more."""
        ends = np.array([self._ends.get(key, key) for key in keys], dtype=np.int64)
        if not len(self._keys):
            return np.full(len(ends), -1, dtype=np.int64)
        places = np.minimum(np.searchsorted(self._keys, ends), len(self._keys) - 1)
        return np.where(self._keys[places] == ends, places, -1)

    def _segments(self) -> tuple[Names, date | None]:
        segment: Names = np.full(len(self._keys), None, dtype=object)
        days = score_days(self._workspace)
        if not days:
            return segment, None
        with duckdb.connect() as database:
            query = f"SELECT customer_key, segment FROM read_parquet({quoted(days[-1].scores)})"
            table = database.execute(query).to_arrow_table()
        places = self._places(table["customer_key"].to_pylist())
        known = places >= 0
        segment[places[known]] = np.array(table["segment"].to_pylist(), dtype=object)[known]
        return segment, days[-1].day

    def _consents(self) -> dict[str, Flags]:
        """As the newest snapshot says; as the rows say for whoever has consented, withdrawn or been joined since."""
        consents = {name: np.zeros(len(self._keys), dtype=bool) for name in self._brand.channels}
        snapshot = newest_snapshot(self._workspace)
        since_us = 0
        if snapshot is not None:
            since_us = instant_us(as_of_of(snapshot))
            rows = _consents_of(snapshot)
            for (_, said), place in zip(rows, self._places([key for key, _ in rows]).tolist(), strict=True):
                for name in json.loads(said) if place >= 0 else ():
                    if name in consents:
                        consents[name][place] = True
        changed = sorted(self._changed_since(since_us))
        for key, place in zip(changed, self._places(changed).tolist(), strict=True):
            if place >= 0:
                state = self._engine.online.read_current(key, at=self._at)
                for name, flags in consents.items():
                    flags[place] = isinstance(state, CustomerState) and name in state.consents
        return consents

    def _changed_since(self, since_us: int) -> set[int]:
        events = self._brand.events
        EventLog(self._connection)
        rows = self._connection.execute(_CONSENTED_SINCE, (since_us, events.consent_given, events.consent_withdrawn))
        joined = {merge.into_key for merge in self._merges if merge.merged_at_us >= since_us}
        return {self._ends.get(key, key) for key in joined | {key for (key,) in rows}}

    def _unsubscribed(self) -> dict[str, Flags]:
        names = (*self._brand.channels, EVERY_CHANNEL)
        unsubscribed = {name: np.zeros(len(self._keys), dtype=bool) for name in names}
        query = "SELECT DISTINCT customer_key FROM outcomes WHERE outcome = 'unsubscribed'"
        keys = [key for (key,) in self._connection.execute(query)]
        found = unsubscribed_channels(self._connection, keys)
        for channels, place in zip(found.values(), self._places(found).tolist(), strict=True):
            for name in channels if place >= 0 else ():
                if name in unsubscribed:
                    unsubscribed[name][place] = True
        return unsubscribed

    def _resting(self) -> tuple[dict[str, Names], dict[str, Keys]]:
        """By the contact policy as decisions keep to it; time zones as the newest snapshot knows them."""
        rules, n = self._engine.stock.rules, len(self._keys)
        resting = Resting(self._connection, rules, at=self._at, owner_of=self._ends)
        zone: Names = np.full(n, None, dtype=object)
        snapshot = newest_snapshot(self._workspace)
        if snapshot is not None and self._brand.contact_policy.quiet_hours:
            rows = _time_zones_of(snapshot)
            for (_, name), place in zip(rows, self._places([key for key, _ in rows]).tolist(), strict=True):
                if place >= 0:
                    zone[place] = name
        apart = [place for place in self._places(sorted(resting.keys)).tolist() if place >= 0]
        found: dict[str, Names] = {}
        until: dict[str, Keys] = {}
        for channel in self._brand.channels:
            found[channel] = np.full(n, None, dtype=object)
            until[channel] = np.full(n, NEVER, dtype=np.int64)
            whole = [(zone == name, resting.of_zone(channel, name)) for name in set(zone.tolist())]
            single = [(place, resting.of(int(self._keys[place]), channel, zone[place])) for place in apart]
            for where, rest in (*whole, *single):
                found[channel][where] = None if rest is None else rest.rule
                until[channel][where] = NEVER if rest is None or rest.until_us is None else rest.until_us
        return found, until

    def _last_seen(self) -> dict[str, Keys]:
        last_seen = {name: np.full(len(self._keys), NEVER, dtype=np.int64) for name in self._brand.channels}
        lake = Lake(self._workspace.lake)
        through = lake.manifest().log_through
        for rows in (
            seen_in_lake(self._workspace.lake, lake.fingerprint(), self._brand.events.message_sent),
            self._connection.execute(_SEEN_IN_LOG, (through, self._brand.events.message_sent)).fetchall(),
            self._connection.execute(_SEEN_IN_DECISIONS).fetchall(),
        ):
            _note(last_seen, rows, self._places([row[0] for row in rows]))
        return last_seen


def _note(last_seen: Mapping[str, Keys], rows: Sequence[tuple[int, str, int]], places: Keys) -> None:
    for (_, name, at), place in zip(rows, places.tolist(), strict=True):
        if place >= 0 and name in last_seen:
            last_seen[name][place] = max(last_seen[name][place], at)


@lru_cache(maxsize=1)
def seen_in_lake(lake: Path, fingerprint: str, message_sent: str) -> list[tuple[int, str, int]]:
    """Customer, channel and when they last did something there, from a lake with that fingerprint."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; SET threads = 1")
        Lake(lake).register(database)
        query = (
            "SELECT customer_key, channel, epoch_us(max(occurred_at)) FROM events "
            f"WHERE channel IS NOT NULL AND event <> {quoted(message_sent)} GROUP BY ALL"
        )
        return database.execute(query).fetchall()


def _consents_of(snapshot: Path) -> list[tuple[int, str]]:
    with duckdb.connect() as database:
        query = f"SELECT customer_key, consents FROM read_parquet({quoted(snapshot)}) WHERE consents IS NOT NULL"
        return database.execute(query).fetchall()


def _time_zones_of(snapshot: Path) -> list[tuple[int, str]]:
    with duckdb.connect() as database:
        query = f"SELECT customer_key, time_zone FROM read_parquet({quoted(snapshot)}) WHERE time_zone IS NOT NULL"
        return database.execute(query).fetchall()
