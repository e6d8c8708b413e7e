"""A builder of workspaces with scores and records as the other parts write them, small enough to see through."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments.records import HOLDOUT, PERSONALISED, SCHEMA
from features.workspace import Workspace

IDENTITY = """CREATE TABLE IF NOT EXISTS identity (customer_id TEXT, kind TEXT, customer_key INTEGER,
              first_seen_at INTEGER, PRIMARY KEY (kind, customer_id))"""
DECISION = (
    "INSERT INTO decisions (decision_id, customer_key, decided_at, placement, channel, initiated_by, arm, "
    "arm_probability, policy, action_id, action_probability, distribution, fallback_reason, record, experiment) "
    "VALUES (?, ?, ?, ?, 'whatsapp', 'customer', ?, ?, 'epsilon_greedy', ?, 0.5, '{}', ?, '{}', ?)"
)
OUTCOME = (
    "INSERT INTO outcomes (outcome_id, decision_id, customer_key, outcome, goal, value, joined_by, occurred_at, "
    "received_at) VALUES (?, ?, ?, ?, ?, ?, 'decision_id', ?, ?)"
)


@dataclass
class ReportWorld:
    """A workspace of the starter brand; each method adds something that another part would have written."""

    workspace: Workspace
    _n: int = field(default=0)

    def score_day(
        self,
        day: date,
        customers: Iterable[tuple[int, str | None, str]],
        *,
        names: dict[str, dict[str, str]] | None = None,
        propensity: Callable[[int], float | None] = lambda key: 0.2,
    ) -> None:
        """Writes lake/scores of one day; customers are (customer_key, segment, stage)."""
        rows = list(customers)
        folder = self.workspace.lake / "scores" / f"day={day}"
        folder.mkdir(parents=True)
        p = [propensity(key) for key, _, _ in rows]
        as_of = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - the schema is naive UTC
        columns: dict[str, Any] = {
            "customer_key": pa.array([key for key, _, _ in rows], pa.int64()),
            "as_of": pa.array([as_of] * len(rows), pa.timestamp("us")),
            "segment": pa.array([segment for _, segment, _ in rows], pa.string()),
            "stage": [stage for _, _, stage in rows],
            "purchase_propensity_7d": pa.array([None if x is None else x / 2 for x in p], pa.float64()),
            "purchase_propensity_30d": pa.array(p, pa.float64()),
            "purchase_propensity_90d": pa.array([None if x is None else min(1.0, x * 2) for x in p], pa.float64()),
            "revenue_365d": [1000.0 * (key % 5) for key, _, _ in rows],
            "n_orders": pa.array([key % 4 for key, _, _ in rows], pa.int64()),
            "segments_version": ["seg-1"] * len(rows),
            "next_purchase_version": ["np-1"] * len(rows),
        }
        pq.write_table(pa.table(columns), folder / "scores.parquet")
        ids = sorted({segment for _, segment, _ in rows if segment is not None})
        texts = [
            {
                "id": one,
                "names": (names or {}).get(one, {"en": f"Segment {one}"}),
                "descriptions": {"en": f"People of {one}."},
                "n_customers": sum(segment == one for _, segment, _ in rows),
            }
            for one in ids
        ]
        (folder / "segments.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")

    def identify(self, ids: Iterable[tuple[int, str, str]]) -> None:
        """Rows of the identity table: (customer_key, customer_id, kind)."""
        with _committed(self.workspace.database) as connection:
            connection.execute(IDENTITY)
            connection.executemany(
                "INSERT INTO identity VALUES (?, ?, ?, 0)", [(customer, kind, key) for key, customer, kind in ids]
            )

    def decide(
        self,
        customers: Sequence[int],
        *,
        at: datetime,
        held_out: Callable[[int], bool] = lambda key: key % 5 == 0,
        rate: float = 0.2,
        action: Callable[[int], str] = lambda key: "bestsellers",
        fallback: Callable[[int], str | None] = lambda key: None,
        orders: Callable[[int], float | None] = lambda key: None,
        others: Callable[[int], Sequence[str]] = lambda key: (),
        placement: str = "chat_reply",
        experiment: str | None = None,
        arm_of: Callable[[int], str] = lambda key: PERSONALISED,
    ) -> None:
        """One decision a customer, with an order a day later where `orders` names its value.

        Whoever is not held out is in the arm that `arm_of` names, of the experiment where there is one.
        """
        decided_at, ordered_at = _us(at), _us(at + timedelta(days=1))
        with _committed(self.workspace.database) as connection:
            connection.executescript(SCHEMA)
            for key in customers:
                self._n += 1
                decision = f"d{self._n}"
                arm = HOLDOUT if held_out(key) else arm_of(key)
                probability = rate if arm == HOLDOUT else 1 - rate
                whose = None if arm == HOLDOUT else experiment
                connection.execute(
                    DECISION,
                    (decision, key, decided_at, placement, arm, probability, action(key), fallback(key), whose),
                )
                rows: list[tuple[str, str | None, float | None]] = [(name, None, None) for name in others(key)]
                if (value := orders(key)) is not None:
                    rows.append(("converted", "order", value))
                for n, (outcome, goal, worth) in enumerate(rows):
                    one = (f"{decision}-{n}", decision, key, outcome, goal, worth, ordered_at, ordered_at)
                    connection.execute(OUTCOME, one)


@contextmanager
def _committed(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        yield connection
        connection.commit()


def _us(instant: datetime) -> int:
    return round(instant.astimezone(UTC).timestamp() * 1_000_000)


@pytest.fixture
def report_world(tmp_path: Path) -> ReportWorld:
    root = tmp_path / "workspace"
    with as_file(files("features") / "starter") as starter:
        shutil.copytree(starter, root)
    return ReportWorld(Workspace(root))
