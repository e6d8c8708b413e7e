"""From settled to written: what a request was decided on is read once more where it is written, in one transaction.

Between the first reading and the write another client may have taken the last unit of a budget, or reached the
customer's cap. So the facts are read again inside the transaction; where they differ the same pure function settles
again, from the same offers with the same draws. Invariant: what is written was drawn from the distribution that is
written with it, and the facts that it rests on hold at that moment.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from serving.contact.facts import Facts
from serving.contact.reading import read_facts
from serving.contact.rules import ContactRules
from serving.contact.store import reserve
from serving.decide import Decision, settle_all
from serving.kept import Before, Retry, answered_before, is_key_new, keep, keep_key
from serving.ledger_rows import write_decision
from serving.next_question.asked import read_asked
from serving.offers import Prepared
from serving.people import Keys

Codes = tuple[dict[int, str], ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """The decisions of one request, settled and not yet written.

    Attributes:
        asked: the places, prepared.
        keys: of the person.
        rules: the contact policy.
        facts: as they were read before.
        decisions: as settled by them.
    """

    asked: tuple[Prepared, ...]
    keys: Keys
    rules: ContactRules
    facts: Facts
    decisions: tuple[Decision, ...]

    @property
    def at(self) -> datetime:
        """When it is decided."""
        return self.asked[0].situation.decided_at


@dataclass(frozen=True, slots=True)
class Committed:
    """What was written: the decisions as they really are, and the coupon codes of each one's slots."""

    decisions: tuple[Decision, ...]
    codes: Codes
    told: dict[str, Any] | None = None  # the answer, where it was kept


def settled(connection: sqlite3.Connection, asked: Sequence[Prepared], keys: Keys, rules: ContactRules) -> Pending:
    """The decisions as the facts are now, on the reader's connection."""
    facts = _facts(connection, asked, keys, rules)
    return Pending(tuple(asked), keys, rules, facts, tuple(settle_all(asked, facts, rules)))


def commit(
    connection: sqlite3.Connection,
    pending: Pending,
    *,
    retry: Retry | None = None,
    told: Callable[[Committed], dict[str, Any]] | None = None,
) -> Committed | Before:
    """Writes the decisions of one request with everything that they take; one piece of work inside a transaction.

    Args:
        connection: in the transaction.
        pending: what was settled.
        retry: of a client who may ask again: by which id or key it would be the same question.
        told: makes the answer, which is kept for such a client.

    Returns:
        What was written, or what the same question was answered before: then nothing is.
    """
    if retry is not None and (before := answered_before(connection, retry, at=pending.at)) is not None:
        if is_key_new(retry, before):
            key = pending.decisions[0].situation.customer_key
            keep_key(connection, retry, decision_id=before.decision_id, customer_key=key, at=pending.at)
        return before
    committed = _committed(connection, pending)
    if retry is None or told is None:
        return committed
    answer = told(committed)
    situation = committed.decisions[0].situation
    keep(
        connection,
        retry,
        decision_id=situation.decision_id,
        customer_key=situation.customer_key,
        answer=json.dumps(answer, ensure_ascii=False, allow_nan=False),
        at=pending.at,
    )
    return replace(committed, told=answer)


def commit_all(connection: sqlite3.Connection, pending: Sequence[Pending]) -> list[Committed]:
    """As `commit`, for many requests in one transaction: each one sees what those before it took.

    What is due is given back by the first one only: a transaction is as long as others wait.
    """
    return [_committed(connection, one, gives_back=number == 0) for number, one in enumerate(pending)]


def _committed(connection: sqlite3.Connection, pending: Pending, *, gives_back: bool = True) -> Committed:
    facts = _facts(connection, pending.asked, pending.keys, pending.rules)
    decisions = pending.decisions
    if facts != pending.facts:
        decisions = tuple(settle_all(pending.asked, facts, pending.rules))
    codes = tuple(
        reserve(
            connection,
            decision,
            pending.rules,
            pending.at,
            is_deferred=decision.prepared.is_deferred,
            gives_back=gives_back,
        )
        for decision in decisions
    )
    for decision in decisions:
        write_decision(connection, decision)
    return Committed(decisions, codes)


def _facts(connection: sqlite3.Connection, asked: Sequence[Prepared], keys: Keys, rules: ContactRules) -> Facts:
    at = asked[0].situation.decided_at
    initiated_by = sorted({prepared.situation.initiated_by for prepared in asked})
    facts = read_facts(connection, keys, at=at, rules=rules, initiated_by=initiated_by)
    if not any(prepared.placement.questions for prepared in asked):
        return facts
    before = read_asked(connection, keys, at=at, conversation_id=asked[0].conversation_id)
    return replace(facts, asked=before)
