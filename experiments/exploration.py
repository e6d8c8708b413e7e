"""Which actions are still new: how often each was exposed, and how often it has to be.

The table belongs to its readers; `serving.exploration` counts into it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from features.brand import Exploration
from features.catalogue import Catalogue
from features.database import connect

SCHEMA = """
CREATE TABLE IF NOT EXISTS action_exposures (
    action_id   TEXT PRIMARY KEY,
    n_exposures INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'action_exposures'"


@dataclass(frozen=True, slots=True)
class NewAction:
    """One action that customers have not seen often enough yet."""

    action_id: str
    n_exposures: int
    n_needed: int


def read_exposures(connection: sqlite3.Connection) -> dict[str, int]:
    """How often each action was exposed; an action that never was is not in it."""
    return dict(connection.execute("SELECT action_id, n_exposures FROM action_exposures"))


def explores(exploration: Exploration) -> bool:
    """Whether any action can be new at all."""
    return exploration.exposures > 0 and exploration.share > 0.0


def still_new(catalogue: Catalogue, exploration: Exploration, n_exposures: Mapping[str, int]) -> dict[str, int]:
    """The exposures so far of each action that has not had those it needs, in the catalogue's order.

    Args:
        catalogue: whose actions; a question is never new.
        exploration: how many exposures an action needs.
        n_exposures: by action, how many it has had.
    """
    if not explores(exploration):
        return {}
    had = {action.id: n_exposures.get(action.id, 0) for action in catalogue.actions if action.kind != "question"}
    return {action_id: n for action_id, n in had.items() if n < exploration.exposures}


def read_new_actions(database: Path, *, catalogue: Catalogue, exploration: Exploration) -> tuple[NewAction, ...]:
    """How far each new action is, in the catalogue's order; empty where nothing is explored or nothing was counted."""
    if not explores(exploration) or not database.is_file():
        return ()
    with closing(connect(database)) as connection:
        if connection.execute(_HAS_TABLE).fetchone() is None:
            return ()
        new = still_new(catalogue, exploration, read_exposures(connection))
    return tuple(NewAction(action_id, n, exploration.exposures) for action_id, n in new.items())
