"""From prepared to written: the contact rules, the draw and the write in one transaction.

What the rules count is read where the decision is written, so that no other client takes the last unit of a budget, or
reaches the customer's cap, in between. Everything that waits for one transaction is read together, settled one after
the other, each on what those before it have left, and written together. Invariant: what is written was drawn from the
distribution that is written with it, and the facts that it rests on hold at that moment.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace as with_fields

from serving.contact.budgets import ENOUGH
from serving.contact.facts import Facts
from serving.contact.reading import Whose, read_budgets, read_facts_together
from serving.contact.rules import ContactRules
from serving.contact.store import RELEASED_TOGETHER, release_due
from serving.contact.taking import Taken
from serving.decide import Decision, Rules, settle_all
from serving.kept import Before, Retry, answered_before, is_key_new, keep, keep_key
from serving.ledger_rows import write_decisions
from serving.next_question.asked import read_asked
from serving.offers import Prepared
from serving.people import Keys

Codes = tuple[dict[int, str], ...]

AS_GOOD_AS_ENDLESS = ENOUGH // 2
"""So much may be taken from a budget that was left out of what was read, and it would still be."""


class Pending(msgspec.Struct, frozen=True):
    """One request, prepared and not yet settled.

    Attributes:
        asked: the places, prepared.
        keys: of the person.
        rules: the contact policy: what is counted and taken.
        judging: the same rules, of a caller who remembers what they have judged.
    """

    asked: tuple[Prepared, ...]
    keys: Keys
    rules: ContactRules
    judging: Rules | None = None

    @property
    def at(self) -> datetime:
        """When it is decided."""
        return self.asked[0].situation.decided_at

    @property
    def whose(self) -> Whose:
        """Whose facts it rests on."""
        if len(self.asked) == 1:
            (one,) = self.asked
            return Whose(self.keys, one.situation.decided_at, (one.situation.initiated_by,), len(one.draws))
        initiated_by = tuple(sorted({one.situation.initiated_by for one in self.asked}))
        return Whose(self.keys, self.at, initiated_by, sum([len(one.draws) for one in self.asked]))

    def settled(self, facts: Facts) -> tuple[Decision, ...]:
        """The decisions on these facts."""
        return tuple(settle_all(self.asked, facts, self.judging or self.rules))


@dataclass(slots=True)
class Committed:
    """What was written: the decisions as they really are, and the coupon codes of each one's slots."""

    decisions: tuple[Decision, ...]
    codes: Codes
    told: dict[str, Any] | None = None  # the answer, where it was made already


class Commit(msgspec.Struct, frozen=True):
    """Settles and writes one request; one piece of work inside a transaction.

    Attributes:
        pending: what was prepared.
        retry: of a client who may ask again: by which id or key it would be the same question.
        told: makes the answer: in the transaction where it is kept for such a client, else while that goes to the disk.
        gives_back: whether reservations whose time is over are released in passing.
    """

    pending: Pending
    retry: Retry | None = None
    told: Callable[[Committed], dict[str, Any]] | None = None
    gives_back: bool = True

    def __call__(self, connection: sqlite3.Connection) -> Committed | Before:
        """What was written, or what the same question was answered before: then nothing is."""
        (committed,) = commit_together(connection, [self])
        return committed

    def foretold(self, written: Committed | Before) -> None:
        """Makes the answer beforehand, in the thread of who waits for it; they get it once it is on disk."""
        if self.told is None or not isinstance(written, Committed) or written.told is not None:
            return
        with contextlib.suppress(Exception):  # who waits makes it again, and is told what is wrong
            written.told = self.told(written)

    @staticmethod
    def together(connection: sqlite3.Connection, works: Sequence[Commit]) -> list[Committed | Before]:
        """As calling each in turn, with fewer statements."""
        return commit_together(connection, works)


def settled(connection: sqlite3.Connection, pending: Pending) -> tuple[Decision, ...]:
    """The decisions as the facts are now, for somebody who writes none of them."""
    (facts,) = read_facts_together(connection, [pending.whose], rules=pending.rules)
    return pending.settled(_with_questions(connection, pending, facts))


def commit_all(
    connection: sqlite3.Connection, pending: Sequence[Pending], *, gives_back: bool = True
) -> list[Committed]:
    """As `Commit`, for many requests in one transaction: each one sees what those before it took.

    What is due is given back for the first one only: a transaction is as long as others wait.
    """
    works = [Commit(one, gives_back=gives_back and number == 0) for number, one in enumerate(pending)]
    written = commit_together(connection, works)
    return [one for one in written if isinstance(one, Committed)]


