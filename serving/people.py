"""Which keys a customer's id stands for, looked up once: a key is never given twice, and joins are counted."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from features.erasures import count_erasures
from features.identity import IdentityTable
from serving.schemas import DecisionRequest

KEPT = 100_000  # every commit empties SQLite's page cache of the readers: a look-up costs as much as a model

Keys = tuple[int, ...]  # of one person: the one that stands for them first, then those that were joined into it


class People:
    """Ids of customers and the keys of the person behind each; of one thread.

    Args:
        connection: its own.
        on_erasure: is called before anybody is looked up once somebody was erased, by whichever process.
    """

    def __init__(self, connection: sqlite3.Connection, *, on_erasure: Callable[[], None]) -> None:
        self._connection, self._on_erasure = connection, on_erasure
        self._identity = IdentityTable(connection)
        self._kept: dict[str, Keys] = {}
        self._version, self._n_erased = self._identity.version(), count_erasures(connection)

    def asked_for(self, request: DecisionRequest) -> Keys | None:
        """Every key of the customer whom a request is about; None where nobody has that id."""
        if request.anonymous_id is None:
            return self.keys(str(request.customer_id))
        device = self._identity.key(request.anonymous_id, "anonymous")
        return None if device is None else self._identity.keys_of(device)

    def among(self, customer_ids: Sequence[str]) -> list[Keys | None]:
        """As `keys`, of many customers as of one moment."""
        self._look()
        return [self._keys(customer_id) for customer_id in customer_ids]

    def keys(self, customer_id: str) -> Keys | None:
        """Every key of the customer of that id, the shop's own or else a device's; None where nobody has it."""
        self._look()
        return self._keys(customer_id)

    def _keys(self, customer_id: str) -> Keys | None:
        if (kept := self._kept.get(customer_id)) is not None:
            return kept
        if (key := self._identity.key(customer_id)) is None:
            device = self._identity.key(customer_id, "anonymous")  # not kept: the shop may give that id to somebody
            return None if device is None else self._identity.keys_of(device)
        if len(self._kept) >= KEPT:
            self._kept.clear()
        keys = self._kept[customer_id] = self._identity.keys_of(key)
        return keys

    def _look(self) -> None:
        """Lets go of what was looked up where somebody was joined, pointed elsewhere or erased since."""
        if (version := self._identity.version()) == self._version:
            return
        self._kept.clear()
        self._version = version
        if (n_erased := count_erasures(self._connection)) != self._n_erased:
            self._n_erased = n_erased
            self._on_erasure()

    def keys_of(self, customer_key: int) -> Keys:
        """Every key of the person of that key."""
        return self._identity.keys_of(customer_key)

    def id_of(self, customer_key: int) -> str | None:
        """The outside id of a key."""
        return self._identity.id_of(customer_key)


def new_key(connection: sqlite3.Connection, *, request: DecisionRequest) -> int:
    """The key of the customer whom a request is about, made where nobody has that id; inside a transaction."""
    if request.anonymous_id is not None:
        return int(IdentityTable(connection).key_or_new(request.anonymous_id, "anonymous"))
    return int(IdentityTable(connection).key_or_new(str(request.customer_id)))


def new_keys(connection: sqlite3.Connection, *, customer_ids: Sequence[str]) -> dict[str, int]:
    """The key of each customer, made where nobody has that id; inside a transaction."""
    return {name: int(key) for name, key in IdentityTable(connection).keys_for(customer_ids).items()}
