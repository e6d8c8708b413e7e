"""What a person who is erased had reserved, given back: nobody could release it any more once their contacts are gone.

Written over the ledger's tables by name, since what lies above this folder is not imported here. Each statement does
what the release of one reservation does: budget use goes back to its period, a coupon code to its queue's end. What
was exposed stays taken: the customer has had it.
"""

from __future__ import annotations

import sqlite3

_OPEN = "contacts.customer_key IN ({keys}) AND contacts.open_until IS NOT NULL"
_BUDGETS = f"""
UPDATE budget_use SET units = budget_use.units - back.units, amount = budget_use.amount - back.amount
FROM (SELECT charge.value ->> 0 AS budget, charge.value ->> 3 AS period, sum(charge.value ->> 1) AS units,
             sum(charge.value ->> 2) AS amount
      FROM contacts, json_each(contacts.charges) AS charge WHERE {_OPEN} GROUP BY 1, 2) AS back
WHERE budget_use.budget = back.budget AND budget_use.period = back.period
"""
_CODES = (
    f"SELECT coupon_pool, coupon_code FROM contacts WHERE {_OPEN} AND coupon_pool IS NOT NULL AND coupon_code <> ''"
)
_FREE = """
UPDATE coupon_codes SET is_taken = 0, position = (SELECT last_position + 1 FROM coupon_pools WHERE pool = ?1)
WHERE pool = ?1 AND code = ?2 AND is_taken = 1
"""
_COUNT_FREE = "UPDATE coupon_pools SET n_free = n_free + 1, last_position = last_position + 1 WHERE pool = ?"


def give_back_reserved(connection: sqlite3.Connection, keys: str) -> None:
    """Gives back what open reservations hold of budgets and pools; before their contacts are deleted.

    Args:
        connection: in a transaction that may write, of a ledger that has contacts.
        keys: every customer_key of the person, joined by commas.
    """
    connection.execute(_BUDGETS.format(keys=keys))
    for pool, code in connection.execute(_CODES.format(keys=keys)).fetchall():
        if connection.execute(_FREE, (pool, code)).rowcount:
            connection.execute(_COUNT_FREE, (pool,))
