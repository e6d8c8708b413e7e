"""The steps of a run, in order: what each does, and one line on what came of it.

Each may be taken again at any moment: it finds what it had done before, or does the same once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.faults import CallersMistake
from features.workspace import Workspace

if TYPE_CHECKING:
    from training.dataset import WorkspaceSource
    from training.learning import Round


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked to do."""

    workspace: Workspace
    report: Path  # the folder of the marketers' page
    train_every_days: float = 7.0


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a step."""

    told: str
    result: dict[str, Any]
    is_skipped: bool = False


Step = Callable[[Asked, datetime], Came]


def sync(asked: Asked, as_of: datetime) -> Came:
    """The event log into the lake."""
    from features.sync import sync as export

    done = export(asked.workspace)
    return Came(f"{done.n_events:,} events came into the lake, {done.n_pruned:,} rows left the log", done.as_dict())


def scrub(asked: Asked, as_of: datetime) -> Came:
    """What was withdrawn or erased leaves stored snapshots and inputs of decisions."""
    from features.scrubbing import scrub as take_out

    result = _as_dict(take_out(asked.workspace))
    said = ", ".join(f"{name} {value}" for name, value in result.items() if value)
    return Came(said or "nothing to take out", result)


def build(asked: Asked, as_of: datetime) -> Came:
    """Snapshots as of the run and as of where training and scores stand, from those before; old ones go."""
    from features.snapshot_keeping import prune_snapshots
    from features.snapshots import build_snapshots

    known_until = _known_until(asked, as_of)
    instants = sorted({as_of} if known_until is None else {as_of, known_until})
    made: list[datetime] = []
    build_snapshots(asked.workspace, instants, incremental=True, on_progress=made.append)
    removed = prune_snapshots(asked.workspace, now=as_of)
    return Came(
        f"{len(made)} of {len(instants)} snapshots were made, {removed} old ones removed",
        {"as_ofs": [at.isoformat() for at in instants], "n_made": len(made), "n_removed": removed},
    )


def train(asked: Asked, as_of: datetime) -> Came:
    """The models that are due; what passes its gate is served from then on."""
    from training.learning import train_models

    source = _source(asked, as_of)
    if source is None:
        return Came("there are no events to learn from yet", {}, is_skipped=True)
    due = due_models(asked, source)
    if not due:
        return Came(f"no model is older than {asked.train_every_days:g} days", {}, is_skipped=True)
    rounds = train_models(asked.workspace, models=due, as_of=source.known_until)
    told = "; ".join(_told_of(one) for one in rounds)
    return Came(
        told, {"rounds": [one.as_dict() for one in rounds]}, is_skipped=all(one.version is None for one in rounds)
    )


def materialize(asked: Asked, as_of: datetime) -> Came:
    """The online store as of the run, and what has come since."""
    from features.online import materialize as fill

    n_customers = fill(asked.workspace, as_of)
    return Came(f"{n_customers:,} customers are in the online store", {"n_customers": n_customers})


def score(asked: Asked, as_of: datetime) -> Came:
    """Everybody's segment, stage and propensities, for reports and the way back to a warehouse."""
    from training.artifact import read_champions
    from training.scoring import score_everybody

    source = _source(asked, as_of)
    if source is None or not read_champions(asked.workspace.artifacts):
        return Came("no model is served yet", {}, is_skipped=True)
    scored = score_everybody(asked.workspace, as_of=source.known_until)
    return Came(
        f"{scored.n_customers:,} customers as of {scored.as_of:%Y-%m-%d}",
        {"path": str(scored.path), "n_customers": scored.n_customers},
    )


def seed_moments(asked: Asked, as_of: datetime) -> Came:
    """Moments of customers whose triggers are in the newest snapshot: those that an import brought."""
    from features.moments import seed

    seeded = seed(asked.workspace)
    return Came(f"{seeded.n_armed:,} waits began", {"n_armed": seeded.n_armed})


def report(asked: Asked, as_of: datetime) -> Came:
    """The marketers' page."""
    from experiments.report import write_report

    page = write_report(asked.workspace, out=asked.report)
    return Came(str(page), {"page": str(page)})


STEPS: dict[str, Step] = {
    "sync": sync,
    "scrub": scrub,
    "build": build,
    "train": train,
    "materialize": materialize,
    "score": score,
    "moments": seed_moments,
    "report": report,
}


def due_models(asked: Asked, source: WorkspaceSource) -> tuple[str, ...]:
    """Models without a version, of another feature schema, or whose newest version knows too little of the present."""
    from training.artifact import MODELS, read_description
    from training.promotion import versions

    artifacts = asked.workspace.artifacts
    due = []
    for name in MODELS:
        descriptions = [read_description(artifacts, name, version) for version in versions(artifacts, name)]
        fitting = [one for one in descriptions if one["schema_version"] == source.schema_version]
        newest = max((datetime.fromisoformat(one["as_of"]) for one in fitting), default=None)
        if newest is None or source.known_until - newest >= timedelta(days=asked.train_every_days):
            due.append(name)
    return tuple(due)


def _source(asked: Asked, as_of: datetime) -> WorkspaceSource | None:
    """What training and scores stand on; None where nothing that happened before today is known."""
    from training.dataset import WorkspaceSource

    try:
        return WorkspaceSource(asked.workspace, now=as_of)
    except CallersMistake:
        return None


def _known_until(asked: Asked, as_of: datetime) -> datetime | None:
    source = _source(asked, as_of)
    return None if source is None else source.known_until


def _told_of(one: Round) -> str:
    if one.version is None:
        return f"{one.model}: {' '.join(one.refused)}"
    if one.promoted or one.unchanged:
        return f"{one.model} {one.version} is the champion" + (" already" if one.unchanged else ": its gate passed")
    return f"{one.model} {one.version} stays a challenger: its gate did not pass"


def _as_dict(result: Any) -> dict[str, Any]:
    return asdict(result) if hasattr(result, "__dataclass_fields__") else {"n": result} if result else {}
