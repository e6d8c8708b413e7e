"""Moments of customers who were imported: no live event of theirs is in the log, but the snapshot knows when.

A snapshot holds the last instant of every kind of event that Rapport itself counts; each is a trigger like any other,
so seeding twice, or after the live event, changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.brand import Brand, load_brand
from features.database import connect, transaction
from features.event_log import EventLog
from features.identity import IdentityTable
from features.lake import instant_us
from features.merges import all_merges, survivor_of, survivors
from features.moments.following import follow
from features.moments.rules import MomentRule, moment_rules
from features.moments.table import Trigger, arm, create
from features.snapshot_origin import as_of_of, newest_snapshot
from features.workspace import Workspace

# The instant of a snapshot that says when an event last happened, by its name in brand.yaml's `events`.
INSTANT_OF = {
    "order": "last_order_at",
    "refund": "last_refund_at",
    "product_view": "last_product_view_at",
    "add_to_cart": "last_cart_at",
    "question_answered": "last_answer_at",
    "message_sent": "last_message_at",
    "message_clicked": "last_message_click_at",
}
_AT_ONCE = 500  # rows a transaction: other writers come between
_WRITERS_MAY_TAKE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Seeded:
    """What seeding did.

    Attributes:
        as_of: of the snapshot; None where there is none yet.
        n_armed: waits that began, or began anew, by the log and by the snapshot.
        not_in_snapshots: moments whose trigger no snapshot knows; they come after live events only.
    """

    as_of: datetime | None
    n_armed: int
    not_in_snapshots: tuple[str, ...]


def seed(workspace: Workspace, *, now: datetime | None = None) -> Seeded:
    """Arms what the log and the newest snapshot say, each trigger once however often it is called.

    Args:
        workspace: whose brand, log and snapshots.
        now: triggers whose moment would have expired by then start nothing; default the present.

    Raises:
        InvalidFile: brand.yaml is wrong.
    """
    brand = load_brand(workspace)
    rules = moment_rules(workspace, brand)
    instants = _instants(brand, rules)
    path, now_us = newest_snapshot(workspace), instant_us(now or datetime.now(UTC))
    with _open(workspace) as connection:
        n_armed = _follow_all(connection, rules, now=now_us)
        if path is not None and instants:
            n_armed += _arm_all(connection, _triggers(path, rules, instants, now=now_us), rules, now=now_us)
    missing = tuple(name for name in rules if name not in instants)
    return Seeded(None if path is None else as_of_of(path), n_armed, missing)


def catch_up(workspace: Workspace, *, now: datetime | None = None) -> int:
    """Arms what the log says, up to its end: before rows of it are pruned. Gives how many waits began.

    Raises:
        InvalidFile: brand.yaml is wrong.
    """
    rules = moment_rules(workspace, load_brand(workspace))
    with _open(workspace) as connection:
        return _follow_all(connection, rules, now=instant_us(now or datetime.now(UTC)))


@contextmanager
def _open(workspace: Workspace) -> Iterator[sqlite3.Connection]:
    with closing(connect(workspace.database)) as connection:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {_WRITERS_MAY_TAKE_MS}")
        IdentityTable(connection)
        EventLog(connection)
        create(connection)
        yield connection


def _instants(brand: Brand, rules: Mapping[str, MomentRule]) -> dict[str, str]:
    """The snapshot's column that holds each moment's trigger, where there is one."""
    columns = {str(getattr(brand.events, role)): column for role, column in INSTANT_OF.items()}
    return {name: columns[rule.event] for name, rule in rules.items() if rule.event in columns}


def _follow_all(connection: sqlite3.Connection, rules: Mapping[str, MomentRule], *, now: int) -> int:
    n_armed, more = 0, True
    while more:
        with transaction(connection):
            followed = follow(connection, rules, now=now)
        n_armed, more = n_armed + followed.n_armed, followed.is_behind
    return n_armed


def _triggers(
    snapshot: Path, rules: Mapping[str, MomentRule], instants: Mapping[str, str], *, now: int
) -> Iterator[Trigger]:
    table = pq.read_table(snapshot, columns=["customer_key", *sorted(set(instants.values()))])
    keys = table["customer_key"].to_numpy()
    for name, column in instants.items():
        rule = rules[name]
        earliest = now - rule.wait_us - rule.expires_after_us
        at = table[column].cast(pa.int64()).fill_null(earliest - 1).to_numpy()
        wanted = np.flatnonzero(at >= earliest)
        for key, instant in zip(keys[wanted].tolist(), at[wanted].tolist(), strict=True):
            yield Trigger(name, key, instant)


def _arm_all(
    connection: sqlite3.Connection, triggers: Iterable[Trigger], rules: Mapping[str, MomentRule], *, now: int
) -> int:
    n_armed, rest = 0, iter(triggers)
    ends = survivors(all_merges(connection))
    while batch := list(islice(rest, _AT_ONCE)):
        with transaction(connection):
            n_armed += arm(connection, _of_the_living(connection, batch, ends), rules, now=now)
    return n_armed


def _of_the_living(
    connection: sqlite3.Connection, triggers: Iterable[Trigger], ends: Mapping[int, int]
) -> Iterator[Trigger]:
    """Under the survivors' keys, without those whom nobody knows any more: a snapshot may be older than an erasure.

    Args:
        connection: in a transaction.
        triggers: under the keys that they had in the snapshot.
        ends: the survivor of each key that was merged away before the first transaction.
    """
    known = "SELECT 1 FROM identity WHERE customer_key = ? LIMIT 1"
    for trigger in triggers:
        key = ends.get(trigger.customer_key, trigger.customer_key)
        if connection.execute(known, (key,)).fetchone() is None:
            key = survivor_of(connection, key)  # merged away since
            if connection.execute(known, (key,)).fetchone() is None:
                continue
        yield Trigger(trigger.moment, key, trigger.at)
