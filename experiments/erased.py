"""What erased customers may have done to an analysis: they are counted by arm, and nothing else of them is known."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from pathlib import Path

LARGEST_SHIFT = 0.001  # of a rate; as far as customers in both arms may go unmentioned


def erased_by_arm(database: Path, *, since: datetime | None = None) -> dict[str, int]:
    """How many customers of each arm were erased; reading creates nothing.

    Args:
        database: the workspace's database.
        since: only those first decided for in this month or later.
    """
    if not database.is_file():
        return {}
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'erased_counts'"
        if connection.execute(query).fetchone() is None:
            return {}
        month = "" if since is None else f"{since:%Y-%m}"
        counts = "SELECT arm, sum(n_customers) FROM erased_counts WHERE month >= ? GROUP BY arm"
        return {arm: int(n_customers) for arm, n_customers in connection.execute(counts, (month,))}


def erased_warning(erased: Mapping[str, int], n_customers: Mapping[str, int]) -> str | None:
    """By how much the erased may have moved a rate, or None where that is too little to speak of.

    Of *n* customers of an arm *k* more were erased: whatever those did, the rate over all *n + k* lies at most
    *k / (n + k)* from the one over the *n* that remain.

    Args:
        erased: customers erased, by arm.
        n_customers: customers that remain, by arm.
    """
    shifts = {arm: k / (k + n_customers.get(arm, 0)) for arm, k in sorted(erased.items()) if k > 0}
    if max(shifts.values(), default=0.0) <= LARGEST_SHIFT:
        return None
    told = ", ".join(
        f"{erased[arm]:,} of {erased[arm] + n_customers.get(arm, 0):,} {arm} ({shift:.2%})"
        for arm, shift in shifts.items()
    )
    return (
        f"Customers were erased and are not in these figures: {told}. Whatever they did, an arm's rate is off by no "
        "more than that share; erasures differ between arms where personalisation itself drives people away."
    )
