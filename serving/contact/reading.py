"""The facts of one customer, read by index: what may still count, and no more of the past than that."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from serving.contact.budgets import ENOUGH
from serving.contact.consent import EVERY_CHANNEL
from serving.contact.facts import POOL, CarrierLimit, Contact, Facts, Left, Refusal, Returning
from serving.contact.many import Person, contact_of, of_many, order
from serving.contact.needed import FEW
from serving.contact.rules import EVERYBODY, ContactRules
from serving.contact.windows import to_us

_NEXT_RETURNS = 16
_BY_NAME = 8  # keys of one person, nearly always

_CUSTOMER = """
SELECT customer_key, 'refusal', action_id, reason, refused_at,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM refusals WHERE customer_key IN ({keys})
UNION ALL
SELECT customer_key, 'limit', channel, code, until,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM carrier_limits WHERE customer_key IN ({keys})
UNION ALL
SELECT outcomes.customer_key, 'left',
       CASE WHEN outcomes.joined_by IN ('decision_id', 'token', 'coupon')
            THEN coalesce(contacts.channel, decisions.channel) ELSE :every END, '', 0,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM outcomes
LEFT JOIN decisions USING (decision_id)
LEFT JOIN contacts ON contacts.decision_id = outcomes.decision_id AND contacts.slot = coalesce(outcomes.slot, 0)
WHERE outcomes.customer_key IN ({keys}) AND outcomes.outcome = 'unsubscribed'
"""
# The newest of each key that may count, few of them: whoever has more than that is looked at by themselves.
_CONTACTS = """UNION ALL
SELECT customer_key, 'contact', '', '', latest_at,
       decision_id, action_id, channel, tags, initiated_by, decided_at, exposed_at, open_until, clicked_at, converted_at
FROM ({keys_as_rows}) AS one CROSS JOIN contacts ON customer_key = one.value AND initiated_by = '{who}'
 AND latest_at >= max(:{who} + 1, coalesce((
    SELECT newer.latest_at FROM contacts AS newer WHERE newer.customer_key = one.value AND newer.initiated_by = '{who}'
    ORDER BY newer.latest_at DESC LIMIT 1 OFFSET {few}
 ), 0))
