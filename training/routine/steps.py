"""The steps of a run, in order: what each does, and one line on what came of it.

Each may be taken again at any moment: it finds what it had done before, or does the same once more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.faults import CallersMistake, InvalidFile
from features.workspace import Workspace
from training.routine.state import Run

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


Step = Callable[[Asked, Run], Came]


def sync(asked: Asked, run: Run) -> Came:
    """The event log into the lake."""
    from features.letter_counts import letters_of_workspace, told_counts
    from features.sync import sync as export

    done = export(asked.workspace)
    told = f"{done.n_events:,} events came into the lake, {done.n_pruned:,} rows left the log"
    if letters := letters_of_workspace(asked.workspace):
        told += f"; dead letters: {told_counts(letters)} ('rapport dead-letters list')"
    return Came(told, done.as_dict() | {"dead_letters": letters})


def scrub(asked: Asked, run: Run) -> Came:
    """What was withdrawn or erased leaves stored snapshots and inputs of decisions; kept answers go after a day."""
    from features.kept_answers import forget_old_answers
    from features.scrubbing import scrub as take_out

    n_answers = forget_old_answers(asked.workspace)
    result = _as_dict(take_out(asked.workspace)) | {"n_answers": n_answers}
    said = ", ".join(f"{name} {value}" for name, value in result.items() if value)
    return Came(said or "nothing to take out", result)


def build(asked: Asked, run: Run) -> Came:
    """Snapshots as of the run and as of where training and scores stand, from those before; old ones go."""
    from features.snapshot_keeping import prune_snapshots
    from features.snapshots import build_snapshots

    source = _source(asked, as_of=run.as_of)
    known_until = source.known_until if source is not None else None
    instants = sorted({run.as_of, known_until or run.as_of})
    made: list[datetime] = []
    build_snapshots(asked.workspace, instants, incremental=True, on_progress=made.append)
    removed = prune_snapshots(asked.workspace, now=run.as_of)
    return Came(
        f"{len(made)} of {len(instants)} snapshots were made, {removed} old ones removed",
        {
            "as_ofs": [at.isoformat() for at in instants],
            "known_until": known_until and known_until.isoformat(),  # where training and scores of this run stand
            "n_made": len(made),
            "n_removed": removed,
        },
    )


def due(asked: Asked, run: Run) -> Came:
    """Which models are to be trained, said once a run: a killed training is taken up again. And what drift suggests."""
    known_until = _known_until(run)
    if known_until is None:
        return Came("there are no events to learn from yet", {"models": []}, is_skipped=True)
    names = due_models(asked, known_until)
    told = ", ".join(names) or f"no model is older than {asked.train_every_days:g} days"
    suggested = [name for name in _suggested_by_drift(asked.workspace) if name not in names]
    if suggested:
        verbs = ", ".join(f"'rapport train {name.replace('_', '-')}'" for name in suggested)
        told += f"; the last look at drift suggests {verbs} ('rapport drift' says why)"
    return Came(told, {"models": list(names), "suggested": suggested}, is_skipped=not names)


def train(asked: Asked, run: Run) -> Came:
    """The models that are due; what passes its gate is served from then on."""
    from training.learning import train_models

    names = tuple(run.result_of("due")["models"])
    if not names:
        return Came("none is due", {}, is_skipped=True)
    rounds = train_models(asked.workspace, models=names, as_of=_known_until(run))
    told = "; ".join(_told_of(one) for one in rounds)
    is_skipped = all(one.version is None for one in rounds)
    return Came(told, {"rounds": [one.as_dict() for one in rounds]}, is_skipped=is_skipped)


def materialize(asked: Asked, run: Run) -> Came:
    """The online store as of the run, and what has come since."""
    from features.online import materialize as fill

    n_customers = fill(asked.workspace, run.as_of)
    return Came(f"{n_customers:,} customers are in the online store", {"n_customers": n_customers})


def score(asked: Asked, run: Run) -> Came:
    """Everybody's segment, stage and propensities, for reports and the way back to a warehouse."""
    from training.artifact import read_champions
    from training.scoring import score_everybody

    if _known_until(run) is None or not read_champions(asked.workspace.artifacts):
        return Came("no model is served yet", {}, is_skipped=True)
    scored = score_everybody(asked.workspace, as_of=_known_until(run))
    return Came(
        "; ".join((f"{scored.n_customers:,} customers as of {scored.as_of:%Y-%m-%d}", *scored.notes)),
        {"path": str(scored.path), "n_customers": scored.n_customers},
    )


