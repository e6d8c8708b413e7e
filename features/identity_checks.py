"""What `rapport check` says of ids: devices on which two people signed in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from features.checks import CheckResult
from features.database import connect_to_read
from features.identity import IdentityTable
from features.workspace import Workspace

TITLE = "devices are of one person each"
MANY = 0.05  # of all devices: more than families share, as when a shop's own tablet or one constant is sent as the id


def identity_checks(workspace: Workspace) -> Iterator[CheckResult]:
    """How often a device was found to be shared; nothing where nobody has been heard of yet."""
    if not workspace.database.is_file():
        return
    try:
        with closing(connect_to_read(workspace.database)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'identity_conflicts'").fetchone():
                return
            n_shared = IdentityTable(connection).conflicts()
            query = "SELECT count(*) FROM identity WHERE kind = 'anonymous'"
            n_devices = int(connection.execute(query).fetchone()[0])
    except sqlite3.Error as error:
        yield CheckResult(TITLE, "FAIL", "The database cannot be read; restore state/ from a backup.", str(error))
        return
    detail = f"{n_shared:,} changes of hands, {n_devices:,} devices"
    if n_shared > MANY * n_devices:
        meaning = (
            "On many devices one user signs in after another; they are not joined, and what is done there counts for "
            "whoever signed in last. Look at what your client sends as anonymousId: it is to be new on each device."
        )
        yield CheckResult(TITLE, "WARN", meaning, detail)
    elif n_shared:
        meaning = "Where two users share one, they are not joined: it counts for whoever signed in last."
        yield CheckResult(TITLE, "PASS", meaning, detail)
    else:
        yield CheckResult(TITLE, "PASS", "No two users have signed in on one device.", detail)
