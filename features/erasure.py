"""Everything of one person goes: what identifies them, what they said and did, what was derived from it.

Design. One transaction takes the person out of the database: from its commit on, their id means nobody, and the same id
that comes again is a new customer. The same transaction writes down which keys are still to be taken out of files, so
that a process killed at any point is followed by whoever asks for the same erasure again, or by the next
`rapport run`. Every step may be done twice.

What stays is counted, not kept (docs/decisions: erasure): how many erased customers each arm had, by month, and a
fingerprint of each decision's id, so that asking for it says `erased`. The receipt names nobody: a salted hash lets
whoever shows the id find it.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from features import erasures
from features.database import connect, create_tables, empty_journal, transaction
from features.erased_letters import letters_naming
from features.erased_rows import earliest_known_us, erase_rows, remaining_counts
from features.erasures import Erasure
from features.faults import CallersMistake
from features.forgetting import empty_online_journal, forget_lake, forget_online, forget_quarantine, forget_tables
from features.identity import IdentityTable
from features.lake import instant_us
from features.locks import queued
from features.trained_models import models_trained_with
from features.workspace import Workspace

NOT_REACHED = (
    "Files outside the workspace: what was imported from, exported, or backed up. An import of the same file brings "
    "the person back as a new customer.",
    "Copies of decisions, messages and events that other systems received.",
)
LATE_US = 600 * 1_000_000  # nothing that was under way when an id was erased arrives later than this

OnStep = Callable[[str], None]


def erase(
    workspace: Workspace, customer_id: str, *, now: datetime | None = None, on_step: OnStep = lambda step: None
) -> dict[str, Any]:
    """Takes a person out of the workspace, under all of their keys and ids, and gives the receipt.

    Asked again, it goes on where it was killed; once it is finished, it gives the same receipt. An id that has come
    back since is a new customer, and erased like one.

    Args:
        workspace: whose customer.
        customer_id: the shop's own id, or a device's.
        now: the instant to write down; the present where it is None.
        on_step: told after each step, before the step is written down as done.

    Raises:
        CallersMistake: nobody has ever heard of this id; or the lake is being written to: then the person is out of
            the database, and the files follow when the same is asked again or by the next `rapport run`.
    """
    now = now or datetime.now(UTC)
    with _opened(workspace) as connection:
        erasure = _begun(workspace, connection, customer_id, now=now, on_step=on_step)
        with _one_eraser(workspace):
            erasure = erasures.erasures_where(connection, "erasure_id = ?", (erasure.erasure_id,))[0]
            _finish(workspace, connection, erasure, now=now, on_step=on_step)
        return erasure.receipt


def begin_erasure(workspace: Workspace, customer_id: str, *, now: datetime | None = None) -> dict[str, Any]:
    """Takes a person out of the database and gives the receipt so far; `finish_begun` takes them out of the files.

    Asked again, it gives the receipt as it is by then.

    Raises:
        CallersMistake: nobody has ever heard of this id.
    """
    with _opened(workspace) as connection:
        return _begun(workspace, connection, customer_id, now=now or datetime.now(UTC)).receipt


def finish_begun(workspace: Workspace, *, now: datetime | None = None) -> bool:
    """Takes everybody out of the files whose erasure has begun; gives whether none is left that has not ended.

    Raises:
        CallersMistake: the lake is being written to.
    """
    now = now or datetime.now(UTC)
    with _opened(workspace) as connection, _one_eraser(workspace):
        left = erasures.erasures_where(connection, "finished_at IS NULL ORDER BY asked_at", ())
        for erasure in left:
            _finish(workspace, connection, erasure, now=now, on_step=lambda step: None)
        return all(erasure.is_finished for erasure in left)


def receipt_of(workspace: Workspace, customer_id: str) -> dict[str, Any] | None:
    """The receipt of the newest erasure of an id, finished or not; None where it was never erased."""
    if not workspace.database.is_file():
        return None
    with closing(connect(workspace.database)) as connection:
        create_tables(connection, erasures.SCHEMA)
        erasure = erasures.found(connection, customer_id)
        return erasure.receipt if erasure is not None else None


def finish_erasures(workspace: Workspace, *, now: datetime | None = None) -> tuple[int, int]:
    """Finishes what was killed, and removes what was on its way to erased customers and came late.

    Returns:
        How many erasures were finished, and how many rows had come late.

    Raises:
        CallersMistake: the lake is being written to.
    """
    now = now or datetime.now(UTC)
    finished = late = 0
    with _opened(workspace) as connection, _one_eraser(workspace):
        for erasure in erasures.erasures_where(connection, "swept_at IS NULL ORDER BY asked_at", ()):
            if not erasure.is_finished:
                _finish(workspace, connection, erasure, now=now, on_step=lambda step: None)
                finished += erasure.is_finished
            else:
                late += _sweep(workspace, connection, erasure, now=now)
    return finished, late


def _begun(
    workspace: Workspace,
    connection: sqlite3.Connection,
    customer_id: str,
    *,
    now: datetime,
    on_step: OnStep = lambda step: None,
) -> Erasure:
    """The erasure of an id: begun now where the id means somebody, else the newest that there was."""
    erasure = _begin(workspace, connection, customer_id, now=now, on_step=on_step)
    erasure = erasure or erasures.found(connection, customer_id)
    if erasure is None:
        raise CallersMistake(
            f"Asked to erase the customer '{customer_id}', but nobody by that id was ever seen here. It is your "
            "own id of the customer, as sent with their events, or a device's anonymous id."
        )
    return erasure


def _begin(
    workspace: Workspace, connection: sqlite3.Connection, customer_id: str, *, now: datetime, on_step: OnStep
) -> Erasure | None:
    """Takes the person out of the database, in one transaction; None where the id means nobody."""
    keys, ids = _person(connection, customer_id)
    if not keys:
        return None
    # Before anything is gone: these rows are found by id only.
    quarantined = forget_quarantine(workspace, ids)
    on_step("quarantine")
    hashes = [erasures.hash_of(connection, one) for one in ids]
    known_since = earliest_known_us(workspace, connection, keys)
    letters = letters_naming(connection, ids)
    erasure = Erasure(secrets.token_hex(8), instant_us(now), None, keys, known_since)
    with transaction(connection):
        if _person(connection, customer_id) != (keys, ids):  # joined with somebody meanwhile
            changed = True
        else:
            changed = False
            removed = {"quarantined_rows": quarantined} | erase_rows(connection, keys, ids=ids, letters=letters)
            erasure.receipt = _receipt(erasure, removed)
            erasures.write(connection, erasure)
            connection.executemany(
                "INSERT OR IGNORE INTO erased_ids VALUES (?, ?)", ((one, erasure.erasure_id) for one in hashes)
            )
    if changed:
        return _begin(workspace, connection, customer_id, now=now, on_step=on_step)
    on_step("database")
    return erasure


def _finish(
    workspace: Workspace, connection: sqlite3.Connection, erasure: Erasure, *, now: datetime, on_step: OnStep
) -> None:
    """Takes the person out of the files, step by step; a step that is written down as done is not done again.

    Where a reader keeps a journal in which the person still stands, the erasure stays unfinished.
    """
    if erasure.is_finished:
        return
    began = time.monotonic()
    removed = erasure.receipt["removed"]
    for step, work in _STEPS.items():
        if step not in erasure.steps:
            for name, n_rows in work(workspace, erasure.customer_keys).items():
                removed[name] = removed.get(name, 0) + n_rows
            on_step(step)
            erasure.steps.append(step)
            with transaction(connection):
                erasures.write(connection, erasure)
    if not _journals_are_empty(workspace, connection):
        return  # somebody reads what was before: the step stays open, and is taken again
    on_step("journals")
    took = timedelta(seconds=time.monotonic() - began)
    erasure.finished_at_us = max(instant_us(now + took), erasure.asked_at_us)
    erasure.receipt |= {
        "finished_at": _told(erasure.finished_at_us),
        "models_trained_with": models_trained_with(workspace, known_since_us=erasure.known_since_us),
        "remains_as_counts": remaining_counts(connection),
    }
    with transaction(connection):
        erasures.write(connection, erasure)
    on_step("finished")


def _sweep(workspace: Workspace, connection: sqlite3.Connection, erasure: Erasure, *, now: datetime) -> int:
    """Removes what came under the erased keys since, and forgets the keys once nothing can come any more."""
    with transaction(connection):
        rows = erase_rows(connection, erasure.customer_keys, ids=(), is_late=True)
    late = sum(rows.values())
    for work in _STEPS.values():
        late += sum(work(workspace, erasure.customer_keys).values())
    is_over = instant_us(now) - (erasure.finished_at_us or 0) >= LATE_US
    if is_over and _journals_are_empty(workspace, connection):
        with transaction(connection):
            connection.execute(
                "UPDATE erasures SET swept_at = ?, customer_keys = NULL, known_since = NULL WHERE erasure_id = ?",
                (instant_us(now), erasure.erasure_id),
            )
    return late


def _journals_are_empty(workspace: Workspace, connection: sqlite3.Connection) -> bool:
    """Whether what was deleted from the databases stands in their journals no longer."""
    return empty_journal(connection) and empty_online_journal(workspace)


def _by_customer(workspace: Workspace, _keys: Sequence[int]) -> dict[str, int]:
    """The customers' own files are made from the lake: those of its changed buckets are made anew."""
    from features.by_customer import by_customer_folder, ensure_by_customer

    if by_customer_folder(workspace).is_dir():
        ensure_by_customer(workspace)
    return {}


