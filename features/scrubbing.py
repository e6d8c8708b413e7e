"""What may not be kept any more goes: traits of withdrawn purposes, and what is left of erasures.

Part of every `rapport run`, after the sync and before anything is built. Who has withdrawn a purpose is found in the
log since the last time and in the lake; then their statements go from the lake and the log, so that nothing can be
built from them again, and only then the traits from stored snapshots, records of decisions and kept answers. Killed
anywhere, the next time does the rest: each part looks at what is there, and the watermark moves last.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from features import scrub_standing
from features.brand import Brand, load_brand
from features.by_customer import by_customer_folder, ensure_by_customer
from features.contract import IDENTIFY
from features.database import connect, create_tables, transaction
from features.erasure import finish_erasures
from features.event_log import EventLog
from features.evidence import Withdrawal, withdrawals_in
from features.identity import IdentityTable
from features.lake import Lake, instant_us
from features.lake_rewriting import purge, rewrite
from features.merges import merges_of
from features.persons import events_of
from features.schema import feature_schema
from features.scrub_standing import Standing
from features.scrubbed_rows import Person, scrub_rows
from features.snapshots import snapshots_folder
from features.withdrawing import (
    scrub_snapshot,
    statements_condition,
    traits_in,
    without_statements,
)
from features.workspace import Workspace

SCHEMA = """
CREATE TABLE IF NOT EXISTS withdrawals (
    customer_key INTEGER PRIMARY KEY    -- has ever withdrawn a consent
) STRICT;
CREATE TABLE IF NOT EXISTS scrub_state (
    name  TEXT PRIMARY KEY,             -- log_through | rewriting | made_from
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked_for (  -- of whom a trait was asked for a purpose that is not the trait's own
    customer_key INTEGER NOT NULL,
    purpose      TEXT NOT NULL,
    trait        TEXT NOT NULL,
    PRIMARY KEY (customer_key, purpose, trait)
) STRICT, WITHOUT ROWID;
"""
_PEOPLE_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What a scrub did; all noughts where nothing was left to do.

    Attributes:
        n_erasures: erasures that had been killed, finished now.
        n_late: rows that came to erased customers after they were erased.
        n_customers: people with a purpose that stands withdrawn, of those that had not been looked at before.
        n_statements: events of the lake and the log whose answers went, free text too.
        n_snapshot_rows: rows of stored snapshots that lost a trait.
        n_records: records of decisions and kept answers that lost what was declared.
    """

    n_erasures: int = 0
    n_late: int = 0
    n_customers: int = 0
    n_statements: int = 0
    n_snapshot_rows: int = 0
    n_records: int = 0


def scrub(workspace: Workspace, *, now: datetime | None = None) -> Scrubbed:
    """Takes out what may not be kept any more; done twice, the second time finds nothing.

    Args:
        workspace: to look through.
        now: the instant to write down for erasures; the present where it is None.

    Raises:
        CallersMistake: the lake is being written to, or brand.yaml is wrong.
    """
    now = now or datetime.now(UTC)
    n_erasures, n_late = finish_erasures(workspace, now=now)
    brand = load_brand(workspace)
    with closing(connect(workspace.database)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        create_tables(connection, SCHEMA + scrub_standing.SCHEMA)
        made_from = _made_from(workspace, connection, brand)
        if _state(connection, "made_from") == made_from:
            return Scrubbed(n_erasures, n_late)
        standing = Standing(connection, Lake(workspace.lake).manifest(), brand)
        log_through = _find(workspace, connection, brand)
        looked_at = standing.changed(_candidates(connection))
        people = _people(workspace, connection, looked_at, brand)
        n_statements, n_records, n_snapshot_rows = _take_out(workspace, connection, people, brand=brand)
        # While decisions may still be written that did not know of a withdrawal, the next run looks again.
        waiting = {person.keys for person in people if person.until_us > instant_us(now)}
        standing.write([keys for keys in looked_at if keys not in waiting])
        with transaction(connection):
            _set_state(connection, "log_through", str(log_through))
            _set_state(connection, "rewriting", "no")
            made_from = _made_from(workspace, connection, brand, log_through=log_through) if not waiting else ""
            _set_state(connection, "made_from", made_from)
    return Scrubbed(n_erasures, n_late, len(people), n_statements, n_snapshot_rows, n_records)


def _made_from(workspace: Workspace, connection: sqlite3.Connection, brand: Brand, *, log_through: int = -1) -> str:
    """A fingerprint of all that a scrub depends on; while it stands, there is nothing to do."""
    parts = {
        "log": EventLog(connection).newest() if log_through < 0 else log_through,
        "lake": Lake(workspace.lake).fingerprint(),
        "identity": IdentityTable(connection).version(),
        "purposes": {name: trait.purpose for name, trait in brand.traits.items()},
        "events": brand.events.model_dump(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _find(workspace: Workspace, connection: sqlite3.Connection, brand: Brand) -> int:
    """Writes down who has withdrawn anything, in the log since the last time or anywhere in the lake."""
    name, through = brand.events.consent_withdrawn, EventLog(connection).newest()
    since = int(_state(connection, "log_through") or 0)
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'; SET threads = 2")
        Lake(workspace.lake).register(database)
        found = database.execute("SELECT DISTINCT customer_key FROM events WHERE event = ?", [name]).fetchall()
    query = (
        "SELECT DISTINCT customer_key FROM event_log "
        "WHERE log_seq > ? AND log_seq <= ? AND json_extract(payload, '$.event') = ?"
    )
    found += connection.execute(query, (since, through, name)).fetchall()
    new = {row[0] for row in found} - {row[0] for row in connection.execute("SELECT customer_key FROM withdrawals")}
    if new:
        with transaction(connection):
            connection.executemany("INSERT OR IGNORE INTO withdrawals VALUES (?)", ((key,) for key in sorted(new)))
    return through


def _candidates(connection: sqlite3.Connection) -> list[tuple[int, ...]]:
    """Everybody who has ever withdrawn something, under all of their keys."""
    identity = IdentityTable(connection)
    keys = [row[0] for row in connection.execute("SELECT customer_key FROM withdrawals ORDER BY customer_key")]
    return list(dict.fromkeys(tuple(map(int, identity.keys_of(key))) for key in keys))


def _people(
    workspace: Workspace, connection: sqlite3.Connection, groups: Sequence[tuple[int, ...]], brand: Brand
) -> list[Person]:
    """Those of them with a purpose that stands withdrawn now, by all that is known."""
    names = (brand.events.consent_given, brand.events.consent_withdrawn)
    people = []
    for start in range(0, len(groups), _PEOPLE_AT_ONCE):
        batch = groups[start : start + _PEOPLE_AT_ONCE]
        owner = {key: keys[0] for keys in batch for key in keys}
        events = events_of(workspace, connection, list(owner), names=names)
        found = withdrawals_in(events, brand, owner_of=owner.__getitem__, merges=merges_of(connection, list(owner)))
        _write_asked(workspace, connection, {keys: found.get(keys[0], ()) for keys in batch}, brand)
        for keys in (keys for keys in batch if keys[0] in found):
            marks = ", ".join(str(int(key)) for key in keys)
            asked = connection.execute(f"SELECT DISTINCT trait FROM asked_for WHERE customer_key IN ({marks})")
            people.append(Person(keys, found[keys[0]], frozenset(row[0] for row in asked)))
    return people


def _write_asked(
    workspace: Workspace,
    connection: sqlite3.Connection,
    withdrawals: Mapping[tuple[int, ...], Sequence[Withdrawal]],
    brand: Brand,
) -> None:
    """Writes down what was asked for the purposes, before it is taken out: a killed scrub must still know it."""
    purposes = {key: {one.purpose for one in found} for keys, found in withdrawals.items() for key in keys}
    theirs = [key for key, withdrawn in purposes.items() if withdrawn]
    names = (brand.events.question_answered, IDENTIFY)
    rows = [
        (row["customer_key"], purpose, trait)
        for row in (events_of(workspace, connection, theirs, names=names).to_pylist() if theirs else ())
        for purpose in purposes[row["customer_key"]]
        for trait in traits_in(row, (), brand, purposes=(purpose,))
        if trait in brand.traits
    ]
    gone = [(int(key), json.dumps(sorted(withdrawn))) for key, withdrawn in purposes.items()]
    with transaction(connection):
        connection.executemany(
            "DELETE FROM asked_for WHERE customer_key = ? AND purpose NOT IN (SELECT value FROM json_each(?))", gone
        )
        connection.executemany("INSERT OR IGNORE INTO asked_for VALUES (?, ?, ?)", rows)


def _take_out(
    workspace: Workspace, connection: sqlite3.Connection, people: Sequence[Person], *, brand: Brand
) -> tuple[int, int, int]:
    """The statements first, from which all else could be made again; gives how many statements, records, rows."""
    groups: dict[frozenset[str], list[Person]] = {}
    for person in people:
        groups.setdefault(person.purposes, []).append(person)
    about = {
        purposes: {name for name, trait in brand.traits.items() if trait.purpose in purposes} for purposes in groups
    }
    lake, schema = Lake(workspace.lake), feature_schema(brand, workspace)
    n_statements = n_records = n_rows = 0
    was_killed = _state(connection, "rewriting") == "yes"
    if people:
        with transaction(connection):
            _set_state(connection, "rewriting", "yes")
    for purposes, group in groups.items():
        keys, traits = [key for person in group for key in person.keys], about[purposes]
        condition = statements_condition(traits, brand, purposes=purposes)
        n_statements += rewrite(lake, keys, where=condition, edit=_edit(traits, brand, purposes))
        n_rows_said, n_rows_used = scrub_rows(connection, group, traits, brand=brand, purposes=purposes)
        n_statements, n_records = n_statements + n_rows_said, n_records + n_rows_used
    if n_statements or was_killed:
        purge(lake)  # the files that still held them
    if by_customer_folder(workspace).is_dir():
        ensure_by_customer(workspace)
    for purposes, group in groups.items():
        for asked in sorted({person.asked for person in group}, key=sorted):
            keys = [key for person in group if person.asked == asked for key in person.keys]
            held = {
                name for name in about[purposes] | asked if name in brand.traits and brand.traits[name].type != "text"
            }
            for path in sorted(snapshots_folder(workspace).rglob("as_of=*/snapshot.parquet")) if held else ():
                n_rows += scrub_snapshot(path, keys, held, brand=brand, schema=schema)
    return n_statements, n_records, n_rows


def _edit(traits: Collection[str], brand: Brand, purposes: Collection[str]) -> Any:
    return lambda rows: without_statements(rows, traits, brand, purposes=purposes)


def _state(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM scrub_state WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _set_state(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO scrub_state VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", (name, value)
    )
