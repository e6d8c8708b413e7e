"""Collects what the report shows: typed data from scores, records and the brand's files, never from a model."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from experiments.analysis import HoldoutAnalysis, analyse_workspace
from experiments.arms import ArmsAnalysis, analyse_arms_of
from experiments.exploration import NewAction, read_new_actions
from experiments.intents import UnknownIntent, read_unknown_intents
from experiments.records import HOLDOUT, read_action_results, read_decision_totals
from experiments.report.conversations import Conversations, read_conversations
from experiments.report.models import Watched, read_watched
from experiments.report.scores import (
    TREND_DAYS,
    GroupNumbers,
    Movement,
    ScoreDay,
    ScoresReader,
    comparison_day,
    in_funnel_order,
    score_days,
)
from features.brand import Brand
from features.catalogue import Catalogue
from features.faults import CallersMistake, InvalidFile
from features.versions import sound_files
from features.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its words a locale, its numbers on the newest day, its size on every day of the trend."""

    id: str
    names: Mapping[str, str]
    descriptions: Mapping[str, str]
    numbers: GroupNumbers
    trend: tuple[int, ...]
    n_before: int | None


@dataclass(frozen=True, slots=True)
class Scored:
    """Everything that comes from `lake/scores/`; `own_segments` are those that the brand made, by name."""

    day: date
    as_of: datetime
    n_customers: int
    segments: tuple[Segment, ...]
    stages: Mapping[str, GroupNumbers]
    trend_days: tuple[date, ...]
    segment_movement: Movement | None
    stage_movement: Movement | None
    segments_version: str
    next_purchase_version: str
    own_segments: Mapping[str, GroupNumbers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActionResult:
    """One action that personalised customers got, with the decisions that had each outcome."""

    action_id: str
    n_decisions: int
    n_engaged: int
    n_refused: int
    n_failed: int
    n_converted: int
    value: float


@dataclass(frozen=True, slots=True)
class Decided:
    """Everything that comes from the ledger, apart from the holdout analysis."""

    n_decisions: int
    n_personalised: int
    n_holdout: int
    n_customers: int
    n_fallback: int
    first_at: datetime
    last_at: datetime
    actions: tuple[ActionResult, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReportData:
    """What one report shows; `scored`, `decided` and `conversations` are None where there is nothing yet.

    Attributes:
        refused: what is wrong with the files on disk, where the page goes by those last in use; else None.
        arms: of the brand's experiment; None where it has none.
        new_actions: how far each action is that is still explored; empty where nothing is.
        watched: whether the models still hold; None before anybody looked.
    """

    brand: Brand
    catalogue: Catalogue | None
    refused: InvalidFile | None
    horizon_days: int
    scored: Scored | None
    decided: Decided | None
    conversations: Conversations | None
    unknown_intents: tuple[UnknownIntent, ...]
    holdout: HoldoutAnalysis
    arms: ArmsAnalysis | None
    new_actions: tuple[NewAction, ...]
    watched: Watched | None


def collect(
    workspace: Workspace,
    *,
    compare_from: date | None = None,
    compare_to: date | None = None,
    as_of: datetime | None = None,
) -> ReportData:
    """Reads everything that a report shows.

    Args:
        workspace: whose.
        compare_from: the earlier score day of "who moved"; default the one nearest to four weeks before the later.
        compare_to: the later one; default the newest.
        as_of: where the holdout analysis and the conversations stand; default now.

    Raises:
        CallersMistake: a day to compare that was not scored.
    """
    files, refused = sound_files(workspace)
    brand = files.brand
    horizon_days = middle_horizon(brand)
    return ReportData(
        brand=brand,
        catalogue=files.catalogue,
        refused=refused,
        horizon_days=horizon_days,
        scored=_scored(workspace, horizon_days=horizon_days, compare_from=compare_from, compare_to=compare_to),
        decided=_decided(workspace),
        conversations=read_conversations(workspace, brand=brand, as_of=as_of),
        unknown_intents=read_unknown_intents(workspace.database, as_of=as_of or datetime.now(UTC)),
        holdout=analyse_workspace(workspace, brand=brand, goal=_goal(brand), as_of=as_of),
        arms=analyse_arms_of(workspace, brand=brand, goal=_goal(brand), as_of=as_of) if brand.experiment else None,
        new_actions=read_new_actions(workspace.database, catalogue=files.catalogue, exploration=brand.exploration),
        watched=read_watched(workspace),
    )


def middle_horizon(brand: Brand) -> int:
    """The horizon that a bare 'purchase propensity' means."""
    return sorted(brand.horizons_days)[len(brand.horizons_days) // 2]


def _goal(brand: Brand) -> str:
    return "order" if "order" in brand.goals else next(iter(brand.goals))


def _scored(
    workspace: Workspace, *, horizon_days: int, compare_from: date | None, compare_to: date | None
) -> Scored | None:
    days = score_days(workspace)
    if not days:
        return None
    newest = days[-1]
    after = _asked_day(days, compare_to) or newest
    before = _asked_day(days, compare_from) or comparison_day(days, newest=after)
    with closing(ScoresReader()) as reader:
        trend_days = days[-TREND_DAYS:]
        segments = _segments(reader, newest, trend_days, horizon_days=horizon_days, before=before)
        return Scored(
            day=newest.day,
            as_of=reader.as_of(newest),
            n_customers=reader.n_customers(newest),
            segments=segments,
            stages=in_funnel_order(reader.groups(newest, by="stage", horizon_days=horizon_days)),
            trend_days=tuple(one.day for one in trend_days),
            segment_movement=reader.movement(before, after, by="segment") if before and segments else None,
            stage_movement=reader.movement(before, after, by="stage") if before else None,
            segments_version=reader.version(newest, "segments_version"),
            next_purchase_version=reader.version(newest, "next_purchase_version"),
            own_segments=reader.own_segments(newest, horizon_days=horizon_days),
        )


def _segments(
    reader: ScoresReader,
    newest: ScoreDay,
    trend_days: tuple[ScoreDay, ...],
    *,
    horizon_days: int,
    before: ScoreDay | None,
) -> tuple[Segment, ...]:
    texts = {text["id"]: text for text in newest.segment_texts()}
    trend = reader.trend(trend_days)
    earlier = reader.sizes(before) if before else {}
    return tuple(
        Segment(
            id=segment,
            names=texts.get(segment, {}).get("names", {}),
            descriptions=texts.get(segment, {}).get("descriptions", {}),
            numbers=numbers,
            trend=tuple(trend.get(segment, ())),
            n_before=earlier.get(segment, 0) if before else None,
        )
        for segment, numbers in reader.groups(newest, by="segment", horizon_days=horizon_days).items()
    )


def _asked_day(days: tuple[ScoreDay, ...], asked: date | None) -> ScoreDay | None:
    if asked is None:
        return None
    for one in days:
        if one.day == asked:
            return one
    nearest = min(days, key=lambda one: abs(one.day - asked))
    raise CallersMistake(
        f"Asked to compare with the scores of {asked}, but that day was not scored. The nearest that was: "
        f"{nearest.day}; scored are {days[0].day} to {days[-1].day}."
    )


def _decided(workspace: Workspace) -> Decided | None:
    totals = read_decision_totals(workspace.database)
    if totals.empty:
        return None
    n_holdout = int(totals.loc[totals["arm"] == HOLDOUT, "n_decisions"].sum())
    n_decisions = int(totals["n_decisions"].sum())
    return Decided(
        n_decisions=n_decisions,
        n_personalised=n_decisions - n_holdout,
        n_holdout=n_holdout,
        n_customers=int(totals["n_customers"].sum()),
        n_fallback=int(totals.loc[totals["arm"] != HOLDOUT, "n_fallback"].sum()),
        first_at=totals["first_at"].min().to_pydatetime(),
        last_at=totals["last_at"].max().to_pydatetime(),
        actions=tuple(
            ActionResult(
                action_id=str(row["action_id"]),
                n_decisions=int(row["n_decisions"]),
                n_engaged=int(row["n_engaged"]),
                n_refused=int(row["n_refused"]),
                n_failed=int(row["n_failed"]),
                n_converted=int(row["n_converted"]),
                value=float(row["value"]),
            )
            for row in read_action_results(workspace.database).to_dict("records")
        ),
    )
