"""Which snapshots are kept: a snapshot can always be made again, so that only those that are asked for stay.

The newest stays always. One at midnight stays for 35 days after it was last asked for: training asks every week for the
same weekly history. One at another instant (what a `materialize` stood on) stays for two days.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, time, timedelta

from features.snapshot_origin import MADE_FROM, as_of_of, stored_drawn, stored_snapshots
from features.workspace import Workspace

KEPT_FOR = timedelta(days=35)
KEPT_FOR_OFF_MIDNIGHT = timedelta(days=2)


def prune_snapshots(workspace: Workspace, *, now: datetime) -> int:
    """Removes the snapshots that nobody has asked for in a while; gives how many."""
    removed = 0
    for path in [*list(stored_snapshots(workspace))[:-1], *stored_drawn(workspace)]:
        asked_for_at = datetime.fromtimestamp(path.with_name(MADE_FROM).stat().st_mtime, UTC)
        kept_for = KEPT_FOR if as_of_of(path).time() == time() else KEPT_FOR_OFF_MIDNIGHT
        if now - asked_for_at > kept_for:
            shutil.rmtree(path.parent, ignore_errors=True)
            removed += 1
    return removed
