"""The days of `lake/scores` that tell how a model's promises were kept: one a month, and the champion's newest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from experiments.report.scores import score_days
from features.owners import persons
from features.workspace import Workspace
from training.artifact import NEXT_PURCHASE, ArtifactRefused, NextPurchaseModel, read_description
from training.dataset import Source
from training.drift.outcomes import Scores, is_closed

MOST_MONTHS = 12
_PROPENSITY = re.compile(r"^purchase_propensity_(\d+)d$")


@dataclass(frozen=True, slots=True)
class Day:
    """A day of scores, not read yet."""

    as_of: datetime
    version: str
    path: Path


def scores_to_judge(source: Source, workspace: Workspace, champion: NextPurchaseModel) -> list[Scores]:
    """What to hold against what came: what was said on the first scored day of each month, and by the champion.

    The champion's is its newest closed day for each horizon; where it scored none, what it says of its training day.

    Args:
        source: of what is known.
        workspace: with scores.
        champion: of next purchase.
    """
    days = _days(workspace)
    monthly: dict[str, Day] = {}
    for day in days:
        monthly.setdefault(f"{day.as_of:%Y-%m}", day)
    chosen = {day.as_of: day for day in list(monthly.values())[-MOST_MONTHS:]}
    trained_at = datetime.fromisoformat(champion.description["as_of"])
    own = [day for day in days if day.version == champion.version and day.as_of >= trained_at]
    is_missed = False
    for horizon in champion.horizons_days:
        closed = [day for day in own if is_closed(day.as_of, horizon, known_until=source.known_until)]
        chosen |= {day.as_of: day for day in closed[-1:]}
        is_missed |= not closed and is_closed(trained_at, horizon, known_until=source.known_until)
    found = [
        _read(day, trained_at=trained_at if day.version == champion.version else _trained_at(workspace, day.version))
        for day in chosen.values()
    ]
    if is_missed:
        found.append(_asked_of(champion, source, trained_at))
    joined = persons(workspace)
    return sorted((_of_persons(day, joined) for day in found), key=lambda day: day.as_of)


def _of_persons(day: Scores, joined: Mapping[int, int]) -> Scores:
    """One row a person: where customers were joined since, the row under whose key they go on, if it has one.

    What came is the whole person's under each of their keys, so that two rows would count it twice.
    """
    if not joined:
        return day
    keys, away = day.customer_keys, np.array(sorted(joined), dtype=np.int64)
    into = np.array([joined[int(key)] for key in away], dtype=np.int64)
    place = np.searchsorted(away, keys).clip(max=len(away) - 1)
    who = np.where(away[place] == keys, into[place], keys)
    order = np.lexsort((keys != who, who))
    _, first = np.unique(who[order], return_index=True)
    kept = np.sort(order[first])
    said = {horizon: probability[kept] for horizon, probability in day.probability.items()}
    return replace(day, customer_keys=keys[kept], probability=said)


def _days(workspace: Workspace) -> list[Day]:
    """Every day that next purchase was scored, by rising day."""
    found = []
    for day in score_days(workspace):
        head = next(pq.ParquetFile(day.scores).iter_batches(1, columns=["as_of", "next_purchase_version"]), None)
        if head is None or not head.num_rows or (version := head["next_purchase_version"][0].as_py()) is None:
            continue
        found.append(Day(head["as_of"][0].as_py().replace(tzinfo=UTC), str(version), day.scores))
    return sorted(found, key=lambda day: day.as_of)


def _read(day: Day, *, trained_at: datetime) -> Scores:
    names = [name for name in pq.read_schema(day.path).names if _PROPENSITY.match(name)]
    table = pq.read_table(day.path, columns=["customer_key", *names])
    said = {
        int(_PROPENSITY.sub(r"\1", name)): np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=np.float64)
        for name in names
    }
    keys = np.asarray(table["customer_key"].to_numpy(), dtype=np.int64)
    return Scores(day.as_of, day.version, trained_at, keys, said)


def _trained_at(workspace: Workspace, version: str) -> datetime:
    """The version's training day; where it is gone, the day that its name begins with, at its end."""
    try:
        return datetime.fromisoformat(read_description(workspace.artifacts, NEXT_PURCHASE, version)["as_of"])
    except ArtifactRefused:
        day = re.match(r"\d{8}", version)
        if day is None:
            return datetime.max.replace(tzinfo=UTC)
        return datetime.strptime(day[0], "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1)


def _asked_of(champion: NextPurchaseModel, source: Source, as_of: datetime) -> Scores:
    snapshot = source.snapshot(as_of)
    said = dict(zip(champion.horizons_days, champion.predict(snapshot.X).T, strict=True))
    return Scores(as_of, champion.version, as_of, snapshot.customer_keys, said)