def drift(asked: Asked, run: Run) -> Came:
    """Whether the models' inputs and scores have moved since their training, and whether what they said came."""
    from training.artifact import read_champions
    from training.drift.report import write_drift
    from training.drift.watching import watch

    if _known_until(run) is None or not read_champions(asked.workspace.artifacts):
        return Came("no model is served yet", {}, is_skipped=True)
    found = watch(asked.workspace, as_of=_known_until(run))
    path = write_drift(asked.workspace, found)
    told = "; ".join(f"{one.model}: {one.told}" for one in found.models)
    return Came(told, {"path": str(path), "models": {one.model: one.status for one in found.models}})


def seed_moments(asked: Asked, run: Run) -> Came:
    """Moments of customers whose triggers are in the newest snapshot: those that an import brought."""
    from features.moments import seed

    seeded = seed(asked.workspace)
    return Came(f"{seeded.n_armed:,} waits began", {"n_armed": seeded.n_armed})


def report(asked: Asked, run: Run) -> Came:
    """The marketers' page."""
    from experiments.report import write_report

    page = write_report(asked.workspace, out=asked.report)
    return Came(str(page), {"page": str(page)})


STEPS: dict[str, Step] = {
    "sync": sync,
    "scrub": scrub,
    "build": build,
    "due": due,
    "train": train,
    "materialize": materialize,
    "score": score,
    "drift": drift,
    "moments": seed_moments,
    "report": report,
}


def due_models(asked: Asked, known_until: datetime) -> tuple[str, ...]:
    """Models without a version, of another feature schema, or whose newest version knows too little of the present.

    A response model is not due before there are decisions whose outcomes could teach and judge it.
    """
    from features.brand import load_brand
    from features.schema import feature_schema
    from training.artifact import MODELS, RESPONSE, read_description
    from training.promotion import versions

    artifacts, brand = asked.workspace.artifacts, load_brand(asked.workspace)
    schema_version = feature_schema(brand, asked.workspace).version
    window = timedelta(days=brand.rewards.attribution_days)
    found = []
    for name in MODELS:
        if name == RESPONSE and not _has_decisions(asked.workspace, before=known_until - 2 * window):
            continue
        descriptions = [read_description(artifacts, name, version) for version in versions(artifacts, name)]
        fitting = [one for one in descriptions if one["schema_version"] == schema_version]
        newest = max((datetime.fromisoformat(one["as_of"]) for one in fitting), default=None)
        if newest is None or known_until - newest >= timedelta(days=asked.train_every_days):
            found.append(name)
    return tuple(found)


def _suggested_by_drift(workspace: Workspace) -> list[str]:
    """Models in use that the newest look suggests to train anew: said and not done, since an import may be at fault."""
    from experiments.report.models import read_watched

    watched = read_watched(workspace)
    return [one.model for one in watched.to_retrain] if watched else []


def _has_decisions(workspace: Workspace, *, before: datetime) -> bool:
    """Whether any decision was made before that instant."""
    import sqlite3
    from contextlib import closing

    from features.lake import instant_us

    if not workspace.database.is_file():
        return False
    with closing(sqlite3.connect(workspace.database)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'decisions'").fetchone():
            return False
        query = "SELECT 1 FROM decisions WHERE decided_at < ? LIMIT 1"
        return connection.execute(query, (instant_us(before),)).fetchone() is not None


def _source(asked: Asked, *, as_of: datetime) -> WorkspaceSource | None:
    """What training and scores stand on; None where nothing that happened before today is known."""
    from training.dataset import WorkspaceSource

    try:
        return WorkspaceSource(asked.workspace, now=as_of)
    except InvalidFile:
        raise
    except CallersMistake:
        return None


def _known_until(run: Run) -> datetime | None:
    text = run.result_of("build")["known_until"]
    return datetime.fromisoformat(text) if text else None


def _told_of(one: Round) -> str:
    if one.version is None:
        return f"{one.model}: {' '.join(one.refused)}"
    if one.promoted or one.unchanged:
        return f"{one.model} {one.version} is the champion" + (" already" if one.unchanged else ": its gate passed")
    return f"{one.model} {one.version} stays a challenger: its gate did not pass"


def _as_dict(result: Any) -> dict[str, Any]:
    return asdict(result) if hasattr(result, "__dataclass_fields__") else {"n": result} if result else {}
