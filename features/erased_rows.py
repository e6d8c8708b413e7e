"""One person's rows in the workspace's database: all of them go, in the caller's transaction; what stays is counted.

Every table that has a column `customer_key` is personal: one that a later version adds is emptied without being named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.by_customer import ByCustomer
from features.database import create_tables
from features.erased_letters import NO_LETTERS, Letters, forget_letters
from features.erased_reservations import give_back_reserved
from features.identity import IdentityTable
from features.workspace import Workspace

SCHEMA = """
CREATE TABLE IF NOT EXISTS erased_decisions (
    id BLOB PRIMARY KEY                 -- blake2b, 128 bits, of the decision_id: to say that it was erased
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased_counts (
    arm         TEXT NOT NULL,          -- of the customer's first decision
    month       TEXT NOT NULL,          -- of that decision, UTC: YYYY-MM
    n_customers INTEGER NOT NULL,
    n_decisions INTEGER NOT NULL,
    n_converted INTEGER NOT NULL,       -- of these customers
    PRIMARY KEY (arm, month)
) STRICT, WITHOUT ROWID;
"""

_COUNT = """
WITH mine AS (SELECT * FROM decisions WHERE customer_key IN ({keys})),
     first AS (SELECT arm, strftime('%Y-%m', decided_at / 1000000, 'unixepoch') AS month
               FROM mine ORDER BY decided_at, decision_id LIMIT 1)
INSERT INTO erased_counts
SELECT arm, month, 1, (SELECT count(*) FROM mine),
       EXISTS (SELECT 1 FROM outcomes WHERE customer_key IN ({keys}) AND outcome = 'converted')
FROM first WHERE true
ON CONFLICT (arm, month) DO UPDATE SET n_customers = n_customers + 1,
    n_decisions = n_decisions + excluded.n_decisions, n_converted = n_converted + excluded.n_converted
"""


def personal_tables(connection: sqlite3.Connection) -> list[str]:
    """The tables whose rows belong to a customer, by name."""
    query = (
        "SELECT m.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c "
        "WHERE m.type = 'table' AND c.name = 'customer_key' ORDER BY m.name"
    )
    return [row[0] for row in connection.execute(query)]


def erase_rows(
    connection: sqlite3.Connection,
    customer_keys: Sequence[int],
    *,
    ids: Sequence[str],
    letters: Letters = NO_LETTERS,
    is_late: bool = False,
) -> dict[str, int]:
    """Deletes every row of a person and counts what the experiment needs; gives how many rows by table.

    Args:
        connection: in a transaction that may write.
        customer_keys: every key of the person.
        ids: every outside id.
        letters: the dead letters that name them, as far as they have been looked through before the transaction.
        is_late: the person was erased and counted before: what is here came after.
    """
    create_tables(connection, SCHEMA)
    keys = ", ".join(str(int(key)) for key in customer_keys)
    tables = personal_tables(connection)
    if "decisions" in tables:
        if not is_late:
            connection.execute(_COUNT.format(keys=keys))
        decided = connection.execute(f"SELECT decision_id FROM decisions WHERE customer_key IN ({keys})").fetchall()
        fingerprints = [(decision_fingerprint(row[0]),) for row in decided]
        connection.executemany("INSERT OR IGNORE INTO erased_decisions VALUES (?)", fingerprints)
    removed = {"dead_letters": forget_letters(connection, ids, letters)}
    removed["identity"] = IdentityTable(connection).forget(customer_keys)  # tells whoever keeps keys in memory
    connection.execute(f"DELETE FROM customer_merges WHERE from_key IN ({keys}) OR into_key IN ({keys})")
    if "contacts" in tables:
        give_back_reserved(connection, keys)
    for table in tables:
        if table != "identity":
            removed[table] = connection.execute(f'DELETE FROM "{table}" WHERE customer_key IN ({keys})').rowcount
    return removed


def decision_fingerprint(decision_id: str) -> bytes:
    """By what an erased decision is known: who has its id can ask, nobody can read it back."""
    return blake2b(decision_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def is_erased_decision(connection: sqlite3.Connection, decision_id: str) -> bool:
    """Whether there was a decision of that id whose customer has been erased."""
    if not _has(connection, "erased_decisions"):
        return False
    query = "SELECT 1 FROM erased_decisions WHERE id = ?"
    return connection.execute(query, (decision_fingerprint(decision_id),)).fetchone() is not None


def remaining_counts(connection: sqlite3.Connection) -> dict[str, Any]:
    """What is left of everybody who was ever erased, as numbers about all of them together."""
    counts = "SELECT arm, sum(n_customers), sum(n_decisions), sum(n_converted) FROM erased_counts GROUP BY arm"
    by_arm = {
        arm: {"n_customers": n_customers, "n_decisions": n_decisions, "n_converted": n_converted}
        for arm, n_customers, n_decisions, n_converted in connection.execute(counts)
    }
    fingerprints = connection.execute("SELECT count(*) FROM erased_decisions").fetchone()[0]
    told: dict[str, Any] = {"erased_customers_by_arm": by_arm, "fingerprints_of_decisions": fingerprints}
    if _has(connection, "action_statistics"):
        total = connection.execute("SELECT coalesce(sum(n_decided), 0) FROM action_statistics").fetchone()[0]
        told["decisions_counted_by_segment_stage_and_action"] = total
    return told


def earliest_known_us(workspace: Workspace, connection: sqlite3.Connection, customer_keys: Sequence[int]) -> int | None:
    """Since when anything was known of a person, µs since the epoch; None where no event of theirs is there."""
    keys = ", ".join(str(int(key)) for key in customer_keys)
    known = []
    if _has(connection, "event_log"):
        query = f"SELECT min(max(occurred_at, received_at)) FROM event_log WHERE customer_key IN ({keys})"
        known.append(connection.execute(query).fetchone()[0])
    stored = ByCustomer.open(workspace).events(customer_keys)
    known.append(pc.min(pc.max_element_wise(stored["occurred_at"], stored["received_at"]).cast(pa.int64())).as_py())
    return min((int(one) for one in known if one is not None), default=None)


def _has(connection: sqlite3.Connection, table: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (table,)).fetchone() is not None
