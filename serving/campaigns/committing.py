"""A group of a campaign, settled and written in one transaction.

Nobody else moves a counter inside a transaction, so what the rules count is read once for the whole group and kept up
while it is written: each customer is settled on what those before them have left. Invariant, as for single decisions:
what is written was drawn from the distribution that is written with it, and the facts it rests on hold at that moment.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from serving.committing import Committed
from serving.contact.facts import Facts
from serving.contact.reading import read_budgets, read_facts, read_facts_of
from serving.contact.rules import ContactRules
from serving.contact.store import reserve
from serving.decide import Decision, Rules, settle_all
from serving.ledger_rows import write_decisions
from serving.offers import Prepared
from serving.people import Keys


@dataclass(frozen=True, slots=True)
class Ready:
    """One customer of the group, with everything but the counters."""

    asked: tuple[Prepared, ...]
    keys: Keys


def commit_group(
    connection: sqlite3.Connection,
    group: Sequence[Ready],
    *,
    rules: ContactRules,
    judging: Rules,
    at: datetime,
    initiated_by: str,
) -> list[Committed]:
    """Settles and writes a group; one piece of work inside a transaction.

    Args:
        connection: in the transaction.
        group: at least one, all at the same instant.
        rules: what is counted and taken.
        judging: the same rules, which may remember what they have judged.
        at: the instant.
        initiated_by: who speaks first in the place.
    """
    facts = _facts_of(connection, group, rules=rules, at=at, initiated_by=initiated_by)
    budgets, seen = facts[0].budgets, set[Keys]()
    committed: list[Committed] = []
    for one, known in zip(group, facts, strict=True):
        if one.keys in seen:  # somebody who stands in the group twice
            known = read_facts(connection, one.keys, at=at, rules=rules, initiated_by=[initiated_by])
        elif known.budgets is not budgets:
            known = replace(known, budgets=budgets, memo={})
        seen.add(one.keys)
        decisions = tuple(settle_all(one.asked, known, judging))
        codes = tuple(
            # What is due was given back before anything was counted, not in the middle.
            reserve(connection, decision, rules, at, is_deferred=decision.prepared.is_deferred, gives_back=False)
            for decision in decisions
        )
        if taken := _taken(decisions, rules):
            others = {name: left for name, left in budgets.items() if name not in taken}
            budgets = others | read_budgets(connection, at=at, rules=rules, only=taken)
        committed.append(Committed(decisions, codes))
    write_decisions(connection, [decision for one in committed for decision in one.decisions])
    return committed


def _facts_of(
    connection: sqlite3.Connection, group: Sequence[Ready], *, rules: ContactRules, at: datetime, initiated_by: str
) -> list[Facts]:
    people = list(dict.fromkeys(one.keys for one in group))
    read = dict(
        zip(people, read_facts_of(connection, people, at=at, rules=rules, initiated_by=[initiated_by]), strict=True)
    )
    return [read[one.keys] for one in group]


def _taken(decisions: Sequence[Decision], rules: ContactRules) -> set[str]:
    """The budgets and pools that something was taken from."""
    return {
        charge.budget
        for decision in decisions
        if not decision.is_holdout
        for slot in decision.said
        for charge in rules.terms(slot.action_id, slot.channel).charges
    }