def commit_together(connection: sqlite3.Connection, works: Sequence[Commit]) -> list[Committed | Before]:
    """Settles and writes requests in their order; one piece of work inside a transaction.

    Returns:
        For each what was written, or what the same question was answered before: then nothing is.
    """
    _give_back(connection, [one for one in works if one.gives_back])
    group = _Group(connection, [one.pending for one in works])
    written: list[Committed | Before] = []
    for number, one in enumerate(works):
        if one.retry is not None:
            written.append(_once(group, number, one, one.retry))
        else:
            written.append(group.settled(number))
    group.write()
    return written


def _once(group: _Group, number: int, one: Commit, retry: Retry) -> Committed | Before:
    """As `Group.settled`, unless the same was asked before; the answer is kept for who asks again."""
    group.write()  # the same question may stand in this very group
    connection, pending = group.connection, one.pending
    if (before := answered_before(connection, retry, at=pending.at)) is not None:
        if is_key_new(retry, before):
            key = pending.asked[0].situation.customer_key
            keep_key(connection, retry, decision_id=before.decision_id, customer_key=key, at=pending.at)
        return before
    committed = group.settled(number)
    if one.told is None:
        return committed
    group.write()
    answer = one.told(committed)
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


class _Group:
    """Requests that are settled in one transaction: what they rest on, and what those before have taken.

    Nobody else moves a counter inside a transaction. So facts are read once for all, and anew only where something that
    was settled before in this group has changed them.
    """

    def __init__(self, connection: sqlite3.Connection, pending: Sequence[Pending]) -> None:
        self.connection = connection
        self._pending = pending
        self._taken = Taken()
        self._unwritten: list[Decision] = []
        self._seen: set[int] = set()
        self._facts = _facts_of(connection, pending)

    def settled(self, number: int) -> Committed:
        """The decisions of one of the requests, noted to be written, and its coupon codes taken."""
        one = self._pending[number]
        decisions = one.settled(self._facts_now(number, one))
        codes = tuple(
            [
                self._taken.add(self.connection, decision, one.rules, one.at, is_deferred=decision.prepared.is_deferred)
                for decision in decisions
            ]
        )
        self._seen.update(one.keys)
        self._unwritten += decisions
        return Committed(decisions, codes)

    def write(self) -> None:
        """Writes what was settled since the last time."""
        self._taken.write(self.connection)
        if self._unwritten:
            write_decisions(self.connection, self._unwritten)
            self._unwritten = []

    def _facts_now(self, number: int, one: Pending) -> Facts:
        facts, taken = self._facts.get(number), self._taken
        if facts is None or taken.has_released or not self._seen.isdisjoint(one.keys):
            taken.write(self.connection)
            (facts,) = read_facts_together(self.connection, [one.whose], rules=one.rules)
        elif _may_have_changed(facts, taken):
            taken.write(self.connection)
            facts = with_fields(facts, budgets=read_budgets(self.connection, at=one.at, rules=one.rules))
        return _with_questions(self.connection, one, facts)


def _facts_of(connection: sqlite3.Connection, pending: Sequence[Pending]) -> dict[int, Facts]:
    """The facts of each request, by its place; without those of people who stand there for the second time."""
    first: dict[int, int] = {}
    for number, one in enumerate(pending):
        if not any(key in first for key in one.keys):
            first.update(dict.fromkeys(one.keys, number))
    numbers = dict.fromkeys(first.values())
    facts: dict[int, Facts] = {}
    for rules in {id(pending[number].rules): pending[number].rules for number in numbers}.values():
        mine = [number for number in numbers if pending[number].rules is rules]
        read = read_facts_together(connection, [pending[number].whose for number in mine], rules=rules)
        facts.update(zip(mine, read, strict=True))
    return facts


def _may_have_changed(facts: Facts, taken: Taken) -> bool:
    """Whether what was taken since may be seen in what is left: of a budget with enough left only after very much."""
    return taken.most_units >= AS_GOOD_AS_ENDLESS or not facts.budgets.keys().isdisjoint(taken.units)


def _with_questions(connection: sqlite3.Connection, pending: Pending, facts: Facts) -> Facts:
    if not any(prepared.placement.questions for prepared in pending.asked):
        return facts
    conversation_id = pending.asked[0].conversation_id
    before = read_asked(connection, pending.keys, at=pending.at, conversation_id=conversation_id)
    return with_fields(facts, asked=before)


def _give_back(connection: sqlite3.Connection, works: Sequence[Commit]) -> None:
    """Releases reservations whose time is over, some for each: a transaction is as long as others wait."""
    if works:
        at = min(one.pending.at for one in works)
        for _ in works:
            if release_due(connection, at) < RELEASED_TOGETHER:
                break
