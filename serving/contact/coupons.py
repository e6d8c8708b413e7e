"""Pools of coupon codes: each is given out once, with the decision that reserved it, and returned if never exposed.

A code's row says nothing of anybody: who has it stands in `contacts`, so that an erasure forgets the customer, and a
code that they have seen stays taken. Freed codes go to the end of the queue, as far as may be from whoever nearly had
them.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from features.database import create_tables, transaction
from features.faults import CallersMistake, Fault, InvalidFile, closest_name
from features.machine_faults import said_of_system
from features.messages import LONGEST_COUPON_CODE

SCHEMA = """
CREATE TABLE IF NOT EXISTS coupon_codes (
    pool     TEXT NOT NULL,
    code     TEXT NOT NULL,
    is_taken INTEGER NOT NULL DEFAULT 0,    -- reserved or given out
    position INTEGER NOT NULL,              -- of the free ones the lowest is next
    PRIMARY KEY (pool, code)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS coupon_codes_free ON coupon_codes (pool, position) WHERE is_taken = 0;
CREATE TABLE IF NOT EXISTS coupon_pools (
    pool          TEXT PRIMARY KEY,
    n_codes       INTEGER NOT NULL,
    n_free        INTEGER NOT NULL,
    last_position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_NEXT = "SELECT code FROM coupon_codes WHERE pool = ? AND is_taken = 0 ORDER BY position LIMIT 1"
_TAKE = "UPDATE coupon_codes SET is_taken = 1 WHERE pool = ? AND code = ? AND is_taken = 0"
_HELD_ELSEWHERE = """
SELECT code, pool FROM coupon_codes
WHERE pool <> ?1 AND code COLLATE NOCASE IN (SELECT value COLLATE NOCASE FROM json_each(?2)) ORDER BY pool, position
"""
_MOST_TOLD = 3
_FREE = """
UPDATE coupon_codes SET is_taken = 0, position = (SELECT last_position FROM coupon_pools WHERE pool = ?1)
WHERE pool = ?1 AND code = ?2 AND is_taken = 1
"""


class Pool(NamedTuple):
    """How many codes there are and how many of them are free."""

    name: str
    n_codes: int
    n_free: int


def read_codes(file: Path) -> list[str]:
    """The codes of a file, in its order, each once: one a line, or the first column of a CSV with a header `code`.

    Raises:
        CallersMistake: the file is not there or holds no code.
        InvalidFile: some codes are none; with every line of them.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as fault:
        problem = f"Asked to import the coupon codes of '{file}', but there is no such file."
        raise CallersMistake(f"{problem} Name a text file or a CSV with one code a line.") from fault
    except UnicodeDecodeError as fault:
        problem = f"Asked to import the coupon codes of '{file}', which is no text in UTF-8 (byte {fault.start:,})."
        raise CallersMistake(f"{problem} Save it as a text or CSV file in UTF-8.") from fault
    except OSError as fault:
        problem = f"Asked to import the coupon codes of '{file}', which cannot be read: {said_of_system(fault)}."
        raise CallersMistake(f"{problem} Name a text file that this user may read.") from fault
    cells = [(number, row[0].strip()) for number, row in enumerate(csv.reader(lines), 1) if row and row[0].strip()]
    if cells and cells[0][1].lower() == "code":
        cells = cells[1:]
    if not cells:
        raise CallersMistake(f"Asked to import the coupon codes of '{file}', but it holds none: one code a line.")
    faults = [
        Fault("code", f"'{code[:80]}'", f"A code is 1 to {LONGEST_COUPON_CODE} characters without blanks.", line=number)
        for number, code in cells
        if len(code) > LONGEST_COUPON_CODE or not code.isprintable() or " " in code
    ]
    if faults:
        raise InvalidFile(file, faults)
    return list(dict.fromkeys(code for _, code in cells))


def add_codes(connection: sqlite3.Connection, pool: str, codes: Sequence[str]) -> int:
    """Adds codes to a pool, in one transaction; gives how many were new.

    Raises:
        CallersMistake: another pool holds some of them; none was added.
    """
    with transaction(connection):
        create_tables(connection, SCHEMA)
        _refuse_those_of_others(connection, pool, codes)
        found = connection.execute("SELECT last_position FROM coupon_pools WHERE pool = ?", (pool,)).fetchone()
        last = found[0] if found else 0
        rows = [(pool, code, last + place) for place, code in enumerate(codes, 1)]
        insert = "INSERT INTO coupon_codes VALUES (?, ?, 0, ?) ON CONFLICT DO NOTHING"
        added = connection.executemany(insert, rows).rowcount
        connection.execute(
            "INSERT INTO coupon_pools VALUES (?1, ?2, ?2, ?3) ON CONFLICT (pool) DO UPDATE SET "
            "n_codes = n_codes + ?2, n_free = n_free + ?2, last_position = ?3",
            (pool, added, last + len(codes)),
        )
    return added


def _refuse_those_of_others(connection: sqlite3.Connection, pool: str, codes: Sequence[str]) -> None:
    """A code is one decision's, and an order joins by it in whatever case it was typed: no two pools hold the same."""
    held = connection.execute(_HELD_ELSEWHERE, (pool, json.dumps(codes))).fetchall()
    if not held:
        return
    first = ", ".join(f"'{code}' in '{other}'" for code, other in held[:_MOST_TOLD])
    more = ", …" if len(held) > _MOST_TOLD else ""
    raise CallersMistake(
        f"Asked to add {len(codes):,} codes to the pool '{pool}', but other pools hold {len(held):,} of them: "
        f"{first}{more}. A code is of one pool, in whatever case it is written. Nothing was added: take them out of "
        "the file, or name their own pool."
    )


def check_pool(pool: str, *, named: Collection[str]) -> None:
    """Says no to a pool whose codes nothing would give out.

    Args:
        pool: that was asked for.
        named: the pools that the catalogue's actions name.

    Raises:
        CallersMistake: it is none of them.
    """
    if pool in named:
        return
    closest = closest_name(pool, named)
    hint = f" Closest: '{closest}'." if closest else ""
    known = ", ".join(named) or "none"
    raise CallersMistake(
        f"Asked to import codes into the pool '{pool}', which no action of catalogue.yaml names.{hint} "
        f"Its pools are: {known}. Nothing was added: name one of them, or write 'coupons: {pool}' into the incentive "
        "of the action whose decisions are to give these codes out."
    )


def pools(connection: sqlite3.Connection) -> list[Pool]:
    """Every pool, by name."""
    create_tables(connection, SCHEMA)
    rows = connection.execute("SELECT pool, n_codes, n_free FROM coupon_pools ORDER BY pool")
    return [Pool(*row) for row in rows]


def n_free(connection: sqlite3.Connection, pool: str) -> int:
    """How many codes of a pool are free; 0 where nobody has heard of it."""
    found = connection.execute("SELECT n_free FROM coupon_pools WHERE pool = ?", (pool,)).fetchone()
    return int(found[0]) if found else 0


def take_code(connection: sqlite3.Connection, pool: str) -> str | None:
    """The next free code, which is nobody else's from now on; None where there is none."""
    found = connection.execute(_NEXT, (pool,)).fetchone()
    if found is None:
        return None
    take_this_code(connection, pool, found[0])
    return str(found[0])


def take_this_code(connection: sqlite3.Connection, pool: str, code: str) -> bool:
    """Takes a certain code; False where somebody else has it by now."""
    if connection.execute(_TAKE, (pool, code)).rowcount == 0:
        return False
    connection.execute("UPDATE coupon_pools SET n_free = n_free - 1 WHERE pool = ?", (pool,))
    return True


def free_code(connection: sqlite3.Connection, pool: str, code: str) -> None:
    """Returns a code to the end of its pool's queue."""
    connection.execute("UPDATE coupon_pools SET last_position = last_position + 1 WHERE pool = ?", (pool,))
    if connection.execute(_FREE, (pool, code)).rowcount:
        connection.execute("UPDATE coupon_pools SET n_free = n_free + 1 WHERE pool = ?", (pool,))
