"""Who has said what, as the newest snapshot holds it, by the segments of the newest scores; read beside decisions.

A trait's counts move slowly, and a snapshot of a million customers takes a second to read: a thread of its own does it
when the files are new or an hour has passed, decisions go on with the counts that there are, and the first ones with
none, by which every answer is as likely as another.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from features.brand import Brand, Trait
from features.database import connect
from features.snapshot_origin import newest_snapshot
from features.workspace import Workspace
from serving.next_question.likely import Told, ToldCount
from serving.next_question.recurring import followed_by
from serving.schemas import TraitValue

LOOKS_AGAIN_SECONDS = 60.0
READS_AGAIN_SECONDS = 3_600.0
PARTS = 5  # a number or a date is one of so many values, each of which stands for as many customers
_EPOCH_DAY = date(1970, 1, 1)
_log = logging.getLogger("rapport.serving")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was answered, and how often customers come back (`recurring.followed_by`)."""

    told: Told
    followed: tuple[int, ...] = ()


class ToldReader:
    """The evidence as of the newest snapshot; of one thread, closed by nobody: the one that reads ends by itself.

    Args:
        workspace: whose snapshots and scores.
        brand: whose traits; only those that a placement may ask for are read.
    """

    def __init__(self, workspace: Workspace, brand: Brand) -> None:
        self._workspace = workspace
        asked = dict.fromkeys(name for placement in brand.placements.values() for name in placement.questions)
        self._traits = {name: brand.traits[name] for name in asked}
        self._strength = brand.rewards.prior_strength
        self._evidence = Evidence(Told(strength=self._strength))
        self._files: tuple[Path | None, Path | None] | None = None
        self._looked_at = -LOOKS_AGAIN_SECONDS
        self._read_at = -READS_AGAIN_SECONDS
        self._reading: threading.Thread | None = None

    def read(self, at: datetime) -> Evidence:
        """What there is now; where there is newer, it is read beside this.

        Args:
            at: now, by which customers came back or did not yet.
        """
        now = time.monotonic()
        if self._traits and now - self._looked_at >= LOOKS_AGAIN_SECONDS and not self._is_reading():
            self._looked_at = now
            if (files := _newest(self._workspace)) != self._files or now - self._read_at >= READS_AGAIN_SECONDS:
                self._read_at = now
                self._reading = threading.Thread(target=self._read, args=(files, at), name="rapport-told", daemon=True)
                self._reading.start()
        return self._evidence

    def wait(self, at: datetime) -> Evidence:
        """What there is once everything that is being read has been read."""
        self.read(at)
        if self._reading is not None:
            self._reading.join()
        return self._evidence

    def _is_reading(self) -> bool:
        return self._reading is not None and self._reading.is_alive()

    def _read(self, files: tuple[Path | None, Path | None], at: datetime) -> None:
        try:
            counts = list(told_counts(*files, traits=self._traits))
            with closing(connect(self._workspace.database)) as connection:
                followed = followed_by(connection, at=at)
        except (duckdb.Error, sqlite3.Error, OSError) as fault:  # being replaced, or erased from: it is looked at again
            _log.warning("What customers have declared could not be read from %s: %s", files[0], fault)
            return
        self._evidence, self._files = Evidence(Told(counts, strength=self._strength), tuple(followed)), files


def told_counts(snapshot: Path | None, scores: Path | None, *, traits: dict[str, Trait]) -> Iterator[ToldCount]:
    """How many customers have said what, by segment.

    Args:
        snapshot: one row a customer, None where there is none yet.
        scores: that say who is in which segment; None where nobody was scored.
        traits: to count. Free text is not counted.
    """
    if snapshot is None:
        return
    segments = "LEFT JOIN read_parquet(?) s USING (customer_key)" if scores else ""
    segment = "coalesce(s.segment, '')" if scores else "''"
    files = [str(snapshot), *([str(scores)] if scores else [])]
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        for name, trait in traits.items():
            for column, choice in _columns(name, trait):
                query = (
                    f'SELECT {segment}, c."{column}"::DOUBLE, count(*) FROM read_parquet(?) c {segments} '
                    f'WHERE NOT isnan(c."{column}"::DOUBLE) GROUP BY ALL ORDER BY ALL'
                )
                rows = connection.execute(query, files).fetchall()
                yield from _counted(name, trait, rows, choice=choice)


def _columns(name: str, trait: Trait) -> Iterator[tuple[str, str | None]]:
    """The columns of a trait in a snapshot, of several choices with the one that it is about."""
    if trait.type == "choices":
        yield from ((f"trait_{name}_{choice}", choice) for choice in trait.choices)
    elif trait.type != "text":
        yield f"trait_{name}", None


def _counted(name: str, trait: Trait, rows: list[tuple[str, float, int]], *, choice: str | None) -> Iterator[ToldCount]:
    if choice is not None:
        yield from (ToldCount(name, segment, choice, float(n)) for segment, said, n in rows if said == 1.0)
        return
    typical = _typical(rows) if trait.type in ("number", "date") else None
    for segment, said, n in rows:
        stands_for = said if typical is None else float(typical[np.abs(typical - said).argmin()])
        yield ToldCount(name, segment, _declared(stands_for, trait), float(n))


def _typical(rows: Iterable[tuple[str, float, int]]) -> npt.NDArray[np.float64]:
    """The values in the middle of each fifth of the customers: some that were said, so that days stay whole days."""
    told = sorted((said, n) for _, said, n in rows)
    values, weights = np.array([said for said, _ in told]), np.cumsum([n for _, n in told])
    if not len(values):
        return values
    middles = (np.arange(PARTS) + 0.5) / PARTS * weights[-1]
    return np.unique(values[np.searchsorted(weights, middles)])


def _declared(value: float, trait: Trait) -> TraitValue:
    if trait.type == "choice":
        return trait.choices[int(value)]
    if trait.type == "boolean":
        return value == 1.0
    return (_EPOCH_DAY + timedelta(days=int(value))).isoformat() if trait.type == "date" else value


def _newest(workspace: Workspace) -> tuple[Path | None, Path | None]:
    """The newest snapshot and the newest scores; None where there are none."""
    scored = (workspace.lake / "scores").glob("day=*/scores.parquet")
    return newest_snapshot(workspace), max(scored, default=None, key=lambda path: path.parent.name)
