"""The verbs `train`, `models` and `score`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.faults import CallersMistake
from features.verbs import group_of_verbs
from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption
from training import versions_cli
from training.seed_option import SeedOption

if TYPE_CHECKING:
    from features.schema import FeatureSchema
    from features.workspace import Workspace
    from training.learning import Round
    from training.tuning import Budget

AsOfOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
        help="Nothing later is known, UTC; default the midnight after the last event, at latest today's start.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For a program to read.")]


class What(StrEnum):
    """Which models to train."""

    SEGMENTS = "segments"
    NEXT_PURCHASE = "next-purchase"
    RESPONSE = "response"
    ALL = "all"


models = group_of_verbs("Versions of models: list, compare, describe, promote, roll back, export.")
models.command("compare")(versions_cli.compare)
models.command("card")(versions_cli.card)


def train(
    what: Annotated[What, typer.Argument(help="Which models.")] = What.ALL,
    as_of: AsOfOption = None,
    seed: SeedOption = 0,
    tune_trials: Annotated[
        int | None, typer.Option(min=1, help="Tune the trees of next purchase: so many trials a horizon, in all.")
    ] = None,
    tune_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Tune them for so long; a study of the same data goes on.")
    ] = None,
    folds: Annotated[
        int,
        typer.Option(min=0, help="Hold next purchase against so many earlier windows too: cross-validation by time."),
    ] = 0,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learns segments, next purchase and response; what passes its gate is served from then on."""
    place = find_workspace(workspace)
    from rich.console import Console

    from training.artifact import MODELS
    from training.learning import train_models

    tuning = _budget(tune_trials, tune_minutes)
    asked = MODELS if what is What.ALL else (what.value.replace("-", "_"),)
    with Console(stderr=True).status(f"Training {', '.join(asked)} …"):
        rounds = train_models(place, models=asked, as_of=_utc(as_of), seed=seed, tuning=tuning, n_folds=folds)
    if as_json:
        typer.echo(json.dumps([one.as_dict() for one in rounds], ensure_ascii=False, indent=1))
    else:
        for one in rounds:
            _show(one)
    if all(one.version is None for one in rounds):
        raise typer.Exit(2)


def _budget(trials: int | None, minutes: float | None) -> Budget | None:
    if trials is None and minutes is None:
        return None
    from training.tuning import Budget

    return Budget(trials, minutes)


