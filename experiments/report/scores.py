"""Reads `lake/scores/`: who is in which segment and stage on which day, and what the models expect of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from features.catalogue import STAGES
from features.workspace import Workspace

TREND_DAYS = 60  # score days in a trend at most, the newest
USUAL_COMPARISON = timedelta(days=28)
NOWHERE = "–"
_DAY = re.compile(r"^day=(\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True, slots=True)
class ScoreDay:
    """One day's scores on disk."""

    day: date
    folder: Path

    @property
    def scores(self) -> Path:
        """The day's table, one row a customer."""
        return self.folder / "scores.parquet"

    def segment_texts(self) -> list[dict[str, Any]]:
        """What the day's segments.json says of each segment: id, names, descriptions."""
        path = self.folder / "segments.json"
        texts: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
        return texts


@dataclass(frozen=True, slots=True)
class GroupNumbers:
    """The customers of one segment or stage on one day; None where no model said anything."""

    n_customers: int
    purchase_propensity: float | None
    revenue_365d: float | None
    total_revenue_365d: float | None
    n_orders: float | None


@dataclass(frozen=True, slots=True)
class Movement:
    """How many customers were in which group on one day and are in which on another.

    `counts[from][to]`; the group None holds those who were not scored that day: new customers on the left, erased ones
    on the right.
    """

    from_day: date
    to_day: date
    counts: Mapping[str | None, Mapping[str | None, int]]

    @property
    def n_moved(self) -> int:
        """Customers in a group on both days and in another on the second."""
        return sum(n for n, source, target in self._flows() if source != target)

    @property
    def n_both(self) -> int:
        """Customers in a group on both days."""
        return sum(n for n, _, _ in self._flows())

    @property
    def largest(self) -> tuple[str, str, int] | None:
        """The largest flow between two groups, or None where nobody moved."""
        n, source, target = max((flow for flow in self._flows() if flow[1] != flow[2]), default=(0, "", ""))
        return (source, target, n) if n else None

    def _flows(self) -> list[tuple[int, str, str]]:
        return [
            (n, source, target)
            for source, row in self.counts.items()
            for target, n in row.items()
            if source not in (None, NOWHERE) and target not in (None, NOWHERE)
        ]


def score_days(workspace: Workspace) -> tuple[ScoreDay, ...]:
    """The days that were scored, oldest first."""
    days = []
    for folder in (workspace.lake / "scores").glob("day=*"):
        match = _DAY.match(folder.name)
        if match and (folder / "scores.parquet").is_file():
            days.append(ScoreDay(date.fromisoformat(match[1]), folder))
    return tuple(sorted(days, key=lambda one: one.day))


def comparison_day(days: Sequence[ScoreDay], *, newest: ScoreDay) -> ScoreDay | None:
    """The earlier day nearest to four weeks before the newest, or None where there is only one day."""
    earlier = [one for one in days if one.day < newest.day]
    wanted = newest.day - USUAL_COMPARISON
    return min(earlier, key=lambda one: abs(one.day - wanted), default=None)


