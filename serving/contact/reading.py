"""The facts of one customer, read by index: what may still count, and no more of the past than that."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from serving.contact.consent import EVERY_CHANNEL
from serving.contact.facts import POOL, CarrierLimit, Contact, Facts, Left, Refusal, Returning
from serving.contact.rules import ENOUGH, EVERYBODY, ContactRules
from serving.contact.windows import to_us

_NEXT_RETURNS = 16

_CUSTOMER = """
SELECT 'refusal', action_id, reason, refused_at FROM refusals WHERE customer_key IN ({keys})
UNION ALL
SELECT 'limit', channel, code, until FROM carrier_limits WHERE customer_key IN ({keys}) AND until > ?
UNION ALL
SELECT 'left',
       CASE WHEN outcomes.joined_by IN ('decision_id', 'token', 'coupon') THEN decisions.channel ELSE ? END, '', 0
FROM outcomes LEFT JOIN decisions USING (decision_id)
WHERE outcomes.customer_key IN ({keys}) AND outcomes.outcome = 'unsubscribed'
"""
_CONTACTS = """
SELECT decision_id, action_id, channel, tags, initiated_by, decided_at, exposed_at, open_until, clicked_at,
       converted_at
FROM contacts WHERE customer_key IN ({keys}) AND initiated_by = ? AND latest_at > ?
"""
_USED = """
SELECT use.budget, use.units, use.amount
FROM json_each(?) AS asked
CROSS JOIN budget_use AS use ON use.budget = asked.key AND use.period = asked.value
"""
_POOLS = "SELECT pool, n_free FROM coupon_pools WHERE pool IN (SELECT value FROM json_each(?))"
_RETURNING = "SELECT until, units, amount FROM budget_holds WHERE budget = ? ORDER BY until LIMIT ?"


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
    at_us = to_us(at)
    mine = ", ".join(str(int(key)) for key in keys)
    refusals: list[Refusal] = []
    limits: list[CarrierLimit] = []
    unsubscribed: set[str] = set()
    for kind, name, said, instant in connection.execute(_CUSTOMER.format(keys=mine), (at_us, EVERY_CHANNEL)):
        if kind == "refusal":
            refusals.append(Refusal(name, said, instant))
        elif kind == "limit":
            limits.append(CarrierLimit(name, instant, said))
        else:
            unsubscribed.add(name)
    return Facts(
        contacts=tuple(sorted(_contacts(connection, mine, at_us, rules, initiated_by), key=_order)),
        refusals=tuple(sorted(refusals)),
        carrier_limits=tuple(sorted(limits)),
        unsubscribed=frozenset(unsubscribed),
        budgets=read_budgets(connection, at=at, rules=rules),
        terms=rules.terms,
    )


def _contacts(
    connection: sqlite3.Connection, keys: str, at_us: int, rules: ContactRules, initiated_by: Collection[str]
) -> Iterator[Contact]:
    for who, back_us in rules.counted(initiated_by):
        rows = connection.execute(_CONTACTS.format(keys=keys), (who, at_us - back_us))
        for decision_id, action_id, channel, tags, *rest in rows:
            yield Contact(decision_id, action_id, channel, tuple(tags.split(",")) if tags else (), *rest)


def read_budgets(connection: sqlite3.Connection, *, at: datetime, rules: ContactRules) -> dict[str, Left]:
    """What is left of every budget and pool, as far as it matters."""
    found: dict[str, Left] = {}
    if rules.limits:
        periods = rules.periods(to_us(at))
        used = {name: (units, amount) for name, units, amount in connection.execute(_USED, (json.dumps(periods),))}
        for name, limit in rules.limits.items():
            units, amount = used.get(name, (0, 0))
            left_units = None if limit.units is None else min(ENOUGH, limit.units - units)
            left_amount = None if limit.amount is None else min(limit.enough_amount, limit.amount - amount)
            is_low = left_units not in (None, ENOUGH) or left_amount not in (None, limit.enough_amount)
            returning = _returning(connection, name) if is_low else ()
            found[name] = Left(periods[name], left_units, left_amount, returning)
    if rules.pools:
        free = dict(connection.execute(_POOLS, (json.dumps(rules.pools),)).fetchall())
        for pool in rules.pools:
            n_free = min(ENOUGH, free.get(pool, 0))
            returning = _returning(connection, POOL + pool) if n_free < ENOUGH else ()
            found[POOL + pool] = Left(0, n_free, None, returning)
    return found


def _returning(connection: sqlite3.Connection, name: str) -> tuple[Returning, ...]:
    return tuple(Returning(*row) for row in connection.execute(_RETURNING, (name, _NEXT_RETURNS)))


def _order(contact: Contact) -> tuple[int, str, str, str]:
    return contact.decided_at_us, contact.decision_id, contact.action_id, contact.channel
