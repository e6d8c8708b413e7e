"""How far a run has come, on disk after each step: a run that was killed goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from features import locks
from features.faults import CallersMistake
from features.lake_manifest import sync_folder
from features.workspace import Workspace

FORMAT = 1
RESUMED_WITHIN = timedelta(hours=24)  # what an older one knew is not worth finishing: a new run knows more
BEHIND_THE_CLOCK = timedelta(seconds=10)  # what was received before a run's as_of has been written by then


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one step."""

    name: str
    status: str  # done | skipped | failed
    told: str  # one line for people
    seconds: float
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """One run: where it stands in time, and its steps so far, in order."""

    run_id: str
    as_of: datetime
    outcomes: list[Outcome] = field(default_factory=list)
    is_whole: bool = False  # every step was taken, and none failed
    is_at_end: bool = False  # every step was tried: the next run begins anew, whatever failed in this one

    def has_done(self, name: str) -> bool:
        """Whether that step need not be taken again."""
        return any(one.name == name and one.status != "failed" for one in self.outcomes)

    def result_of(self, name: str) -> dict[str, Any]:
        """What an earlier step left for later ones; KeyError where it was not taken."""
        return {one.name: one.result for one in self.outcomes}[name]

    def keep(self, outcome: Outcome) -> None:
        """Notes what became of a step, in place of what became of it before."""
        by_name = {one.name: one for one in self.outcomes} | {outcome.name: outcome}
        self.outcomes = list(by_name.values())

    def as_dict(self) -> dict[str, Any]:
        """For the state file and `--json`."""
        return {
            "run_id": self.run_id,
            "as_of": self.as_of.isoformat(),
            "is_whole": self.is_whole,
            "is_at_end": self.is_at_end,
            "steps": [
                {"name": one.name, "status": one.status, "told": one.told, "seconds": one.seconds, "result": one.result}
                for one in self.outcomes
            ],
        }


def state_file(workspace: Workspace) -> Path:
    """Where a workspace's run says how far it is."""
    return workspace.state / "run.json"


def begin(workspace: Workspace, *, now: datetime) -> Run:
    """The run that was left before its end, if that was not long ago; else a new one."""
    left = read_run(workspace)
    if left is not None and not left.is_at_end and timedelta(0) <= now - left.as_of <= RESUMED_WITHIN:
        return left
    as_of = (now.astimezone(UTC) - BEHIND_THE_CLOCK).replace(microsecond=0)
    return Run(f"{as_of:%Y%m%dT%H%M%SZ}", as_of)


def read_run(workspace: Workspace) -> Run | None:
    """The newest run; None where there was none, or where nobody can read what it left."""
    try:
        written = json.loads(state_file(workspace).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(written, dict) or written.get("format") != FORMAT:
        return None
    outcomes = [Outcome(**step) for step in written["steps"]]
    is_whole = written["is_whole"]
    as_of, is_at_end = datetime.fromisoformat(written["as_of"]), bool(written.get("is_at_end", is_whole))
    return Run(written["run_id"], as_of, outcomes, is_whole=is_whole, is_at_end=is_at_end)


def write_run(workspace: Workspace, run: Run) -> None:
    """Replaces the state file; after this returns it is on disk."""
    path = state_file(workspace)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8") as file:
        json.dump({"format": FORMAT} | run.as_dict(), file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


@contextmanager
def alone(workspace: Workspace) -> Iterator[None]:
    """Keeps a second run of the same workspace out; a killed run leaves no lock behind.

    Raises:
        CallersMistake: another process is running one.
    """
    workspace.state.mkdir(parents=True, exist_ok=True)
    with locks.alone(workspace.state / "run.lock", busy=lambda process: _busy(workspace, process)):
        yield


def _busy(workspace: Workspace, process: str) -> CallersMistake:
    return CallersMistake(
        f"Asked for a run of {workspace.root}, but process {process} is at one. One run goes on at a time: wait "
        "until it ends, or leave it to the one that runs '--every'."
    )
