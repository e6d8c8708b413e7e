"""The verb `run`: once, or again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

if TYPE_CHECKING:
    from training.routine.state import Run

TELLS = {"done": "done", "skipped": "skipped", "failed": "FAILED", "before": "done before"}


def run(
    every: Annotated[
        str | None,
        typer.Option(help="Again and again, this far apart: 30m, 6h, 1d. Default: once.", show_default=False),
    ] = None,
    train_every_days: Annotated[
        float, typer.Option(min=0, help="Train when the newest models know nothing of the last so many days.")
    ] = 7.0,
    report: Annotated[
        Path | None, typer.Option(help="Folder of the marketers' page; default report/ in the workspace.")
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a run, for a program to read.")] = False,
) -> None:
    """Syncs, scrubs, builds, trains, materializes, scores, tells drift and moments, reports; resumed if killed."""
    place = find_workspace(workspace)
    from training.routine.schedule import every_so_often, interval_of
    from training.routine.steps import Asked

    asked = Asked(place, report=report or place.root / "report", train_every_days=train_every_days)
    pause = interval_of(every) if every is not None else None
    is_whole = True
    for one in every_so_often(asked, pause=pause, on_step=None if as_json else _tell):
        is_whole = one.is_whole
        typer.echo(json.dumps(one.as_dict(), ensure_ascii=False) if as_json else _last_words(one))
    if not is_whole:
        raise typer.Exit(1)


def _tell(name: str, status: str, told: str) -> None:
    typer.echo(f"{name:<12} {TELLS[status]:<12} {told}")


def _last_words(one: Run) -> str:
    if one.is_whole:
        return f"Run {one.run_id} is whole, as of {one.as_of:%Y-%m-%d %H:%M:%S} UTC."
    if one.is_at_end:
        return f"Run {one.run_id} is not whole: see the steps that failed; the next 'rapport run' begins anew."
    return f"Run {one.run_id} is not whole: the next 'rapport run' takes it up where it stopped."
