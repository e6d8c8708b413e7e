"""What is asked of the ledger, with every default filled in, beside the decisions and conversions it is asked of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from experiments.holdout_customers import DECISION_COLUMNS, OUTCOME_COLUMNS, HoldoutQuestion
from experiments.records import read_decisions, read_outcomes
from features.brand import Brand
from features.faults import CallersMistake, closest_name
from features.passed import require_passed

LONGEST_WINDOW_DAYS = 3_650


def question_of(
    brand: Brand,
    decisions: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    goal: str,
    since: datetime | None,
    as_of: datetime | None,
    window_days: float | None,
    placement: str | None,
) -> HoldoutQuestion:
    """What is asked, with the brand's defaults; as in `analyse_workspace`.

    Raises:
        CallersMistake: a goal or placement that the brand does not have, a window of no length or of more than ten
            years, or an as_of that lies ahead.
    """
    _check_name("goal", goal, list(brand.goals))
    if placement is not None:
        _check_name("placement", placement, list(brand.placements))
    days = float(brand.rewards.attribution_days if window_days is None else window_days)
    if not 0 < days <= LONGEST_WINDOW_DAYS:
        raise CallersMistake(
            f"Asked for a window of {days:g} days. A window is longer than 0 days and at most {LONGEST_WINDOW_DAYS:,}, "
            "for example 7."
        )
    newest = standing_at(decisions, outcomes)
    if as_of is not None:
        require_passed(_utc(as_of), now=newest)
    return HoldoutQuestion(
        goal=goal,
        window_days=days,
        as_of=_utc(as_of) if as_of is not None else newest,
        since=_utc(since) if since is not None else None,
        placement=placement,
        margin_rate=brand.rewards.margin_rate if brand.goals[goal].value is not None else None,
    )


def read_ledger(database: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every decision and every conversion, with the columns that the analysis needs."""
    return (
        read_decisions(database, columns=DECISION_COLUMNS),
        read_outcomes(database, columns=OUTCOME_COLUMNS, outcome="converted"),
    )


def standing_at(decisions: pd.DataFrame, outcomes: pd.DataFrame) -> datetime:
    """Now, or just after the newest record where the ledger's clock is ahead of ours."""
    instants = [datetime.now(UTC)]
    for column in (decisions["decided_at"], outcomes["received_at"]):
        if len(column):
            instants.append(column.max().to_pydatetime() + timedelta(microseconds=1))
    return max(instants)


def _check_name(kind: str, name: str, names: list[str]) -> None:
    if name in names:
        return
    closest = closest_name(name, names)
    hint = f" Closest: '{closest}'." if closest else ""
    raise CallersMistake(f"Asked for the {kind} '{name}', which brand.yaml does not have: {', '.join(names)}.{hint}")


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
