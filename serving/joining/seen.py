"""What our own redirect, picture and way out have seen, as outcomes.

At most one an hour of each token, so that nobody fills the disk by pressing a link again and again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import blake2b

from serving.joining.tokens import Said
from serving.outcome_rows import BY_TOKEN, OutcomeRow, Recorded, UnknownDecisions, write_outcomes


def seen_outcome_id(token: str, outcome: str, at: datetime) -> str:
    """The id of an outcome that a token brought: the same within an hour."""
    said = f"{token}\n{outcome}\n{at:%Y-%m-%dT%H}"
    return f"s-{blake2b(said.encode(), digest_size=16).hexdigest()}"


def seen(
    token: str,
    said: Said,
    *,
    at: datetime,
    is_machine: bool,
    attribution: timedelta,
    goals_of: Mapping[str, str],
    default_goal: str,
) -> Callable[[sqlite3.Connection], Recorded | None]:
    """The ledger's work that writes it; it gives None where there is no such decision any more.

    Args:
        token: as it came back.
        said: what it says.
        at: now.
        is_machine: whether the request gave itself away as one.
        attribution: how long it counts for the decision.
        goals_of: the goal of each action, by id.
        default_goal: of whatever has none.
    """
    row = OutcomeRow(
        outcome_id=seen_outcome_id(token, said.outcome, at),
        decision_id=said.decision_id,
        customer_key=None,
        outcome=said.outcome,
        goal=None,
        value=None,
        occurred_at=at,
        received_at=at,
        slot=said.slot,
        joined_by=BY_TOKEN,
        is_machine=is_machine,
        is_seen_here=True,
    )

    def work(connection: sqlite3.Connection) -> Recorded | None:
        try:
            (recorded,) = write_outcomes(
                connection, [row], attribution=attribution, goals_of=goals_of, default_goal=default_goal
            )
        except UnknownDecisions:
            return None
        return recorded

    return work
