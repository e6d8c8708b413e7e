"""What the ledger's group commit does with the judged calls of a request: identity, log, free text, dead letters.

All of it is one transaction with whatever else is in the group. A message id that is taken already changes nothing:
it joins nobody and makes no customer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from features.event_log import EventLog, LogRow
from features.identity import IdentityTable
from features.texts import write_text
from serving.ingest.conversions import Conversions, Happening
from serving.ingest.dead_letters import DeadLetters
from serving.ingest.judging import Letter, Taken


class Written(NamedTuple):
    """What became of the calls of one piece of work.

    Attributes:
        log_seqs: of each taken event, in their order; None for one that was there before.
        customer_keys: whose each is, and so whose rows are behind now; None as above.
    """

    log_seqs: list[int | None]
    customer_keys: list[int | None]


def write_calls(
    connection: sqlite3.Connection, *, taken: Sequence[Taken], letters: Sequence[Letter], conversions: Conversions
) -> Written:
    """Writes them inside the caller's transaction; run again after a rollback, it does the same."""
    if letters:
        DeadLetters(connection).add(letters)
    if not taken:
        return Written([], [])
    log = EventLog(connection)
    is_new = log.claim([call.message_id for call in taken])
    new = [call for call, first in zip(taken, is_new, strict=True) if first]
    keys = _customers(IdentityTable(connection), new)
    rows = [
        LogRow(call.message_id, key, call.occurred_us, call.arrived_us, call.payload)
        for call, key in zip(new, keys, strict=True)
    ]
    written = iter(zip(log.append_claimed(rows), keys, strict=True))
    for call, key in zip(new, keys, strict=True):
        if call.texts:
            _write_texts(connection, call, key)
    happened = [
        Happening(key, call.user_id is not None, call.occurred_us, call.arrived_us, call.reached, call.followed)
        for call, key in zip(new, keys, strict=True)
        if call.reached or call.followed is not None
    ]
    if happened:
        conversions.write(connection, happened)
    both = [next(written) if first else (None, None) for first in is_new]
    return Written([log_seq for log_seq, _ in both], [key for _, key in both])


def _customers(identity: IdentityTable, calls: Sequence[Taken]) -> list[int]:
    """Whose each call is, in their order, joining where a call says that two are one."""
    keys: list[int] = []
    start = 0
    for position, call in enumerate(calls):
        if call.previous_id is None or call.user_id is None:
            continue
        keys += _joined(identity, calls[start:position])
        keys.append(identity.alias(previous_id=call.previous_id, user_id=call.user_id, at_us=call.arrived_us).key)
        start = position + 1
    return keys + _joined(identity, calls[start:])


def _joined(identity: IdentityTable, calls: Sequence[Taken]) -> list[int]:
    if not calls:
        return []
    pairs = [(call.user_id, call.anonymous_id) for call in calls]
    return [int(joined.key) for joined in identity.join_many(pairs, at_us=calls[-1].arrived_us)]


def _write_texts(connection: sqlite3.Connection, call: Taken, key: int) -> None:
    for said in call.texts:
        write_text(
            connection,
            customer_key=key,
            trait=said.trait,
            value=said.value,
            event_id=call.message_id,
            said_at_us=call.occurred_us,
            received_at_us=call.arrived_us,
            **said.evidence,
        )
