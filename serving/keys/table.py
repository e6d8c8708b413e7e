"""The API keys of a workspace, as rows: made, replaced, taken back, never deleted."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from features.database import transaction
from features.faults import CallersMistake, closest_name
from serving.keys.scopes import SCOPES, Scope, read_scopes
from serving.keys.tokens import NewToken, digest, new_token

SCHEMA = """
CREATE TABLE IF NOT EXISTS api_keys (
    number              INTEGER PRIMARY KEY AUTOINCREMENT,  -- its place in the file of the rate limits
    key_id              TEXT NOT NULL UNIQUE,
    name                TEXT NOT NULL,
    token_sha256        BLOB NOT NULL,
    scopes              TEXT NOT NULL,      -- joined by commas
    requests_per_second REAL NOT NULL,
    created_at          INTEGER NOT NULL,   -- microseconds since the epoch, UTC, as every instant here
    expires_at          INTEGER,            -- when its replacement stands alone
    revoked_at          INTEGER,
    replaces            TEXT,
    last_used_at        INTEGER             -- to the minute
) STRICT;
"""
DEFAULT_RATE = 1_000.0
LONGEST_NAME = 64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COLUMNS = (
    "number, key_id, name, token_sha256, scopes, requests_per_second, created_at, expires_at, revoked_at, replaces, "
    "last_used_at"
)
_REPLACES = _COLUMNS.split(", ").index("replaces")

State = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as it is kept: without what would let anybody use it."""

    number: int
    key_id: str
    name: str
    token_sha256: bytes
    scopes: frozenset[Scope]
    requests_per_second: float
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaces: str | None
    last_used_at: datetime | None
    bucket: int
    """The number of the first of the keys that replaced one another: they have one rate among them."""

    def state(self, at: datetime) -> State:
        """Whether it opens anything at that instant."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= at else "active"


class KeyTable:
    """The table of keys on a connection to the workspace's database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'api_keys'").fetchone():
            connection.executescript(SCHEMA)

    def create(
        self, name: str, scopes: Collection[Scope], *, at: datetime, requests_per_second: float = DEFAULT_RATE
    ) -> NewToken:
        """A new key; its token is told this once.

        Raises:
            CallersMistake: the name or the rate is none that a key can have.
        """
        _refuse_wrong(name, requests_per_second)
        with transaction(self._connection):
            return self._insert(name, scopes, rate=requests_per_second, at=at, replaces=None)

    def replace(self, key_id: str, *, at: datetime, grace: timedelta) -> NewToken:
        """A new key with the name, the scopes and the rate of another, which works on for the time of grace.

        Raises:
            CallersMistake: there is no such key, it opens nothing any more, or it was replaced already.
        """
        with transaction(self._connection):
            old = self._found(key_id)
            if (state := old.state(at)) != "active":
                raise CallersMistake(
                    f"Asked to replace the key '{key_id}', which is {state}. Make a new one: rapport keys create."
                )
            if old.expires_at is not None:
                raise CallersMistake(
                    f"Asked to replace the key '{key_id}', which was replaced already and works until "
                    f"{old.expires_at:%Y-%m-%d %H:%M} UTC. Replace the one that took its place."
                )
            self._connection.execute("UPDATE api_keys SET expires_at = ? WHERE key_id = ?", (_us(at + grace), key_id))
            return self._insert(old.name, old.scopes, rate=old.requests_per_second, at=at, replaces=key_id)

    def revoke(self, key_id: str, *, at: datetime) -> ApiKey:
        """Takes a key back, for good; one that was taken back before stays as it is.

        Raises:
            CallersMistake: there is no such key.
        """
        with transaction(self._connection):
            self._found(key_id)
            self._connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?) WHERE key_id = ?", (_us(at), key_id)
            )
            return self._found(key_id)

    def all(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM api_keys ORDER BY number").fetchall()
        buckets: dict[object, object] = {}  # by key_id
        for row in rows:
            number, key_id, replaces = row[0], row[1], row[_REPLACES]
            buckets[key_id] = buckets.get(replaces, number)
        return [_as_key(row, bucket=int(str(buckets[row[1]]))) for row in rows]

    def _found(self, key_id: str) -> ApiKey:
        keys = {key.key_id: key for key in self.all()}
        if key_id not in keys:
            closest = closest_name(key_id, keys)
            hint = f" Closest: '{closest}'." if closest else ""
            raise CallersMistake(
                f"Asked for the key '{key_id[:80]}', which there is not.{hint} Name it by its id, the middle part of "
                "the key; 'rapport keys list' shows them."
            )
        return keys[key_id]

    def _insert(
        self, name: str, scopes: Collection[Scope], *, rate: float, at: datetime, replaces: str | None
    ) -> NewToken:
        made = new_token()
        said = ",".join(scope for scope in SCOPES if scope in scopes)
        self._connection.execute(
            "INSERT INTO api_keys (key_id, name, token_sha256, scopes, requests_per_second, created_at, replaces) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (made.key_id, name, digest(made.token), said, rate, _us(at), replaces),
        )
        return made


def note_use(connection: sqlite3.Connection, *, key_id: str, at: datetime) -> None:
    """Writes when a key was last used, inside somebody's transaction."""
    connection.execute("UPDATE api_keys SET last_used_at = ? WHERE key_id = ?", (_us(at), key_id))


def _refuse_wrong(name: str, rate: float) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise CallersMistake(
            f"Asked for a key named {name[:80]!r}. A name has 1 to {LONGEST_NAME} printable characters and says who "
            "uses the key, such as 'website'."
        )
    if not (math.isfinite(rate) and rate > 0):
        raise CallersMistake(f"Asked for {rate:g} requests a second. A rate is above 0; 0.5 is one in two seconds.")


def _as_key(row: tuple[object, ...], *, bucket: int) -> ApiKey:
    number, key_id, name, sha, scopes, rate, created, expires, revoked, replaces, used = row
    return ApiKey(
        int(str(number)),
        str(key_id),
        str(name),
        sha if isinstance(sha, bytes) else b"",
        read_scopes(str(scopes)),
        float(str(rate)),
        _instant(created) or _EPOCH,
        _instant(expires),
        _instant(revoked),
        None if replaces is None else str(replaces),
        _instant(used),
        bucket,
    )


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(said: object) -> datetime | None:
    return _EPOCH + timedelta(microseconds=said) if isinstance(said, int) else None