@models.command("list")
def list_models(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Lists every version, with its quality on the window that judged it, and which one is served."""
    place = find_workspace(workspace)
    from training.artifact import MODELS, read_champions, read_description
    from training.promotion import read_gate, versions

    champions = read_champions(place.artifacts)
    rows = [
        {
            "model": name,
            "version": version,
            "champion": champions.get(name, {}).get("version") == version,
            "as_of": description["as_of"],
            "judged": _judged(description),
            "gate": (read_gate(place.artifacts, name, version) or {}).get("passed"),
        }
        for name in MODELS
        for version in versions(place.artifacts, name)
        for description in [read_description(place.artifacts, name, version)]
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=1))
        return
    if not rows:
        typer.echo("No model yet. 'rapport train' makes the first.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table()  # a version begins with the day of its as_of; the whole fits 80 columns
    for heading in ("model", "version", "served", "gate", "judged (log-loss)"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        gate = {True: "passed", False: "not passed", None: "—"}[row["gate"]]
        told = "\n".join(_told(name, of) for name, of in row["judged"].items())
        table.add_row(row["model"], row["version"], "yes" if row["champion"] else "", gate, told)
    Console().print(table)


@models.command()
def promote(
    model: Annotated[str, typer.Argument(help="segments, next_purchase or response.")],
    version: Annotated[str, typer.Argument(help="One of 'rapport models list'.")],
    force: Annotated[bool, typer.Option("--force", help="Although its gate did not pass; the log says so.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Serves this version from now on."""
    place = find_workspace(workspace)
    from training.promotion import promote as make_champion

    name = model.replace("-", "_")
    changed = make_champion(place.artifacts, name, version, schema=_schema(place), force=force)
    if changed:
        _crown(place.root, name, version)
    typer.echo(f"{name} {version} is the champion" + (" now." if changed else " already."))


@models.command()
def rollback(
    model: Annotated[str, typer.Argument(help="segments, next_purchase or response.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Serves the champion before this one again."""
    place = find_workspace(workspace)
    from training.promotion import rollback as bring_back

    name = model.replace("-", "_")
    version = bring_back(place.artifacts, name, schema=_schema(place))
    if version is None:
        typer.echo(f"No {name} model is served any more: actions are valued by their rates again.")
        return
    _crown(place.root, name, version)
    typer.echo(f"{name} {version} is the champion again.")


@models.command()
def export(
    model: Annotated[str, typer.Argument(help="segments, next_purchase or response.")],
    target: Annotated[Path, typer.Argument(help="A folder that is not there yet.")],
    version: Annotated[str | None, typer.Option(help="Default: the champion.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Copies a version's files, verified: LightGBM's text and JSON, readable anywhere."""
    place = find_workspace(workspace)
    import shutil

    from training.artifact import read_champions, verify
    from training.promotion import require_model, require_version

    name = model.replace("-", "_")
    require_model(name)
    chosen = version or read_champions(place.artifacts).get(name, {}).get("version")
    if chosen is None:
        raise CallersMistake(f"Asked to export {name}, but it has no champion. Name a --version, or train first.")
    require_version(place.artifacts, name, chosen)
    if target.exists():
        raise CallersMistake(f"Asked to export to '{target}', which exists. Name a folder that is not there yet.")
    verify(place.artifacts, name, chosen)
    shutil.copytree(place.artifacts / name / chosen, target)
    typer.echo(f"{name} {chosen} → {target}")


def score(
    as_of: AsOfOption = None,
    export: Annotated[
        Path | None, typer.Option(help="Also write FILE.csv or FILE.parquet with the shop's own customer ids.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Writes everybody's segment, stage and purchase propensities to lake/scores (docs/scores.md)."""
    place = find_workspace(workspace)
    from training.scoring import export_scores, require_export, score_everybody

    if export is not None:
        require_export(export)
    scored = score_everybody(place, as_of=_utc(as_of))
    exported = export_scores(place, scored, export) if export is not None else None
    if as_json:
        said: dict[str, Any] = {
            "path": str(scored.path),
            "as_of": scored.as_of.isoformat(),
            "n_customers": scored.n_customers,
            "segments_version": scored.segments_version,
            "next_purchase_version": scored.next_purchase_version,
            "n_exported": exported,
            "notes": list(scored.notes),
        }
        typer.echo(json.dumps(said, indent=1))
        return
    typer.echo(f"{scored.n_customers:,} customers as of {scored.as_of:%Y-%m-%d} → {scored.path}")
    for note in scored.notes:
        typer.echo(f"  {note}")
    if exported is not None:
        typer.echo(f"{exported:,} rows with outside ids → {export}")


def _show(one: Round) -> None:
    from rich.console import Console

    console = Console()
    for reason in one.refused:
        console.print(f"[yellow]{one.model}[/yellow]: {reason}", highlight=False)
    if one.version is None:
        return
    state = "is the champion now" if one.promoted else "is the champion already" if one.unchanged else "is a challenger"
    console.print(f"[bold]{one.model}[/bold] {one.version} {state}.", highlight=False)
    for check in one.gate.checks if one.gate and not one.unchanged else ():
        mark = "[green]PASS[/green]" if check.passed else "[red]FAIL[/red]"
        console.print(f"  {mark} {check.question}: {check.answer}.", highlight=False)
    for note in one.notes:
        console.print(f"  {note}", highlight=False, markup=False)


def _schema(place: Workspace) -> FeatureSchema:
    from features.brand import load_brand
    from features.schema import feature_schema

    return feature_schema(load_brand(place), place)


def _judged(description: dict[str, Any]) -> dict[str, dict[str, float]]:
    if "heads" in description:
        return {f"{head['horizon_days']}d": head["judged"] for head in description["heads"]}
    return {"policy" if description["name"] == "response" else "assigner": description["judged"]}


def _told(name: str, judged: dict[str, Any]) -> str:
    """One line of a table: a response model is judged by what its policy earns a decision more than the rates'."""
    if "log_loss" in judged:
        return f"{name} {judged['log_loss']:.4f}"
    return f"gain {judged['gain_on_rates']['value']:+.4g}"


def _crown(root: Path, name: str, version: str) -> None:
    """Tells MLflow, where it has ever been used here."""
    from features.workspace import Workspace
    from training.registry import Registry, tracking_database

    workspace = Workspace(root)
    if tracking_database(workspace).is_file():
        with Registry(workspace) as registry:
            registry.crown(name, version)


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.replace(tzinfo=UTC)
