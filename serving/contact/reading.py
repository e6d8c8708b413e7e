"""The facts of one customer, read by index: what may still count, and no more of the past than that."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from serving.contact.budgets import ENOUGH
from serving.contact.consent import EVERY_CHANNEL
from serving.contact.facts import POOL, CarrierLimit, Contact, Facts, Left, Refusal, Returning
from serving.contact.rules import EVERYBODY, ContactRules
from serving.contact.windows import to_us

_NEXT_RETURNS = 16
_BY_NAME = 8  # keys of one person, nearly always

_CUSTOMER = """
SELECT customer_key, 'refusal', action_id, reason, refused_at FROM refusals WHERE customer_key IN ({keys})
UNION ALL
SELECT customer_key, 'limit', channel, code, until FROM carrier_limits WHERE customer_key IN ({keys}) AND until > :at
UNION ALL
SELECT outcomes.customer_key, 'left',
       CASE WHEN outcomes.joined_by IN ('decision_id', 'token', 'coupon')
            THEN coalesce(contacts.channel, decisions.channel) ELSE :every END, '', 0
FROM outcomes
LEFT JOIN decisions USING (decision_id)
LEFT JOIN contacts ON contacts.decision_id = outcomes.decision_id AND contacts.slot = coalesce(outcomes.slot, 0)
WHERE outcomes.customer_key IN ({keys}) AND outcomes.outcome = 'unsubscribed'
"""
_CONTACTS = """
SELECT customer_key, decision_id, action_id, channel, tags, initiated_by, decided_at, exposed_at, open_until,
       clicked_at, converted_at
FROM contacts WHERE customer_key IN ({keys}) AND initiated_by = :who AND latest_at > :since
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


def read_facts(
    connection: sqlite3.Connection,
    keys: Sequence[int],
    *,
    at: datetime,
    rules: ContactRules,
    initiated_by: Collection[str] = EVERYBODY,
) -> Facts:
    """Everything that the rules ask about one person and the budgets.

    Args:
        connection: to read with; once more in the transaction that writes the decision.
        keys: every key of the person.
        at: when it is decided.
        rules: what is asked.
        initiated_by: who speaks first in the places that are asked for.
    """
    (facts,) = read_facts_of(connection, [keys], at=at, rules=rules, initiated_by=initiated_by)
    return facts


def read_facts_of(
    connection: sqlite3.Connection,
    people: Sequence[Sequence[int]],
    *,
    at: datetime,
    rules: ContactRules,
    initiated_by: Collection[str] = EVERYBODY,
) -> list[Facts]:
    """As `read_facts`, of several people in as many queries as of one.

    Args:
        connection: to read with.
        people: every key of each; of different people.
        at: when it is decided.
        rules: what is asked.
        initiated_by: who speaks first in the places that are asked for.
    """
    at_us = to_us(at)
    whose = {int(key): person for person, keys in enumerate(people) for key in keys}
    customers, rows_of, asked = _asked_of(tuple(whose))
    refusals: dict[int, list[Refusal]] = {}
    limits: dict[int, list[CarrierLimit]] = {}
    unsubscribed: dict[int, set[str]] = {}
    contacts: dict[int, list[Contact]] = {}
    for key, kind, name, said, instant in connection.execute(customers, asked | {"at": at_us, "every": EVERY_CHANNEL}):
        person = whose[key]
        if kind == "refusal":
            refusals.setdefault(person, []).append(Refusal(name, said, instant))
        elif kind == "limit":
            limits.setdefault(person, []).append(CarrierLimit(name, instant, said))
        else:
            unsubscribed.setdefault(person, set()).add(name)
    for who, back_us in rules.counted(initiated_by):
        for key, *row in connection.execute(rows_of, asked | {"who": who, "since": at_us - back_us}):
            contacts.setdefault(whose[key], []).append(_contact(*row))
    budgets = read_budgets(connection, at=at, rules=rules)
    return [
        Facts(
            contacts=rules.needed(sorted(contacts.get(person, ()), key=_order), initiated_by),
            refusals=tuple(sorted(refusals.get(person, ()))),
            carrier_limits=tuple(sorted(limits.get(person, ()))),
            unsubscribed=frozenset(unsubscribed.get(person, ())),
            budgets=budgets,
            terms=rules.terms,
        )
        for person in range(len(people))
    ]


def _asked_of(keys: Sequence[int]) -> tuple[str, str, dict[str, object]]:
    """The two statements about these keys, with the parameters that name them."""
    if len(keys) > _BY_NAME:
        return *_statements(0), {"keys": json.dumps(keys)}
    return *_statements(len(keys)), {f"key{n}": key for n, key in enumerate(keys)}


@lru_cache(maxsize=_BY_NAME + 1)
def _statements(n_keys: int) -> tuple[str, str]:
    """Of so many keys, the same texts each time: SQLite keeps what it has compiled. 0: of any number."""
    marks = ", ".join(f":key{n}" for n in range(n_keys)) or "SELECT value FROM json_each(:keys)"
    return _CUSTOMER.format(keys=marks), _CONTACTS.format(keys=marks)


def _contact(decision_id: str, action_id: str, channel: str, tags: str, *rest: Any) -> Contact:
    return Contact(decision_id, action_id, channel, tuple(tags.split(",")) if tags else (), *rest)


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


def _order(contact: Contact) -> tuple[int, str, str, str]:
    return contact.decided_at_us, contact.decision_id, contact.action_id, contact.channel