_STEPS: dict[str, Callable[[Workspace, Sequence[int]], dict[str, int]]] = {
    "lake": lambda workspace, keys: {"lake_rows": forget_lake(workspace, keys)},
    "by_customer": _by_customer,
    "tables": lambda workspace, keys: {f"{name}_rows": n for name, n in forget_tables(workspace, keys).items()},
    "online": lambda workspace, keys: {"online_rows": forget_online(workspace, keys)},
}


def _person(connection: sqlite3.Connection, customer_id: str) -> tuple[tuple[int, ...], list[str]]:
    """Every key and every outside id of the person whom an id means; nothing where it means nobody."""
    identity = IdentityTable(connection)
    key = identity.key_said(customer_id)
    if key is None:
        return (), []
    keys = tuple(int(one) for one in identity.keys_of(key))
    marks = ", ".join("?" * len(keys))
    query = f"SELECT customer_id FROM identity WHERE customer_key IN ({marks}) ORDER BY customer_id"
    return keys, list(dict.fromkeys(row[0] for row in connection.execute(query, keys)))


def _receipt(erasure: Erasure, removed: dict[str, int]) -> dict[str, Any]:
    return {
        "erasure_id": erasure.erasure_id,
        "asked_at": _told(erasure.asked_at_us),
        "finished_at": None,
        "removed": removed,
        "remains_as_counts": None,
        "models_trained_with": None,
        "not_reached": list(NOT_REACHED),
    }


def _told(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat()


@contextmanager
def _opened(workspace: Workspace) -> Iterator[sqlite3.Connection]:
    with closing(connect(workspace.database)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        create_tables(connection, erasures.SCHEMA)
        yield connection


@contextmanager
def _one_eraser(workspace: Workspace) -> Iterator[None]:
    """One process at a time takes people out of files."""
    with queued(workspace.state / "erasing.lock"):
        yield
