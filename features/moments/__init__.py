"""Moments: when to speak to somebody. What brand.yaml says of them, the tables they live in, the way from log to due.

A trigger in the log arms a moment; when its wait is over, whoever serves looks at the condition on the customer's
current state (`serving.due_moments`), and a moment that holds is written with the next `moment_seq`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from features.moments.seeding import Seeded
    from features.workspace import Workspace

__all__ = ["catch_up", "seed"]


def seed(workspace: Workspace, *, now: datetime | None = None) -> Seeded:
    """Arms the moments of customers whose triggers are in the newest snapshot; see features.moments.seeding."""
    from features.moments import seeding

    return seeding.seed(workspace, now=now)


def catch_up(workspace: Workspace, *, now: datetime | None = None) -> int:
    """Arms the moments of everything that the log holds, before rows of it are pruned; gives how many waits began."""
    from features.moments import seeding

    return seeding.catch_up(workspace, now=now)
