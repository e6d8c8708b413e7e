"""The verb `evaluate segments`."""

from __future__ import annotations

import contextlib
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption
from training.seed_option import SeedOption

if TYPE_CHECKING:
    from training.evaluating.segments import EvaluatedSegments

METRICS = ("accuracy", "log_loss", "brier", "calibration_error")


def segments(
    cutoff: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="What happened before this day is known; default the latest possible."),
    ] = None,
    onward_days: Annotated[
        int, typer.Option(min=1, max=3_650, help="How much later the segment to be said is looked at.")
    ] = 90,
    seed: SeedOption = 0,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Measures how steady segments are, how well foretold, and whether they matter: beside stage, RFM and the prior."""
    place = find_workspace(workspace)
    from rich.console import Console

    from training.evaluating.segments import evaluate_segments

    with (
        contextlib.redirect_stdout(sys.stderr),
        Console(stderr=True).status("Discovering segments and looking where their customers went …"),
    ):
        found = evaluate_segments(place, cutoff=cutoff.date() if cutoff else None, onward_days=onward_days, seed=seed)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=1, allow_nan=False))
        return
    typer.echo(as_markdown(found))


def as_markdown(found: EvaluatedSegments) -> str:
    """The tables, for people."""
    discovery = found.trained.description["discovery"]
    lines = [
        f"\nSegments as of {found.cutoff:%Y-%m-%d}: k = {discovery['k']}, bootstrap adjusted Rand index "
        f"{discovery['stability']:.3f}, silhouette {discovery['silhouette']:.3f}, {discovery['n_unusual']} unusual.\n",
        "| k | adjusted Rand index, mean | lowest | silhouette | smallest share |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {one['k']:.0f} | {one['stability']:.3f} | {one['stability_lowest']:.3f} | {one['silhouette']:.3f} "
        f"| {one['smallest_share']:.1%} |"
        for one in discovery["candidates"]
    ]
    lines += ["", "| segment | share | name |", "|---|---|---|"]
    for segment in found.trained.description["segments"]:
        names = segment["names"]
        lines.append(f"| {segment['id']} | {segment['share']:.1%} | {names.get('en') or next(iter(names.values()))} |")
    lines += [
        f"\nFound anew {found.onward_days} days later: k = {found.later['k']}, of which {found.later['n_continued']} "
        f"continue one of these; {found.later['share_agreeing']:.1%} of customers agree.\n",
        f"Where customers were {found.onward_days} days later:\n",
        "| truth | customers | n | model | accuracy | log-loss | Brier | calibration error |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found.judged:
        lines += _rows(row)
    lines += [f"\nWhether they matter, in the {found.onward_days} days after (what the window before taught):\n"]
    lines += [f"- {one.in_words()}" for one in found.differences]
    lines += [f"- {one.in_words()}" for one in found.responses]
    return "\n".join([*lines, *(f"- {note}" for note in found.notes)])


def _rows(row: dict[str, Any]) -> list[str]:
    start = f"| {row['truth'].replace('_', ' ')} | {row['audience'].replace('_', ' ')} | {row['n']:,} |"
    if not row["models"]:
        return [f"{start} — {row['reason']} | | | | |"]
    return [
        f"{start} {one['name']} | " + " | ".join(_cell(one["metrics"][name]) for name in METRICS) + " |"
        for one in row["models"]
    ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