class ScoresReader:
    """Queries over score days, in one in-memory DuckDB."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(config={"threads": 2})
        self._connection.execute("SET TimeZone='UTC'; SET preserve_insertion_order=false")

    def close(self) -> None:
        """Gives its memory back."""
        self._connection.close()

    def groups(self, day: ScoreDay, *, by: str, horizon_days: int) -> dict[str, GroupNumbers]:
        """The numbers of each `segment` or `stage` on one day, the largest group first."""
        propensity = self._propensity(day, horizon_days)
        rows = self._connection.execute(
            f"SELECT {by}, count(*), avg({propensity}), avg(revenue_365d), sum(revenue_365d), "
            f"avg(n_orders) FROM read_parquet(?) WHERE {by} IS NOT NULL GROUP BY ALL ORDER BY 2 DESC, 1",
            [str(day.scores)],
        ).fetchall()
        return {row[0]: GroupNumbers(int(row[1]), *row[2:]) for row in rows}

    def own_segments(self, day: ScoreDay, *, horizon_days: int) -> dict[str, GroupNumbers]:
        """The numbers of each segment that the brand made itself; a customer may be in several."""
        if "brand_segments" not in pq.read_schema(day.scores).names:
            return {}
        propensity = self._propensity(day, horizon_days)
        rows = self._connection.execute(
            f"SELECT own, count(*), avg({propensity}), avg(revenue_365d), sum(revenue_365d), avg(n_orders) "
            "FROM (SELECT *, unnest(brand_segments) AS own FROM read_parquet(?)) GROUP BY ALL ORDER BY 2 DESC, 1",
            [str(day.scores)],
        ).fetchall()
        return {row[0]: GroupNumbers(int(row[1]), *row[2:]) for row in rows}

    def sizes(self, day: ScoreDay) -> dict[str, int]:
        """Customers of each segment on one day."""
        return {segment: counts[0] for segment, counts in self.trend([day]).items()}

    def n_customers(self, day: ScoreDay) -> int:
        """How many customers were scored on that day."""
        return int(self._one("SELECT count(*) FROM read_parquet(?)", [str(day.scores)]))

    def as_of(self, day: ScoreDay) -> datetime:
        """The instant at which the newest scores of that day stand (naive, UTC)."""
        newest: datetime = self._one("SELECT max(as_of) FROM read_parquet(?)", [str(day.scores)])
        return newest

    def version(self, day: ScoreDay, column: str) -> str:
        """The version of the model that made that day's scores."""
        return str(self._one(f"SELECT max({column}) FROM read_parquet(?)", [str(day.scores)]) or "–")

    def trend(self, days: Sequence[ScoreDay]) -> dict[str, list[int]]:
        """Customers of each segment on each of these days, in the days' order."""
        position = {str(one.scores): n for n, one in enumerate(days)}
        rows = self._connection.execute(
            "SELECT filename, segment, count(*) FROM read_parquet(?, filename=true, union_by_name=true) "
            "WHERE segment IS NOT NULL GROUP BY ALL",
            [list(position)],
        ).fetchall()
        trend: dict[str, list[int]] = {}
        for filename, segment, n in rows:
            trend.setdefault(segment, [0] * len(days))[position[filename]] = int(n)
        return trend

    def movement(self, before: ScoreDay, after: ScoreDay, *, by: str) -> Movement:
        """From which segment or stage to which, between two days."""
        rows = self._connection.execute(
            f"SELECT {_group('a', by)}, {_group('b', by)}, count(*) FROM read_parquet(?) a "
            "FULL JOIN read_parquet(?) b ON a.customer_key = b.customer_key GROUP BY ALL",
            [str(before.scores), str(after.scores)],
        ).fetchall()
        counts: dict[str | None, dict[str | None, int]] = {}
        for source, target, n in rows:
            counts.setdefault(source, {})[target] = int(n)
        return Movement(before.day, after.day, counts)

    def members(self, day: ScoreDay, *, segment: str, horizon_days: int) -> list[tuple[Any, ...]]:
        """(customer_key, stage, purchase_propensity, revenue_365d, n_orders, as_of) of a segment, likeliest first."""
        return self._connection.execute(
            f"SELECT customer_key, stage, {self._propensity(day, horizon_days)}, revenue_365d, n_orders, as_of "
            "FROM read_parquet(?) WHERE segment = ? ORDER BY 3 DESC NULLS LAST, 1",
            [str(day.scores), segment],
        ).fetchall()

    def _propensity(self, day: ScoreDay, horizon_days: int) -> str:
        """The column of that horizon, or NULL where that day was scored for others."""
        column = f"purchase_propensity_{horizon_days}d"
        return column if column in pq.read_schema(day.scores).names else "NULL::DOUBLE"

    def _one(self, query: str, arguments: list[Any]) -> Any:
        return self._connection.execute(query, arguments).fetchall()[0][0]


def _group(table: str, by: str) -> str:
    """NULL for a customer who was not scored, a dash for one whom no model put anywhere."""
    return f"CASE WHEN {table}.customer_key IS NOT NULL THEN coalesce({table}.{by}, '{NOWHERE}') END"


def in_funnel_order(stages: Mapping[str, GroupNumbers]) -> dict[str, GroupNumbers]:
    """Stages from awareness to loyalty, each there is, unknown names last."""
    order = {stage: n for n, stage in enumerate(STAGES)}
    return dict(sorted(stages.items(), key=lambda item: order.get(item[0], len(order))))  # type: ignore[call-overload]
