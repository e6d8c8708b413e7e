"""What `rapport check` says of pools of coupon codes: those that offers name and that have no code to give.

Read from the pools' table by name, since what lies above this folder is not imported here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from features.catalogue import Catalogue
from features.checks import CheckResult
from features.database import connect_to_read
from features.workspace import Workspace

TITLE = "every pool of coupons has codes to give"


def named_pools(catalogue: Catalogue) -> tuple[str, ...]:
    """The pools that the incentives of actions name, each once, in the catalogue's order."""
    pools = [action.incentive.coupons for action in catalogue.actions if action.incentive is not None]
    return tuple(dict.fromkeys(pool for pool in pools if pool is not None))


def coupon_checks(workspace: Workspace, catalogue: Catalogue) -> Iterator[CheckResult]:
    """What is free in each pool that an action names; nothing where none names one."""
    if not (named := named_pools(catalogue)):
        return
    try:
        free = _free_codes(workspace)
    except sqlite3.Error as error:
        meaning = "The database cannot be read; restore state/ from a backup."
        yield CheckResult(TITLE, "FAIL", meaning, str(error))
        return
    if empty := [pool for pool in named if not free.get(pool)]:
        meaning = "Their offers are made to nobody until there are codes: " + ", ".join(
            f"rapport coupons import {pool} FILE" for pool in empty
        )
        yield CheckResult(TITLE, "WARN", f"{meaning}.", f"no free code in {', '.join(empty)}")
    else:
        detail = ", ".join(f"{pool}: {free[pool]:,} free" for pool in named)
        yield CheckResult(TITLE, "PASS", "Each decision for their offers gives one out.", detail)


def _free_codes(workspace: Workspace) -> dict[str, int]:
    if not workspace.database.is_file():
        return {}
    with closing(connect_to_read(workspace.database)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'coupon_pools'").fetchone():
            return {}
        return dict(connection.execute("SELECT pool, n_free FROM coupon_pools"))
