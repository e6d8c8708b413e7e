"""How many live calls could not be taken, by reason: what `rapport check` and every run tell."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from features.checks import CheckResult
from features.database import connect_to_read
from features.workspace import Workspace

_COUNT = "SELECT reason, count(*) FROM dead_letters GROUP BY reason ORDER BY count(*) DESC, reason"


def letter_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """The number of dead letters of each reason, the most frequent first; empty where there never was one."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'dead_letters'").fetchone():
        return {}
    return dict(connection.execute(_COUNT).fetchall())


def letters_of_workspace(workspace: Workspace) -> dict[str, int]:
    """The same of a workspace."""
    if not workspace.database.is_file():
        return {}
    with closing(connect_to_read(workspace.database)) as connection:
        return letter_counts(connection)


def told_counts(counts: dict[str, int]) -> str:
    """In words, such as `unknown_trait 3, no_id 1`."""
    return ", ".join(f"{reason} {n:,}" for reason, n in counts.items())


def letter_check(workspace: Workspace) -> CheckResult:
    """What `rapport check` says of them: whoever sent them was most likely not told."""
    name = "every live event could be taken"
    if not (counts := letters_of_workspace(workspace)):
        return CheckResult(name, "PASS", "There are no dead letters.")
    meaning = "These count nowhere, and Segment's clients tell nobody: 'rapport dead-letters list' says what is wrong."
    return CheckResult(name, "WARN", meaning, told_counts(counts))
