"""Contacts of the past for tests: drawn, put at other instants, and told to a ledger's table."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from datetime import timedelta

from serving.contact.facts import Contact
from serving.contact.windows import to_us
from tests.serving.tiny_world import NOON


def shifted(one: Contact, shifts: random.Random, *, n: int) -> Contact:
    """The same contact once more, with an id of its own, at some other time of the last 35 days."""
    exposed_at_us = one.exposed_at_us and to_us(NOON - timedelta(minutes=shifts.randint(-900, 50_000)))
    return one._replace(
        decision_id=f"{one.decision_id}{n}",
        converted_at_us=None,
        exposed_at_us=exposed_at_us,
        decided_at_us=to_us(NOON - timedelta(minutes=shifts.randint(0, 50_000))),
    )


def told(connection: sqlite3.Connection, said: Sequence[tuple[int, Contact]]) -> None:
    """These contacts by the key of whom they were told to, and no others."""
    connection.execute("DELETE FROM contacts")
    for n, (key, one) in enumerate(said):
        instants = (one.exposed_at_us, one.open_until_us, one.clicked_at_us, one.converted_at_us)
        latest = max([one.decided_at_us, *(instant for instant in instants if instant is not None)])
        row = (one.decision_id, n, key, one.action_id, one.channel, ",".join(one.tags), one.initiated_by)
        connection.execute(
            f"INSERT INTO contacts VALUES ({', '.join('?' * 18)})",
            (*row, one.decided_at_us, *instants, latest, None, 0, None, None, None),
        )
