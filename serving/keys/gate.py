"""Whether a request may go on: whose key it presents, what that key may do, and how often.

Decided from the first line and the headers alone, before a byte of the body is read. Keys are read from the database
at most once a second, so that a new key works and a revoked one is refused everywhere within a second.
"""

from __future__ import annotations

import hmac
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.types import Scope as Request

from serving.keys.loopback import is_from_here
from serving.keys.rates import SharedRates
from serving.keys.scopes import is_page, may, needed_scope
from serving.keys.table import ApiKey, KeyTable
from serving.keys.tokens import digest, key_id_of, presented_token

READ_AGAIN_SECONDS = 1.0
USE_NOTED_SECONDS = 60.0
KEY_ID = "key_id"
_HOW = "Send it as 'Authorization: Bearer <key>', or as the user of Basic, as Segment's clients do."
_ASK_PROGRAM = 'Bearer realm="rapport"'
_ASK_PERSON = 'Basic realm="rapport: the key as user", charset="UTF-8"'  # a browser then asks for it
_MAKE = "'rapport keys create' makes one."
_log = logging.getLogger("rapport.serving")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request may not go on."""

    status: int
    title: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Gate:
    """Judges every request of one worker, in its event loop; closed once.

    Args:
        connection: to the workspace's database, for this alone.
        rates: the buckets of all keys.
        required: whether a request without a key is refused although it came from this machine.
        note_use: is told the id of a key that was used and when, at most once a minute for each.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        rates: SharedRates,
        required: bool,
        note_use: Callable[[str, datetime], object] = lambda key_id, at: None,
    ) -> None:
        self._connection, self._rates = connection, rates
        self._required, self._note_use = required, note_use
        self._keys: dict[str, ApiKey] | None = None
        self._read_at = -math.inf
        self._noted: dict[str, float] = {}

    def close(self) -> None:
        """Lets go of its files."""
        self._rates.close()
        self._connection.close()

    def judge(self, request: Request) -> Refused | None:
        """None where the request may go on; then its state names the key, if it presented one that counts."""
        needed = needed_scope(request["method"], request["path"])
        if needed is None:
            return None
        token = presented_token(request["headers"])
        is_required = self._required or not is_from_here(request)
        if token is None and not is_required:
            return None
        keys = self._read_keys()
        if keys is None:
            return _UNREADABLE if is_required else None
        key = _holder(keys, token or "")
        at = datetime.now(UTC)
        if key is None or key.state(at) != "active":
            return _refused(token, key, at, is_page=is_page(request["path"])) if is_required else None
        if not may(key.scopes, needed):
            return Refused(
                403,
                "This key may not do that.",
                f"{request['method']} {request['path'][:80]} needs a key with the scope '{needed}'; '{key.name}' "
                f"({key.key_id}) has {', '.join(sorted(key.scopes))}. {_MAKE}",
            )
        if wait := self._rates.wait_of(key.bucket, per_second=key.requests_per_second):
            return Refused(
                429,
                "Too many requests.",
                f"The key '{key.name}' ({key.key_id}) may ask {key.requests_per_second:g} times a second. Send it "
                "again after what Retry-After says, with the same ids; or send more in one request.",
                {"retry-after": str(math.ceil(wait))},
            )
        self._note(key, at)
        request.setdefault("state", {})[KEY_ID] = key.key_id
        return None

    def _read_keys(self) -> dict[str, ApiKey] | None:
        """The keys as they were a second ago at the earliest; where the database cannot be read, as they last were."""
        now = time.monotonic()
        if now - self._read_at >= READ_AGAIN_SECONDS:
            self._read_at = now
            try:
                self._keys = {key.key_id: key for key in KeyTable(self._connection).all()}
            except sqlite3.Error as fault:
                _log.warning("the table of API keys cannot be read: %s", fault)
        return self._keys

    def _note(self, key: ApiKey, at: datetime) -> None:
        now = time.monotonic()
        if now - self._noted.get(key.key_id, -math.inf) >= USE_NOTED_SECONDS:
            self._noted[key.key_id] = now
            self._note_use(key.key_id, at)


def _holder(keys: Mapping[str, ApiKey], token: str) -> ApiKey | None:
    key = keys.get(key_id_of(token) or "")
    return key if key is not None and hmac.compare_digest(key.token_sha256, digest(token)) else None


def _refused(token: str | None, key: ApiKey | None, at: datetime, *, is_page: bool) -> Refused:
    if token is None:
        why = "This server takes requests from other machines only with a key, and this one has none."
    elif key is None:
        why = "The key of this request is none of this workspace."
    else:
        why = f"The key '{key.name}' ({key.key_id}) is {key.state(at)}."
    challenge = _ASK_PERSON if is_page else _ASK_PROGRAM
    return Refused(401, "A key is needed.", f"{why} {_HOW} {_MAKE}", {"www-authenticate": challenge})


_UNREADABLE = Refused(
    503,
    "Not available just now.",
    "The table of API keys cannot be read. Send it again, with the same ids.",
    {"retry-after": "1"},
)