"""
_USED = """
SELECT use.budget, use.units, use.amount
FROM json_each(?) AS asked
CROSS JOIN budget_use AS use ON use.budget = asked.key AND use.period = asked.value
WHERE use.units > ? OR use.amount > ?
"""
_HELD = "SELECT EXISTS (SELECT 1 FROM budget_holds)"
_POOLS = "SELECT pool, n_free FROM coupon_pools WHERE pool IN (SELECT value FROM json_each(?))"
_RETURNING = "SELECT until, units, amount FROM budget_holds WHERE budget = ? AND period = ? ORDER BY until LIMIT ?"


class Whose(NamedTuple):
    """Whose facts are read, as of when, for places where these speak first."""

    keys: Sequence[int]  # every key of the person
    at: datetime
    initiated_by: tuple[str, ...] = EVERYBODY
    n_chosen: int = 1  # so many may be chosen for them at once


def read_facts(
    connection: sqlite3.Connection,
    keys: Sequence[int],
    *,
    at: datetime,
    rules: ContactRules,
    initiated_by: tuple[str, ...] = EVERYBODY,
    n_chosen: int = 1,
) -> Facts:
    """Everything that the rules ask about one person and the budgets.

    Args:
        connection: to read with; once more in the transaction that writes the decision.
        keys: every key of the person.
        at: when it is decided.
        rules: what is asked.
        initiated_by: who speaks first in the places that are asked for.
        n_chosen: so many actions may be chosen in this request, at most.
    """
    (facts,) = read_facts_together(connection, [Whose(keys, at, initiated_by, n_chosen)], rules=rules)
    return facts


def read_facts_together(connection: sqlite3.Connection, people: Sequence[Whose], *, rules: ContactRules) -> list[Facts]:
    """As `read_facts`, of different people in as many queries as of one, each as of an instant of their own.

    All of whom nothing is known share their facts.
    """
    found: dict[int, _Found] = {}  # most people have nothing that counts
    backs = {one: dict(rules.counted(one)) for one in {one.initiated_by for one in people}}
    instants = {at: to_us(at) for at in {one.at for one in people}}
    whose = {int(key): person for person, one in enumerate(people) for key in one.keys}
    since = {
        who: min(instants.values()) - max(back.get(who, 0) for back in backs.values())
        for who in dict.fromkeys(who for back in backs.values() for who in back)
    }
    statement, asked = _asked_of(tuple(whose), tuple(since))
    for key, kind, name, said, instant, *contact in connection.execute(statement, asked | since):
        person = whose[key]
        one = people[person]
        if (mine := found.get(person)) is None:
            mine = found[person] = _Found()
        if kind == "contact":
            back_us = backs[one.initiated_by].get(contact[4])
            if back_us is not None and instant > instants[one.at] - back_us:
                mine.contacts.append(contact_of(*contact))
        elif kind == "refusal":
            mine.refusals.append(Refusal(name, said, instant))
        elif kind == "left":
            mine.unsubscribed.add(name)
        elif instant > instants[one.at]:
            mine.limits.append(CarrierLimit(name, instant, said))
    for person, mine in found.items():
        if len(mine.contacts) > FEW:
            one = people[person]
            somebody = Person(one.keys, instants[one.at], one.initiated_by, one.n_chosen)
            mine.contacts = list(of_many(connection, somebody, caps=rules.caps_of(one.initiated_by)))
    budgets = _budgets_at(connection, people, rules)
    nothing = {at: Facts(budgets=left, terms=rules.terms) for at, left in budgets.items()}
    return [
        nothing[one.at] if (mine := found.get(person)) is None else mine.facts(rules, budgets[one.at])
        for person, one in enumerate(people)
    ]


@dataclass(slots=True)
class _Found:
    """What was read of one person."""

    contacts: list[Contact] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    limits: list[CarrierLimit] = field(default_factory=list)
    unsubscribed: set[str] = field(default_factory=set)

    def facts(self, rules: ContactRules, budgets: dict[str, Left]) -> Facts:
        return Facts(
            contacts=tuple(sorted(self.contacts, key=order)) if self.contacts else (),
            refusals=tuple(sorted(self.refusals)) if self.refusals else (),
            carrier_limits=tuple(sorted(self.limits)) if self.limits else (),
            unsubscribed=frozenset(self.unsubscribed),
            budgets=budgets,
            terms=rules.terms,
        )


def _budgets_at(
    connection: sqlite3.Connection, people: Sequence[Whose], rules: ContactRules
) -> dict[datetime, dict[str, Left]]:
    """The budgets at each of the instants; read once where those are of the same periods, as nearly always."""
    read: dict[tuple[int, ...], dict[str, Left]] = {}
    budgets: dict[datetime, dict[str, Left]] = {}
    for one in people:
        if one.at not in budgets:
            began = rules.budgets.present(to_us(one.at)).began
            if began not in read:
                read[began] = read_budgets(connection, at=one.at, rules=rules)
            budgets[one.at] = read[began]
    return budgets


def _asked_of(keys: Sequence[int], whos: tuple[str, ...]) -> tuple[str, dict[str, object]]:
    """The statement about these keys, with the parameters that name them."""
    if len(keys) > _BY_NAME:
        return _statement(0, whos), {"keys": json.dumps(keys), "every": EVERY_CHANNEL}
    return _statement(len(keys), whos), {f"key{n}": key for n, key in enumerate(keys)} | {"every": EVERY_CHANNEL}


@lru_cache(maxsize=4 * (_BY_NAME + 1))
def _statement(n_keys: int, whos: tuple[str, ...]) -> str:
    """Of so many keys, the same text each time: SQLite keeps what it has compiled. 0: of any number."""
    every = "SELECT value FROM json_each(:keys)"
    marks = ", ".join(f":key{n}" for n in range(n_keys)) or every
    rows = " UNION ALL ".join(f"SELECT :key{n} AS value" for n in range(n_keys)) or every
    parts = [_CUSTOMER.format(keys=marks), *(_CONTACTS.format(keys_as_rows=rows, who=who, few=FEW) for who in whos)]
    return "".join(parts)


def read_budgets(
    connection: sqlite3.Connection, *, at: datetime, rules: ContactRules, only: Collection[str] | None = None
) -> dict[str, Left]:
    """What is left of every budget and pool, or of those that are named; a budget that has enough left is left out."""
    found = _limited(connection, at=at, rules=rules, only=only) if rules.limits else {}
    if rules.pools:
        free = dict(connection.execute(_POOLS, (json.dumps(rules.pools),)).fetchall())
        for pool in rules.pools:
            if only is not None and POOL + pool not in only:
                continue
            n_free = min(ENOUGH, free.get(pool, 0))
            returning = _returning(connection, POOL + pool, 0) if n_free < ENOUGH else ()
            found[POOL + pool] = Left(0, n_free, None, returning)
    return found


def _limited(
    connection: sqlite3.Connection, *, at: datetime, rules: ContactRules, only: Collection[str] | None
) -> dict[str, Left]:
    present = rules.budgets.present(to_us(at))
    used = dict.fromkeys(present.scarce, (0, 0))
    for asked in present.asked:
        used.update((name, (units, amount)) for name, units, amount in connection.execute(_USED, asked))
    found: dict[str, Left] = {}
    for name, (units, amount) in used.items():
        limit = rules.limits[name]
        if limit.leaves_enough(units, amount) or (only is not None and name not in only):
            continue
        left_units = None if limit.units is None else min(ENOUGH, limit.units - units)
        left_amount = None if limit.amount is None else min(limit.enough_amount, limit.amount - amount)
        found[name] = Left(present.periods[name], left_units, left_amount)
    if found and connection.execute(_HELD).fetchone()[0]:
        return {
            name: left._replace(returning=_returning(connection, name, left.period_us)) for name, left in found.items()
        }
    return found


def _returning(connection: sqlite3.Connection, name: str, period_us: int) -> tuple[Returning, ...]:
    return tuple(Returning(*row) for row in connection.execute(_RETURNING, (name, period_us, _NEXT_RETURNS)))
