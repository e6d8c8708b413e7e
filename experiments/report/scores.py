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

from features.catalogue import STAGES
from features.workspace import Workspace

TREND_DAYS = 60  # score days in a trend at most, the newest
USUAL_COMPARISON = timedelta(days=28)
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
    """The customers of one segment or stage on one day."""

    n_customers: int
    purchase_propensity: float
    revenue_365d: float
    total_revenue_365d: float
    n_orders: float


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
        """Customers scored on both days and in another group on the second."""
        return sum(n for a, row in self.counts.items() for b, n in row.items() if a and b and a != b)

    @property
    def n_both(self) -> int:
        """Customers scored on both days."""
        return sum(n for a, row in self.counts.items() for b, n in row.items() if a and b)

    @property
    def largest(self) -> tuple[str, str, int] | None:
        """The largest flow between two groups, or None where nobody moved."""
        flows = [(n, a, b) for a, row in self.counts.items() for b, n in row.items() if a and b and a != b]
        if not flows:
            return None
        n, a, b = max(flows)
        return a, b, n


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
        rows = self._connection.execute(
            f"SELECT {by}, count(*), avg(purchase_propensity_{horizon_days}d), avg(revenue_365d), sum(revenue_365d), "
            f"avg(n_orders) FROM read_parquet(?) WHERE {by} IS NOT NULL GROUP BY ALL ORDER BY 2 DESC, 1",
            [str(day.scores)],
        ).fetchall()
        return {row[0]: GroupNumbers(int(row[1]), *(float(x or 0.0) for x in row[2:])) for row in rows}

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
            f"SELECT a.{by}, b.{by}, count(*) FROM read_parquet(?) a FULL JOIN read_parquet(?) b USING (customer_key) "
            "GROUP BY ALL",
            [str(before.scores), str(after.scores)],
        ).fetchall()
        counts: dict[str | None, dict[str | None, int]] = {}
        for source, target, n in rows:
            counts.setdefault(source, {})[target] = int(n)
        return Movement(before.day, after.day, counts)

    def members(self, day: ScoreDay, *, segment: str, horizon_days: int) -> list[tuple[Any, ...]]:
        """(customer_key, stage, purchase_propensity, revenue_365d, n_orders, as_of) of a segment, likeliest first."""
        return self._connection.execute(
            f"SELECT customer_key, stage, purchase_propensity_{horizon_days}d, revenue_365d, n_orders, as_of "
            "FROM read_parquet(?) WHERE segment = ? ORDER BY 3 DESC NULLS LAST, 1",
            [str(day.scores), segment],
        ).fetchall()

    def _one(self, query: str, arguments: list[Any]) -> Any:
        return self._connection.execute(query, arguments).fetchall()[0][0]


def in_funnel_order(stages: Mapping[str, GroupNumbers]) -> dict[str, GroupNumbers]:
    """Stages from awareness to loyalty, each there is, unknown names last."""
    order = {stage: n for n, stage in enumerate(STAGES)}
    return dict(sorted(stages.items(), key=lambda item: order.get(item[0], len(order))))  # type: ignore[call-overload]
