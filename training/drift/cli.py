"""The verb `drift`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from features.workspace import find_workspace
from features.workspace_option import WorkspaceOption

if TYPE_CHECKING:
    from training.drift.moves import Move
    from training.drift.outcomes import Outcome
    from training.drift.report import Looked

STATES = {
    "no_orders": "[red]orders have stopped[/red]",
    "retrain": "[red]train anew[/red]",
    "watch": "[yellow]something moves[/yellow]",
    "steady": "[green]steady[/green]",
    "too_little": "too little to tell",
    "unknown": "not looked at",
}
MOST_SHOWN = 10


def drift(
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="Nothing later is known, UTC; default the midnight after the last event, at latest today's start.",
        ),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For a program to read.")] = False,
) -> None:
    """Says whether the models' inputs and scores have moved since their training, and whether what they said came."""
    place = find_workspace(workspace)
    from training.drift.report import write_drift
    from training.drift.watching import watch

    found = watch(place, as_of=as_of.replace(tzinfo=UTC) if as_of else None)
    path = write_drift(place, found)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=1))
        return
    if not found.models:
        typer.echo("No model is served yet. 'rapport train' makes the first.")
        return
    for one in found.models:
        _show(one)
    typer.echo(f"As of {found.as_of:%Y-%m-%d} → {path}")


def _show(one: Looked) -> None:
    from rich.console import Console

    console = Console()
    compared = f", {one.n_now:,} customers beside {one.n_then:,}" if one.n_then else ""
    age = f", {one.days:g} days old" if one.days >= 0 else ""
    console.print(
        f"[bold]{one.model}[/bold] {one.version}{age}{compared}: {STATES[one.status]}.",
        highlight=False,
    )
    for reason in one.reasons:
        what = "train anew" if one.status == "retrain" else "first" if reason.code == "no_orders" else "found"
        console.print(f"  {what}: {reason.told}", highlight=False, markup=False)
    for note in one.notes:
        console.print(f"  {note}", highlight=False, markup=False)
    told = [move for move in one.moves if move.kind == "score" or move.verdict not in ("steady", "too_few")]
    for move in sorted(told, key=lambda move: (move.kind == "feature", -move.psi))[:MOST_SHOWN]:
        typer.echo(_line_of_move(move))
    if len(told) > MOST_SHOWN:
        typer.echo(f"  … and {len(told) - MOST_SHOWN} more: --json lists all.")
    for outcome in one.outcomes[-MOST_SHOWN:]:
        typer.echo(_line_of_outcome(outcome))


def _line_of_move(one: Move) -> str:
    gap = "" if one.ks is None else f", KS {one.ks:.2f}"
    unknown = (
        "" if not one.unknown_then + one.unknown_now else f", unknown {one.unknown_then:.0%} → {one.unknown_now:.0%}"
    )
    size = "{:.0%} of customers" if one.effect_unit == "customers" else "{:.2f}"
    leans = "" if one.effect is None else f", scores lean on it by {size.format(one.effect)}"
    return (
        f"  {one.name:<28} {one.verdict:<7} PSI {one.psi:.2f} (chance {one.by_chance:.2f}, usual {one.as_usual:.2f})"
        f"{gap}{unknown}{leans}"
    )


def _line_of_outcome(one: Outcome) -> str:
    number = "{:.1%}".format if one.unit == "rate" else "{:.4g}".format
    by = "" if one.is_champions else f" by {one.version}, since replaced"
    slope = "" if one.slope is None else f", slope {one.slope:.2f} ± {1.96 * (one.slope_error or 0.0):.2f}"
    return (
        f"  {one.what}, {one.said_at:%Y-%m-%d}: said {number(one.said)}{by}, came {number(one.came)} "
        f"({number(one.low)} … {number(one.high)}) of {one.n:,}{slope}: {one.verdict}"
    )
